# SPDX-License-Identifier: GPL-2.0-only
"""What an allocator answers to a call, and the first operation that is answered differently."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from percpu_ffi._util.text import plural
from percpu_ffi.errors import describe_error
from percpu_ffi.lockstep.difference import differ
from percpu_ffi.replay import Replay

# figures of a replay that are the same in every run
FIGURES = tuple(
    field.name
    for field in fields(Replay)
    if field.name not in ("pointers", "failures", "elapsed_ns")
)


class Raised(str):
    """An error as text, in place of a result."""

    __slots__ = ()


class Answer(NamedTuple):
    """The answer of an allocator to a call, which may do many operations."""

    pointers: tuple[Any, ...] = ()
    """The pointer of each operation; 0: it allocates nothing, or it failed."""
    errors: tuple[tuple[int, str], ...] = ()
    """Index and error of each operation that failed; a batch that fails has one, at 0."""
    figures: tuple[Any, ...] = ()
    """Of a replay, in the order of ``FIGURES``."""

    def part(self, start: int, stop: int) -> Answer:
        """Return the answer to a part of the operations, without figures."""
        errors = ((at - start, text) for at, text in self.errors if start <= at < stop)
        return Answer(self.pointers[start:stop], tuple(errors))

    def shown(self, at: int) -> str:
        """Return the answer to one operation as text."""
        if (error := dict(self.errors).get(at)) is not None:
            return error
        if not self.pointers:
            return ""
        if at >= len(self.pointers):
            return "no pointer"
        pointer = self.pointers[at]
        return (f"{pointer:#x}" if pointer else "done") if is_integer(pointer) else repr(pointer)


def first_difference(
    answers: Sequence[Answer], compare: Collection[str]
) -> tuple[str, list[Any], list[str], int] | None:
    """Find the first operation of a call that allocators answer differently.

    Whether it fails is compared in any case.

    Returns: the aspect; of each allocator, its value and its answer as text; the index of the
        operation.

    """
    if not differ(answers):
        return None
    errors = [dict(answer.errors) for answer in answers]
    ends = [len(answer.pointers) for answer in answers] + [at + 1 for each in errors for at in each]
    for at in range(max(ends)):
        shown = [answer.shown(at) for answer in answers]
        raised: list[Any] = [each.get(at) for each in errors]
        if "errors" not in compare:
            raised = [each is not None for each in raised]
        if differ(raised):
            return "errors", raised, shown, at
        pointers = [answer.pointers[at : at + 1] for answer in answers]
        if "pointers" in compare and differ(pointers):
            return "pointers", pointers, shown, at
    all_errors = [answer.errors for answer in answers]
    if "errors" in compare and differ(all_errors):  # one twice, or at no operation
        return "errors", all_errors, [plural(len(each), "error") for each in all_errors], 0
    figures = [answer.figures for answer in answers]
    if "state" in compare and differ(figures):
        rows = zip(FIGURES, *figures, strict=True)
        name, *values = next(row for row in rows if differ(row[1:]))
        return "state", values, [f"{name} {value}" for value in values], 0
    return None


def is_integer(value: Any) -> bool:
    """Return whether a value can be printed as an address."""
    return hasattr(value, "__index__")


def answered(error: BaseException) -> str:
    """Describe an error, with the service that it names."""
    service = getattr(error, "service", None)
    return describe_error(error) + ("" if service is None else f" [{service}]")
