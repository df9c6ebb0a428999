# SPDX-License-Identifier: GPL-2.0-only
"""An allocator in lockstep: its live areas, and how it is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from percpu_ffi.config import AREA_MAP, BITMAP
from percpu_ffi.errors import describe_error
from percpu_ffi.lockstep.answer import FIGURES, Answer, Raised, answered
from percpu_ffi.lockstep.contents import Contents

if TYPE_CHECKING:
    from percpu_ffi.trace import Key, Op, Trace

# how operations are called: each by itself; neighbours of one kind by alloc_many() and
# free_many(); or all by replay()
CALLS = ("single", "many", "replay")

UNFLAGGED = 4  # items of an allocation without flags

# whatever an allocator raises is its answer; Ctrl-C is the user's
ANSWERS = (Exception, SystemExit, GeneratorExit)


class Party:
    """An allocator in lockstep."""

    def __init__(self, allocator: Any) -> None:
        self.allocator = allocator
        self.live: dict[Key, int] = {}
        self.contents = Contents.of(allocator)
        # others have no flags and no background work
        self.has_flags = getattr(allocator, "policy", AREA_MAP) == BITMAP

    def single(self, op: Op) -> Answer:
        """Do one operation."""
        pointer = 0
        try:
            match op:
                case ("alloc", key, size, align, *flags):
                    self._free(key)  # the trace may have no free of it
                    pointer = self.live[key] = self._alloc(size, align, *flags)
                    self.contents.write(pointer, size)
                case ("balance",):
                    if self.has_flags:
                        self.allocator.balance()
                case ("free", key):
                    self._free(key)
                case ("inject", site, plan):
                    self.allocator.inject(site, **plan)
        except ANSWERS as error:
            return Answer((0,), ((0, answered(error)),))
        return Answer((pointer,))

    def many(self, ops: Sequence[Any]) -> Answer:
        """Do operations of one kind in one call; with flags they are a call each."""
        kind, nothing = ops[0][0], (0,) * len(ops)
        if kind not in ("alloc", "free"):
            return self.single(ops[0])
        if self.has_flags and len(ops[0]) > UNFLAGGED:
            each = [self.single(op) for op in ops]
            failed = ((at, text) for at, answer in enumerate(each) for _, text in answer.errors)
            return Answer(tuple(answer.pointers[0] for answer in each), tuple(failed))
        try:
            freed = [self.live.pop(op[1]) for op in ops if op[1] in self.live]
            for pointer in freed:
                self.contents.verify(pointer)
            if freed:
                self.allocator.free_many(freed)
            if kind == "free":
                return Answer(nothing)
            pointers = tuple(self.allocator.alloc_many([op[2] for op in ops], ops[0][3]))
            for op, pointer in zip(ops, pointers, strict=False):
                self.live[op[1]] = pointer
                self.contents.write(pointer, op[2])
        except ANSWERS as error:
            return Answer(nothing, ((0, answered(error)),))
        return Answer(pointers)

    def replay(
        self, trace: Trace, stops: Sequence[int], methods: Sequence[str]
    ) -> tuple[Answer, list[dict[str, Any]]]:
        """Replay a trace in one call.

        Returns: the answer, without figures if the replay raised; and the results of
            ``methods`` after each of the ``stops``.

        """
        looks: list[dict[str, Any]] = []
        done = 0

        def look(operations: int) -> None:
            nonlocal done
            done += operations
            if done == stops[len(looks)]:
                looks.append({method: inspect(self.allocator, method) for method in methods})

        try:
            result = self.allocator.replay(trace, progress=look, stops=stops)
            if len(looks) < len(stops):
                raise AssertionError(f"replay() went past a stop, to {done}")
            failures = tuple((f.index, f"{f.op} {answered(f.error)}") for f in result.failures)
            figures = tuple(getattr(result, name) for name in FIGURES)
            return Answer(tuple(result.pointers), failures, figures), looks
        except ANSWERS as error:
            return Answer((0,) * len(trace), ((len(trace) - 1, answered(error)),)), looks

    def verify(self) -> Answer:
        """Verify the contents of all live areas."""
        try:
            for pointer in self.live.values():
                self.contents.verify(pointer)
        except ANSWERS as error:
            return Answer((), ((0, answered(error)),))
        return Answer()

    def _alloc(self, size: int, align: int, flags: Sequence[str] = ()) -> Any:
        if flags and self.has_flags:
            return self.allocator.alloc_gfp(size, align, **dict.fromkeys(flags, True))
        return self.allocator.alloc(size, align)

    def _free(self, key: Key) -> None:
        if key in self.live:
            pointer = self.live.pop(key)
            self.contents.verify(pointer)
            self.allocator.free(pointer)


def inspect(allocator: Any, method: str) -> Any:
    """Call a method without arguments, if it exists; return an error as text."""
    try:
        return getattr(allocator, method, lambda: None)()
    except ANSWERS as error:
        return Raised(f"{method}() raised {describe_error(error)}")
