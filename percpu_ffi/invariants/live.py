# SPDX-License-Identifier: GPL-2.0-only
"""Live areas, as the caller knows them: the maps have these and no others, with their contents."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from percpu_ffi._util.text import plural
from percpu_ffi.errors import ConfigError, PercpuError, shown
from percpu_ffi.invariants.areas import missing_pages

if TYPE_CHECKING:
    from types import ModuleType

    from percpu_ffi.config import Buffer
    from percpu_ffi.interface import PerCpu
    from percpu_ffi.state import State


def violations(
    allocator: PerCpu,
    state: State,
    policy: ModuleType,
    live: Mapping[int, int | Sequence[Buffer]],
) -> Iterator[str]:
    """Compare the maps with what the caller knows.

    Args:
        allocator: the allocator.
        state: its state.
        policy: the module of its policy in this package.
        live: as for :meth:`PerCpu.validate`.

    """
    chunks = {chunk.id: chunk for chunk in state.chunks}
    unknown = {
        (chunk.id, offset): size
        for chunk in state.chunks
        for offset, size in policy.areas(chunk, allocator)
    }
    for ptr, size, copies in _known(live, allocator.cpus):
        what = f"the area at {ptr:#x}"
        try:
            place = allocator.locate(ptr)
        except PercpuError as error:
            yield f"{what} is gone: {error}"
            continue
        held = unknown.pop(place, 0)
        if not policy.fits(size, held):
            were = "was" if size == 1 else "were"
            yield f"{what} has {plural(held, 'byte', '')} in the map, {size} {were} requested"
        if "rollback" in allocator._config.quirks:
            continue
        missing = list(
            missing_pages(chunks[place.chunk], what, place.offset, size, allocator.page_size)
        )
        yield from missing or _contents(allocator, ptr, copies)
    unknown.pop(allocator.locate(allocator.static_ptr), None)
    for (chunk_id, offset), size in unknown.items():
        yield (
            f"{plural(size, 'byte', '')} at offset {offset} of chunk {chunk_id} in use, but "
            "unknown: a leak"
        )


def _known(
    live: Mapping[int, int | Sequence[Buffer]], cpus: int
) -> Iterator[tuple[int, int, Sequence[Buffer]]]:
    """Pointer, size and contents of each area that the caller knows."""
    try:
        for ptr, known in live.items():
            if hasattr(known, "__index__"):
                yield operator.index(ptr), operator.index(known), ()
            elif isinstance(known, bytes | bytearray | memoryview) or len(known) != cpus:
                raise TypeError
            else:
                yield operator.index(ptr), max(map(len, known)), known
    except (TypeError, AttributeError):
        raise ConfigError(
            f"live={shown(live)}: a mapping from pointers is needed, to sizes in bytes, or to "
            f"sequences of {cpus} bytes-like objects, the contents of each CPU's copy"
        ) from None


def _contents(allocator: PerCpu, ptr: int, copies: Sequence[Buffer]) -> Iterator[str]:
    for cpu, copy in enumerate(copies):
        with allocator.view(ptr, cpu) as view, view[: len(copy)] as seen:
            if seen != copy:
                yield f"CPU {cpu}'s copy of the area at {ptr:#x} has changed"
