# SPDX-License-Identifier: GPL-2.0-only
"""Replay one trace under several policies and geometries.

Each geometry gets its own allocator with bookkeeping only, so any number of CPUs is possible.
An impossible geometry becomes a :class:`~percpu_ffi.analysis.outcome.Refusal`, and the others go
on.

>>> from percpu_ffi import Trace
>>> trace = Trace.from_ops([("alloc", "a", 4096, 8), ("alloc", "b", 4096, 8), ("free", "a")])
>>> small, none = compare(trace, [{"page_size": 4096}, {"cpus": 0}])
>>> small.pages, small.stranded
(16, 16384)
>>> none.reason
'cpus=0: an integer from 1 to 65536 is needed; give the number of possible CPUs'
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from operator import itemgetter
from typing import Any, NamedTuple

from percpu_ffi.allocator import Allocator
from percpu_ffi.analysis.comparison import Comparison
from percpu_ffi.analysis.outcome import Outcome, Refusal
from percpu_ffi.config import AREA_MAP, GEOMETRY, policy_name
from percpu_ffi.custom import CustomPolicy, Units, check_policy, replay_custom
from percpu_ffi.errors import (
    ConfigError,
    PercpuMemoryError,
    check_progress,
    check_type,
    shown,
    without_warnings,
)
from percpu_ffi.executors import Executor, Shared, Task, check_executor, run_in_order
from percpu_ffi.interface import PerCpu
from percpu_ffi.replay import Replay
from percpu_ffi.trace import Trace
from percpu_ffi.trace.operations import NO_PLACE, OP, SPECIAL
from percpu_ffi.work import WorkByCall

IS_ALLOC = bytes(byte != SPECIAL >> 24 for byte in range(256))


def compare(
    trace: Trace,
    setups: Iterable[Mapping[str, Any]],
    progress: Callable[[int], object] | None = None,
    policies: Mapping[str, type[CustomPolicy]] | None = None,
    executor: Executor | None = None,
) -> Comparison:
    """Replay ``trace`` under each geometry; the arguments and errors are those of :func:`outcomes`.

    The result is a tuple of :class:`~percpu_ffi.analysis.outcome.Outcome` and
    :class:`~percpu_ffi.analysis.outcome.Refusal`, in the order of ``setups``.
    """
    return Comparison(outcomes(trace, setups, progress, policies, executor))


def outcomes(
    trace: Trace,
    setups: Iterable[Mapping[str, Any]],
    progress: Callable[[int], object] | None = None,
    policies: Mapping[str, type[CustomPolicy]] | None = None,
    executor: Executor | None = None,
) -> Iterator[Outcome | Refusal]:
    """Replay ``trace`` under each geometry, in order; each item is computed when requested.

    An executor computes some ahead, at the same time; the items are the same.

    The background work of bitmaps runs when it is requested, and no chunk has an area at first.

    Args:
        trace: the operations.
        setups: arguments of the allocators; ``memory`` is always ``"none"``.
        progress: called with the number of operations done since its last call.
        policies: policies of the user by name.  With such a name as ``policy``, a set-up may have
            ``cpus``, ``page_size``, ``unit_size`` and ``static_size``.
        executor: runs the replays, see :mod:`percpu_ffi.executors`; None: this process.

    Raises:
        PercpuError: a worker was lost several times with the same geometry.
        TraceError: the trace is damaged.
        PolicyError: a policy of the user broke a promise, or raised an error.
        ConfigError: an argument is of a wrong type.

    """
    own = {} if policies is None else policies
    check_type("trace", trace, Trace, "a Trace")
    check_type("setups", setups, Iterable, "an iterable of mappings")
    check_progress(progress)
    check_type("policies", own, Mapping, "a mapping of names to classes, or None,")
    for policy in own.values():
        check_policy(policy)
    check_executor(executor)
    recording = _Recording(trace, _kernel_offsets(trace))
    requests = ((setup, _own_policy(setup, own)) for setup in map(_checked, setups))
    if executor is None:
        for request in requests:
            yield _row(recording, *request, progress)
        return
    shared = Shared(recording._replace(trace=trace.without_columns()))
    arguments = ((shared, *request) for request in requests)
    for row in run_in_order(executor, _row_elsewhere, arguments, _describe):
        if progress:
            progress(len(trace))
        yield row


_DEFAULTS = {"cpus": 4, "static_size": 8192}
_COPIED = ("live_bytes", "peak_live_bytes", "pages_at_peak", "chunks", "peak_chunks",
           "chunks_created", "chunks_destroyed")  # fmt: skip


class _KernelOffsets(NamedTuple):
    """The offsets that the recording kernel gave to areas."""

    known: bytes
    """For each operation 1 if it is an allocation whose offset is known, else 0."""
    offsets: array[int]
    """Those of these allocations."""


class _Recording(NamedTuple):
    """What all replays have in common."""

    trace: Trace
    kernel: _KernelOffsets


def _checked(setup: Mapping[str, Any]) -> dict[str, Any]:
    check_type("setup", setup, Mapping, "a mapping of arguments of an allocator")
    return dict(setup)


def _own_policy(
    setup: Mapping[str, Any], own: Mapping[str, type[CustomPolicy]]
) -> type[CustomPolicy] | None:
    """Return the policy of the user that a set-up names, if it does."""
    name = setup.get("policy")
    return own.get(name) if isinstance(name, str) else None


def _row(
    recording: _Recording,
    setup: dict[str, Any],
    policy: type[CustomPolicy] | None,
    progress: Callable[[int], object] | None = None,
) -> Outcome | Refusal:
    """Replay under one geometry."""
    try:
        if policy:
            run = _run_custom(policy, recording.trace, setup, progress)
        else:
            run = _run(recording.trace, {**setup, "memory": "none"}, progress)
        return _outcome(recording.kernel, run)
    except (ConfigError, PercpuMemoryError) as refused:
        requested = {name: setup.get(name, _DEFAULTS.get(name, 0)) for name in GEOMETRY}
        return Refusal({**requested, **_names(setup)}, str(refused))


def _row_elsewhere(
    shared: Shared[_Recording], setup: dict[str, Any], policy: type[CustomPolicy] | None
) -> Outcome | Refusal:
    return _row(shared.value, setup, policy)


def _describe(number: int) -> Task:
    return Task(f"the replay under geometry {number + 1}", "replay in one process with --jobs 1")


class _Run(NamedTuple):
    """A replay under one geometry."""

    geometry: dict[str, Any]
    result: Replay
    work: WorkByCall
    offset_of: Callable[[int], int]
    """The offset in a unit, of a pointer."""
    hidden: tuple[int, int] | tuple[None, None]
    """Hidden bytes of all CPUs, at the end and at most; None: the policy has no hints."""


def _run(trace: Trace, setup: dict[str, Any], progress: Callable[[int], object] | None) -> _Run:
    with Allocator(**setup) as allocator, without_warnings():
        first = allocator.state().chunks[-1]  # nothing is allocated yet; one may be reserved
        result = allocator.replay(trace, progress)
        work = allocator.work()
        offset_of = offset_in_unit(allocator)
    geometry = {
        **_names(setup),
        "unit_size": allocator.unit_size,
        "cpus": allocator.cpus,
        "static_size": allocator.static_size + setup.get("reserved_size", 0),
        "free_size": first.free_size,
        "page_size": allocator.page_size,
    }
    hidden = result.hidden_bytes * allocator.cpus, result.peak_hidden_bytes * allocator.cpus
    return _Run(geometry, result, work, offset_of, hidden)


def _run_custom(
    policy: type[CustomPolicy],
    trace: Trace,
    setup: Mapping[str, Any],
    progress: Callable[[int], object] | None,
) -> _Run:
    sizes = {name: value for name, value in setup.items() if name not in ("policy", "memory")}
    for name, value in sizes.items():
        if name not in Units._fields:
            raise ConfigError(
                f"{name}={shown(value)}: policy={setup['policy']!r} has no {name}; a policy of "
                f"your own has {', '.join(Units._fields)}"
            )
    units = Units.of(**sizes)
    result, work = replay_custom(policy, trace, units, progress)
    free = {"free_size": units.unit_size - units.static_size}
    geometry = {**_names(setup), **units._asdict(), **free}
    return _Run(geometry, result, work, lambda pointer: pointer % units.unit_size, (None, None))


def _outcome(kernel: _KernelOffsets, run: _Run) -> Outcome:
    geometry, result = run.geometry, run.result
    shifts = _shifts(kernel, result.pointers, run.offset_of)
    shift, same_shifted = max(shifts.items(), key=itemgetter(1), default=(None, None))
    hidden, peak_hidden = run.hidden
    return Outcome(
        geometry={name: geometry[name] for name in GEOMETRY},
        failures=len(result.failures),
        failure_reasons=dict(Counter(str(f.error) for f in result.failures).most_common()),
        pages=result.populated_pages,
        peak_pages=result.peak_populated_pages,
        **{name: getattr(result, name) for name in _COPIED},
        hidden=hidden,
        peak_hidden=peak_hidden,
        work=run.work,
        offsets_known=len(kernel.offsets),
        same_offsets=shifts[0] if kernel.offsets else None,
        shift=shift,
        same_shifted=same_shifted,
    )


def _shifts(
    kernel: _KernelOffsets,
    pointers: Sequence[int],
    offset_of: Callable[[int], int],
) -> Counter[int]:
    """Count the successful allocations by the kernel's offset less ours."""
    return Counter(
        offset - offset_of(pointer)
        for pointer, offset in zip(compress(pointers, kernel.known), kernel.offsets, strict=True)
        if pointer
    )


def offset_in_unit(allocator: PerCpu) -> Callable[[int], int]:
    """Return a function: the offset of an area in a unit, even if its chunk no longer exists.

    The first chunk starts at the static area, or with bitmaps some pages after it; all others have
    one size and a guard page each::

        |first chunk|chunk|guard|chunk|guard|...
    """
    chunk = allocator.cpus * allocator.unit_size
    with_guard = chunk + allocator.page_size
    start = allocator.static_ptr
    before = allocator.locate(start).offset  # 0, or negative

    def offset_of(pointer: int) -> int:
        at = pointer - start
        return at + before if at < chunk else (at - chunk) % with_guard

    return offset_of


def _names(setup: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the settings that are names; the policy with its fixes, as in ``--policy``."""
    policy = policy_name(setup)
    first_chunk = setup.get("first_chunk", "4k" if policy == AREA_MAP else None)
    return {"policy": policy, "first_chunk": first_chunk}


def _kernel_offsets(trace: Trace) -> _KernelOffsets:
    """Return the allocations whose offset in the kernel is known."""
    if trace.places is None:
        return _KernelOffsets(b"", array("I"))
    # the last byte of an operation is the highest one of its kind: all bits of no allocation's
    known = bytes(trace.ops)[OP.size - 1 :: OP.size].translate(IS_ALLOC)
    offsets = array("I", compress(trace.places.offsets, known))
    if NO_PLACE in offsets:
        places = zip(known, trace.places.offsets, strict=True)
        known = bytes(alloc and offset != NO_PLACE for alloc, offset in places)
        offsets = array("I", compress(trace.places.offsets, known))
    return _KernelOffsets(known, offsets)
