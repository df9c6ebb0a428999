# SPDX-License-Identifier: GPL-2.0-only
"""Ask the policy for each choice of a recording, and follow the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from percpu_ffi.config import GRANULE
from percpu_ffi.errors import InvalidRequest, PercpuMemoryError, TraceError, WildPointer
from percpu_ffi.state import Location, State
from percpu_ffi.trace.operations import FLAGS
from percpu_ffi.trace.steps import (
    Alloc,
    Created,
    Destroyed,
    Failed,
    Free,
    Step,
    Work,
)

if TYPE_CHECKING:
    from percpu_ffi.interface import PerCpu
    from percpu_ffi.state import Choice
    from percpu_ffi.trace.operations import Kind
    from percpu_ffi.witness.start import Start

LARGEST = 1 << 15  # bytes: a larger early area is taken in pieces


@dataclass
class Choices:
    """How many choices the policy predicts."""

    choices: int = 0
    """Allocations."""
    chunk_and_offset: int = 0
    """Those whose chunk and offset it predicts."""
    offset_given_chunk: int = 0
    """Those whose offset it predicts in the chunk that the kernel chose."""

    def add(self, *, both: bool, offset: bool) -> None:
        """Count a choice."""
        self.choices += 1
        self.chunk_and_offset += both
        self.offset_given_chunk += offset


@dataclass
class Foretold:
    """How many things that happened were predicted."""

    seen: int | None = 0
    """In the recording; None: it does not say."""
    foretold: int = 0
    """By the policy at the same time."""


@dataclass(frozen=True)
class Miss:
    """A choice that was not predicted."""

    step: Alloc
    """What the kernel did."""
    kernel: Location
    """Its place, with the policy's number of the chunk."""
    chosen: Location | None
    """What the policy chooses; None: it finds no place."""
    there: int | None
    """Its offset in the kernel's chunk; None likewise."""
    chosen_chunk: int | None
    """The recording's number of the chunk that the policy chooses; None: it has none."""


@dataclass
class Figures:
    """What following a recording shows."""

    all: Choices = field(default_factory=Choices)
    """All choices."""
    new: Choices = field(default_factory=Choices)
    """Those of chunks that were created during the recording."""
    made: Foretold = field(default_factory=Foretold)
    """Chunks created."""
    destroyed: Foretold = field(default_factory=Foretold)
    """Chunks destroyed."""
    runs: Foretold = field(default_factory=Foretold)
    """Runs of the background work."""
    failed: Foretold = field(default_factory=Foretold)
    """Atomic and reserved requests that found no place."""
    learnt: int = 0
    """Chunks that the kernel passed over, and that are taken to be sidelined since then.

    From boot on, those passed over twice without a use in between.
    """
    lost_frees: int = 0
    """Areas in whose place the kernel put others: the recording lacks their frees."""
    contradiction: TraceError | None = None
    """The first of these, as an error."""
    orphans: int = 0
    """Frees of areas that are not known, which are skipped."""
    misses: list[Miss] = field(default_factory=list)
    """The choices that were not predicted."""
    after_first_miss: State | None = None
    """The policy's state after the first of them, with the kernel's choice."""


class Held(NamedTuple):
    """An area of ours that stands for one of the kernel."""

    ptr: int
    """Its pointer."""
    place: Location
    """Its chunk and offset."""
    end: int
    """The byte after it in the chunk."""


class Follower:
    """An allocator that follows a recording."""

    def __init__(self, allocator: PerCpu, start: Start, steps: Sequence[Step]) -> None:
        """Take what is in use at the start.

        Args:
            allocator: of the policy, new, with ``balance="manual"``.
            start: the start.
            steps: of the recording; only whether background work is among them is read.

        """
        self.allocator = allocator
        self.figures = Figures()
        self._has_work = any(isinstance(step, Work) for step in steps)
        if not self._has_work:
            self.figures.runs.seen = None
        self._works = False  # background work has begun
        self._learns = start.name != "boot"
        self._passed_over = -1  # our chunk that the kernel passed over, and has not used since
        self._ids = {chunk: number for number, chunk in enumerate(start.chunks) if chunk >= 0}
        self._born: set[int] = set()  # chunks of the kernel created during the recording
        self._dead: list[int] = []  # ours that stand for chunks which the kernel destroyed
        self._unnamed: list[int] = []  # ours that stand for none so far
        self._held: dict[int, Held] = {}  # areas by the number of their allocation
        self._old: dict[Location, int] = {}  # pointers of areas at the start, by our place
        self._unpaired = {"made": [0, 0], "destroyed": [0, 0]}  # kernel's, ours
        for chunk, first, end in start.used:
            self._create_to(chunk - 1)
            for at in range(first, end, LARGEST):
                size = min(end - at, LARGEST)
                self._old[Location(chunk, at)] = self._take(size, 4, Location(chunk, at))
        self._create_to(len(start.chunks) - 1)
        if self._requested:
            allocator.balance()
        self._made, self._gone = allocator._lives()
        self._unnamed += range(len(start.chunks), self._made + 1)

    def run(self, steps: Iterable[Step], progress: Callable[[int], object] | None = None) -> None:
        """Follow steps.

        Args:
            steps: in the order of the decisions.
            progress: called with the number of steps done since its last call.

        Raises:
            TraceError: an area is placed where another one is: the recording is incomplete.

        """
        for number, step in enumerate(steps, 1):
            self.step(step)
            if progress and not number % 4096:
                progress(4096)

    def step(self, step: Step) -> None:
        """Follow one step."""
        if isinstance(step, Alloc):
            self._alloc(step)
        elif isinstance(step, Free):
            self._free(step)
        elif isinstance(step, Failed):
            self._fail(step)
        elif isinstance(step, Created):
            self._do_work()
            self._born.add(step.chunk)
            self._pair("made", self.figures.made, kernel=1)
        elif isinstance(step, Destroyed):
            self._pair("destroyed", self.figures.destroyed, kernel=1)
            if step.chunk in self._ids:
                self._bury(self._ids.pop(step.chunk))
        elif step.begins:
            self._begin_work()
        else:
            self._do_work()
        if not self._has_work and self._requested:
            self.allocator.balance()
            self.figures.runs.foretold += 1
            self._count_lives()

    # --- steps

    def _alloc(self, step: Alloc) -> None:
        kind, chunk = step.kind, self._ids.get(step.place.chunk)
        if chunk is None:
            chunk = self._substitute(step.place.chunk, self._unnamed)
        kernel = Location(chunk, step.place.offset)
        lost = False
        try:
            choice, kernel = self._follow_to(step, kernel)
        except PercpuMemoryError as error:
            contradiction = _contradiction(step, "where an area is, or the chunk ends")
            lost = not kernel.offset % GRANULE and self._forget(kernel, kind.size)
            if not lost:
                raise contradiction from error
            self.figures.contradiction = self.figures.contradiction or contradiction
            choice, kernel = self._follow_to(step, kernel)
        self._held[step.number] = Held(choice.ptr, kernel, kernel.offset + kind.size)
        forced = choice.chosen is None or choice.chosen.chunk != kernel.chunk
        self._count_lives(forced=forced and kernel.chunk > self._made)
        if choice.learnt or kernel.chunk == self._passed_over:
            self._passed_over = -1
        elif choice.chosen and forced:
            self._passed_over = choice.chosen.chunk
        both = choice.chosen == kernel and not lost
        there = choice.offset == kernel.offset and not lost
        figures = self.figures
        figures.all.add(both=both, offset=there)
        if step.place.chunk in self._born:
            figures.new.add(both=both, offset=there)
        if not both:
            name = choice.chosen and self._name_of(choice.chosen.chunk)
            figures.misses.append(Miss(step, kernel, choice.chosen, choice.offset, name))
            if not figures.after_first_miss:
                figures.after_first_miss = self.allocator.state()

    def _follow_to(self, step: Alloc, kernel: Location) -> tuple[Choice, Location]:
        """Place an area where the kernel did; return where that is."""
        try:
            try:
                return self._follow(step.kind, kernel), kernel
            except WildPointer:  # we destroyed another one of two free chunks
                number = self._substitute(step.place.chunk, self._dead)
                kernel = Location(number, step.place.offset)
                return self._follow(step.kind, kernel), kernel
        except WildPointer as error:
            raise _contradiction(step, "which is past the end of a unit") from error
        except InvalidRequest as error:
            raise _contradiction(step, "which no kernel with this policy serves") from error

    def _forget(self, place: Location, size: int) -> bool:
        """Free the areas in a place: the recording lacks their frees.

        ftrace drops an event now and then, and does not report it.
        """
        gone = [
            number
            for number, held in self._held.items()
            if held.place.chunk == place.chunk
            and held.place.offset < place.offset + size
            and held.end > place.offset
        ]
        for number in gone:
            self.allocator.free(self._held.pop(number).ptr)
        self.figures.lost_frees += len(gone)
        return bool(gone)

    def _free(self, step: Free) -> None:
        ptr = 0
        if step.area is not None:
            ptr = self._held.pop(step.area).ptr if step.area in self._held else 0
        elif step.place.chunk in self._ids:
            place = Location(self._ids[step.place.chunk], step.place.offset)
            ptr = self._old.pop(place, 0)
        self.figures.orphans += not ptr
        self.allocator.free(ptr)

    def _fail(self, step: Failed) -> None:
        if not step.kind.flags:
            return  # a kernel service failed
        choice = self._follow(step.kind, None)
        failed = self.figures.failed
        failed.seen = (failed.seen or 0) + 1
        failed.foretold += choice.chosen is None

    def _begin_work(self) -> None:
        self._do_work()  # the end of the run before is missing
        runs = self.figures.runs
        runs.seen = (runs.seen or 0) + 1
        runs.foretold += self._requested
        self.allocator.balance(1, 1)
        self._count_lives()
        self._works = True

    def _do_work(self) -> None:
        """Go on with the work that has begun, from its second step on.

        The first one decides at once.  The others may wait and sleep while other tasks go on: they
        take effect where a chunk is created, or at the end.
        """
        if self._works:
            self._works = False
            self.allocator.balance(2)
            self._count_lives()

    def _follow(self, kind: Kind, kernel: Location | None) -> Choice:
        flags = {flag: flag in kind.flags for flag in FLAGS}
        learn = self._learns or self._passed_over >= 0
        choice = self.allocator.follow(kind.size, kind.align, kernel, learn=learn, **flags)
        self.figures.learnt += choice.learnt
        return choice

    # --- chunks

    @property
    def _last(self) -> int:
        """Number of our last chunk."""
        return self.allocator._lives()[0]

    @property
    def _requested(self) -> bool:
        return self.allocator._balance_requested()

    def _name_of(self, number: int) -> int | None:
        """Return the recording's number of one of our chunks."""
        return next((name for name, ours in self._ids.items() if ours == number), None)

    def _create_to(self, number: int) -> None:
        """Create chunks without an area in use, up to a number."""
        while self._last < number:
            self.allocator.free(self._take(4, 4, Location(self._last + 1, 0)))

    def _take(self, size: int, align: int, place: Location) -> int:
        return self.allocator.follow(size, align, place).ptr

    def _substitute(self, chunk: int, spare: list[int]) -> int:
        """Return the first spare chunk of ours that lives, or the next one, for a kernel's."""
        if spare:
            alive = {chunk.id for chunk in self.allocator.state().chunks}
            spare[:] = [number for number in spare if number in alive]
        self._ids[chunk] = spare.pop(0) if spare else self._last + 1
        return self._ids[chunk]

    def _bury(self, number: int) -> None:
        """Empty a chunk of ours whose chunk the kernel destroyed; a guess may have filled it."""
        for place in [place for place in self._old if place.chunk == number]:
            self.allocator.free(self._old.pop(place))
        self._dead.append(number)

    def _count_lives(self, *, forced: bool = False) -> None:
        """Count chunks that the policy created and destroyed since the last time."""
        made, gone = self.allocator._lives()
        named = self._ids.values()
        self._unnamed += [n for n in range(self._made + 1, made + 1) if n not in named]
        self._pair("made", self.figures.made, ours=made - self._made - forced)
        self._pair("destroyed", self.figures.destroyed, ours=gone - self._gone)
        self._made, self._gone = made, gone

    def _pair(self, what: str, foretold: Foretold, *, kernel: int = 0, ours: int = 0) -> None:
        """Pair what the kernel did with what the policy did, in either order."""
        foretold.seen = (foretold.seen or 0) + kernel
        waiting = self._unpaired[what]
        waiting[0] += kernel
        waiting[1] += ours
        pairs = min(waiting)
        foretold.foretold += pairs
        waiting[0] -= pairs
        waiting[1] -= pairs


def _contradiction(step: Alloc, why: str) -> TraceError:
    """Return the error for a choice that no kernel can have made after the steps before it."""
    size, align = step.kind.size, step.kind.align
    return TraceError(
        f"operation {step.number}: the kernel places {size} bytes, aligned to {align}, at offset "
        f"{step.place.offset} of chunk {step.place.chunk}, {why}: events were lost, or the start "
        "or the geometry is not that of the recording; give --start and --like, or record from "
        "boot on"
    )
