# SPDX-License-Identifier: GPL-2.0-only
"""What both policies share: chunks on slots and by address, made and destroyed.

A policy chooses a chunk and an offset for each request.  Its chunks are sorted into slots,
lists of chunks that have about the same room; a request starts at the slot that may have room
for it and walks upwards, so that the fuller chunks are used first and the others drain.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from percpu_ffi import errors
from percpu_ffi.config import BALANCE_STEPS
from percpu_ffi.model.chunk import Chunk
from percpu_ffi.model.kernel import Kernel, ServiceFailed
from percpu_ffi.model.memory import Memory
from percpu_ffi.model.pages import depopulate
from percpu_ffi.model.rules import Rules
from percpu_ffi.model.tree import Tree
from percpu_ffi.state import ChunkState, State
from percpu_ffi.tracing.event import CREATE_CHUNK, DESTROY_CHUNK

if TYPE_CHECKING:
    from percpu_ffi.config import Config

C = TypeVar("C", bound=Chunk)


class Request(NamedTuple):
    """What a caller wants; it was checked."""

    size: int
    """Bytes."""
    align: int
    """Bytes, a power of two."""
    atomic: bool = False
    """The caller may not sleep."""
    reserved: bool = False
    """The caller is a module."""


class Found(NamedTuple):
    """An area that was looked up by its pointer."""

    chunk: Any
    """Its chunk, of the policy's class."""
    offset: int
    """Bytes from the start of the chunk's units; below 0 for bitmaps' static area."""
    size: int
    """Bytes, as in the map."""
    steps: int = 0
    """Chunks that its address was compared with."""


class Emit(Protocol):
    """Reports an event."""

    def __call__(self, kind: int, chunk: Chunk) -> None:
        """Report an event of a chunk."""


class Policy(ABC, Generic[C]):
    """The chunks of an allocator; a subclass decides where areas are."""

    first: C
    """The first chunk, which is never destroyed."""

    def __init__(
        self, config: Config, emit: Emit, *, unit_size: int, free_size: int, boot_pages: int
    ) -> None:
        """Start without chunks.

        Args:
            config: the arguments of the allocator.
            emit: called for each chunk that is made or destroyed.
            unit_size: bytes of each CPU's unit in a chunk.
            free_size: bytes that the first chunk serves.
            boot_pages: pages of each of its units that are present from the start.

        """
        self.config, self.emit = config, emit
        self.cpus, self.page_size = config.cpus, config.page_size
        self.unit_size, self.free_size = unit_size, free_size
        self.chunk_size = unit_size * config.cpus
        self.boot_pages = boot_pages * config.cpus  # page frames
        self.kernel = Kernel(config, self.chunk_size)
        self.chunks: Tree[C] = Tree()  # by address
        self.slots: list[list[C]] = [[] for _ in range(self._nr_slots())]
        self.created = self.destroyed = 0
        self.most_chunks = 1
        self.balance_requested = False  # background work is to run
        self.partial_failures = 0  # see PerCpu._partial_failure_count()
        self.rules = Rules()  # of the policy, those that applied

    # --- what the policies add

    @abstractmethod
    def _nr_slots(self) -> int:
        """Return the number of slots, which depends on the size of a unit."""

    @abstractmethod
    def slot_of(self, chunk: C) -> int:
        """Return the slot where a chunk belongs."""

    @abstractmethod
    def alloc(self, request: Request) -> tuple[C, int]:
        """Take an area and populate its pages; return its chunk and its offset.

        Raises:
            ServiceFailed: a service failed, or there is no place; nothing is taken.

        """

    @abstractmethod
    def free(self, chunk: C, offset: int) -> None:
        """Free the area at an offset."""

    @abstractmethod
    def find(self, ptr: int) -> Found:
        """Find the area of a pointer, the static one included.

        Raises: the error for the pointer; the kernel does not check it.
        """

    @abstractmethod
    def describe(self, chunk: C) -> ChunkState:
        """Return a chunk as plain values."""

    @abstractmethod
    def _new_chunk(self, number: int) -> C:
        """Return an empty chunk, without map and address."""

    def _init_chunk(self, chunk: C) -> None:
        """Take what a new chunk needs from the kernel's services; nothing by default."""

    def _exit_chunk(self, chunk: C) -> None:
        """Release that, if it was taken."""

    def rounded(self, size: int, align: int) -> tuple[int, int]:
        """Return the size and the alignment that are served for those requested."""
        return size, align

    def balance(self, first: int = 1, last: int = BALANCE_STEPS) -> None:
        """Run steps of the background work, if there is any."""

    def settle(self) -> None:
        """End an operation."""

    # --- slots

    def relocate(self, chunk: C, old_slot: int | None) -> None:
        """Move a chunk to the slot where it belongs now (``pcpu_chunk_relocate``).

        To the front of a higher slot, to the back of a lower one.  ``old_slot`` is where it
        belonged before; it may be on another one.  None: the chunk is new.
        """
        slot = self.slot_of(chunk)
        if slot != old_slot:
            self.move(chunk, slot, head=old_slot is None or slot > old_slot)

    def move(self, chunk: C, slot: int, *, head: bool) -> None:
        """Move a chunk to the front or to the back of a slot."""
        if chunk.slot is not None:
            self.slots[chunk.slot].remove(chunk)
        chunk.slot = slot
        self.slots[slot].insert(0 if head else len(self.slots[slot]), chunk)

    # --- chunks

    def create_chunk(self) -> C:
        """Make an empty chunk (``alloc_pcpu_chunk``, later ``pcpu_create_chunk``).

        Raises:
            ServiceFailed: a service failed; nothing is left of it.

        """
        self.kernel.ask("kmalloc")  # the struct of the chunk
        chunk = self._new_chunk(self.created + 1)
        try:
            self._init_chunk(chunk)
            chunk.addr = self.kernel.get_vm_area(self.chunk_size)
        except ServiceFailed:
            self._free_chunk(chunk)
            raise
        self.created += 1
        self.relocate(chunk, None)
        self.chunks.insert(chunk.addr, chunk)
        self.kernel.work.tree_steps += self.chunks.steps
        self.most_chunks = max(self.most_chunks, self.count)
        self.emit(CREATE_CHUNK, chunk)
        return chunk

    def _free_chunk(self, chunk: C) -> None:
        """Release the address space, the map and the struct of a chunk (``free_pcpu_chunk``)."""
        if chunk.addr:
            self.kernel.free_vm_area(chunk.addr)
        self._exit_chunk(chunk)
        self.kernel.count("kfree")

    def kill_chunk(self, chunk: C) -> None:
        """Release a chunk and its pages (``pcpu_kill_chunk``, later ``pcpu_destroy_chunk``)."""
        self.emit(DESTROY_CHUNK, chunk)
        depopulate(self.kernel, chunk, range(len(chunk.populated)), flush=False)
        assert chunk.slot is not None
        self.slots[chunk.slot].remove(chunk)
        self.chunks.erase(chunk.addr)
        self._free_chunk(chunk)
        self.destroyed += 1

    def new_memory(self, image: bytes = b"") -> Memory:
        """Return the memory of a new chunk; ``image`` is at the start of each unit."""
        return Memory(self.unit_size, self.cpus, self.page_size, image)

    @property
    def count(self) -> int:
        """Chunks now, the first one included, the reserved one not."""
        return 1 + self.created - self.destroyed

    @property
    def pages(self) -> int:
        """Page frames that chunks hold, those of the set-up included."""
        return self.boot_pages + sum(self.kernel.frames)

    @property
    def hidden_bytes(self) -> int:
        """See :attr:`PerCpu.hidden_bytes`; a policy with such chunks calculates it."""
        return 0

    def chunk_at(self, ptr: int) -> C:
        """Return the chunk whose units cover an address (``pcpu_chunk_addr_search``).

        Raises:
            WildPointer: there is none.  The 2009 file returned the chunk before a gap.

        """
        chunk = self.chunks.find_last(ptr)
        if chunk is None or ptr - chunk.addr >= self.chunk_size:
            raise errors.WildPointer.of(ptr)
        return chunk

    def state(self) -> State:
        """Return all slots and chunks as plain values."""
        slots = (tuple(chunk.id for chunk in slot) for slot in self.slots)
        chunks = sorted(self.chunks, key=operator.attrgetter("id"))
        return State(tuple(slots), tuple(map(self.describe, chunks)), **self._figures())

    def _figures(self) -> dict[str, Any]:
        """Return the other fields of the state that the policy has."""
        return {}
