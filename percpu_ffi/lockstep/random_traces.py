# SPDX-License-Identifier: GPL-2.0-only
"""Random set-ups and random traces, each determined by its seed.

Set-ups are small, so that chunks fill up, maps outgrow a page and limits are near.  A trace
changes its style now and then: the sizes it requests, whether it grows or shrinks, the order
in which it frees.  It does not depend on the allocators' answers, so it can be repeated and
shortened.

The number of a case decides its form, so that a few dozen cases in a row have every form.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from percpu_ffi import errors
from percpu_ffi._util.integers import integer
from percpu_ffi.config import FAULT_SITES, FIRST_CHUNKS
from percpu_ffi.errors import ConfigError, shown
from percpu_ffi.lockstep.party import CALLS
from percpu_ffi.trace import Op, Trace
from percpu_ffi.trace.operations import checked_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from random import Random

PAGE_SIZES = (64,) * 8 + (4096,) * 5 + (1, 2, 4, 16, 256, 1024, 16384)
MOST_CPUS = 5
PAGES = 16  # of the smallest unit, and of the largest request

ORDERS = ("random", "newest", "oldest", "every other")  # in which areas are freed

# of the cases that grow far: bytes of an area that is split later, and from one of the small
# areas there to the next; areas that have a chunk each
BLOCK, PITCH, CHUNKS = 8192, 16, 1100

PERIOD = 40  # cases, after which the forms repeat
DEEP_LENGTHS = range(500, 3001)  # operations of the others; a deep case has at least as many


class Form(NamedTuple):
    """What the number of a case decides."""

    calls: str = "single"
    """How its operations are called, as in :func:`drive`."""
    deep: str = ""
    """Grows ``"chunks"`` or a ``"map"`` far beyond those of other cases."""
    mapped: bool = False
    """Uses real memory."""


def form_of(number: int, length: int, calls: Collection[str]) -> Form:
    """Return the form of a case, with one of the given ways to call."""
    turn = number % PERIOD
    if turn in (17, 37) and length in DEEP_LENGTHS and "many" in calls:
        return Form("many", "map" if turn == 17 else "chunks")
    wanted = "replay" if turn % 8 == 2 else "many" if turn % 4 == 1 else "single"
    ways = [way for way in CALLS if way in calls]
    return Form(wanted if wanted in ways else ways[0], mapped=turn in (3, 13, 23))


def random_setup(rng: Random, page: int, form: Form) -> dict[str, Any]:
    """Choose the arguments of an allocator; they may not fit together.

    Args:
        rng: chooses.
        page: bytes.
        form: of the case.

    """
    if form.deep:
        return _deep_setup(rng, form.deep)
    if form.mapped:
        page = mmap.PAGESIZE
    largest = PAGES * page
    cpus = rng.randint(1, 2 if form.mapped else MOST_CPUS)
    static = rng.choice(
        [
            rng.randint(1, 8),
            page,
            page + 1,
            max(page - 1, 1),
            rng.randint(1, 3 * page),
            rng.randint(1, largest),
            largest - rng.randint(0, 5),
            rng.randint(1, 20 * page),
        ]
    )
    first_chunk = rng.choice(["4k", "4k", "4k", "embed", "remap"])
    setup = {
        "cpus": cpus,
        "static_size": static,
        "first_chunk": first_chunk,
        "page_size": page,
        "memory": "mapped" if form.mapped else "none",
        "nodes": rng.randint(1, cpus),
    }
    if first_chunk == "remap" or rng.random() < 0.5:
        static_pages = -(-static // page)
        unit = page * max(PAGES + rng.choice([0, 0, rng.randint(1, 24)]), static_pages)
        left = unit - static
        setup["unit_size"] = unit
        if left and (first_chunk == "remap" or rng.random() < 0.6):
            setup["free_size"] = rng.choice([left, rng.randint(1, left), min(left, 6)])
        elif first_chunk == "remap":
            setup["first_chunk"] = "4k"  # remap always leaves something free
    if rng.random() < 0.2:
        setup["page_limit"] = rng.randint(1, 60)
    if rng.random() < 0.4 and not form.mapped:  # the quirk does not allow views
        setup["quirks"] = ["rollback"]
    return setup


def _deep_setup(rng: Random, deep: str) -> dict[str, Any]:
    """Choose a set-up without limits: few CPUs, and for a long map large units."""
    page = 4096 if deep == "map" else rng.choice([16, 64, 4096])
    static = rng.randint(1, 2 * page)
    unit = page * (PAGES + (rng.randint(4, 7) if deep == "map" else 0))
    first_chunk = rng.choice(FIRST_CHUNKS)
    return {
        "cpus": rng.randint(1, 2),
        "static_size": static,
        "first_chunk": first_chunk,
        "page_size": page,
        "memory": "none",
        "unit_size": unit,
        "free_size": unit - static if first_chunk == "remap" else 0,
    }


@dataclass(frozen=True)
class Mix:
    """The parts of a trace that are not random.

    Raises:
        ConfigError: a number is not an integer, or a fault is impossible.

    """

    sizes: Sequence[int] = ()
    """Sizes to choose from, in bytes; one that is listed twice comes twice as often."""
    aligns: Sequence[int] = ()
    """Alignments, likewise."""
    plans: Sequence[tuple[str, Mapping[str, Any]]] = ()
    """Faults to set at the start of a trace with faults, instead of random ones: a service
    and the arguments of ``inject()``."""

    def __post_init__(self) -> None:
        for name in ("sizes", "aligns", "plans"):
            if not hasattr(getattr(self, name), "__iter__"):
                raise errors.wrong_type(name, getattr(self, name), "a sequence")
        for name in ("sizes", "aligns"):
            numbers = [integer(number) for number in getattr(self, name)]
            if None in numbers:
                raise ConfigError(f"{name}={shown(getattr(self, name))}: integers are needed")
            object.__setattr__(self, name, tuple(numbers))
        for pair in self.plans:
            errors.check_type("plan", pair, (tuple, list), "a service and a mapping")
            if len(pair) != 2:
                raise errors.wrong_type("plan", pair, "a service and a mapping")
        plans = tuple((site, checked_fault(site, plan)) for site, plan in self.plans)
        object.__setattr__(self, "plans", plans)

    def planned(self, faults: bool) -> list[Op]:
        """Return the operations that set the given faults, for a trace with faults."""
        return [("inject", site, dict(plan)) for site, plan in self.plans] if faults else []


def random_trace(
    rng: Random, setup: dict[str, Any], length: int, *, form: Form, faults: bool, mix: Mix
) -> Trace:
    """Choose ``length`` operations, some of which set faults if ``faults`` is true.

    A deep case has as many as it needs.
    """
    planned = mix.planned(faults)
    faults = faults and not planned
    if form.deep:
        deep = _long_map if form.deep == "map" else _many_chunks
        ops = deep(rng, setup, faults)
    else:
        make = _bursts if form.calls == "many" else _operations
        ops = make(rng, setup, length, faults, mix)
    return Trace.from_ops([*planned, *ops], setup)


def _operations(
    rng: Random, setup: dict[str, Any], length: int, faults: bool, mix: Mix
) -> Iterator[Op]:
    page = setup.get("page_size") or mmap.PAGESIZE
    fault_rate = rng.choice([0.005, 0.02, 0.1, 0.25]) if faults else 0.0
    live: list[int] = []
    size, align = _style(rng, page, mix)
    growth, order, most_live = 0.6, "random", rng.choice([10, 60, 300])
    for key in range(length):
        if rng.random() < 0.01:
            size, align = _style(rng, page, mix)
            growth = rng.choice([0.05, 0.4, 0.6, 0.95])
            order = rng.choice(ORDERS)
            if faults and rng.random() < 0.6:
                # maps cannot grow while heads are given away
                (size, align), growth = _style(rng, page, mix, odd=True), 0.95
                site = rng.choice(["kmalloc", "vmalloc"])
                yield ("inject", site, {"probability": 0.9, "seed": rng.getrandbits(64)})
                continue
        if rng.random() < fault_rate:
            yield fault(rng)
            continue
        if not live or (len(live) < most_live and rng.random() < growth):
            if rng.random() < 0.004:
                yield ("alloc", key, *_refused(rng, page))
                continue
            if live and rng.random() < 0.002:
                yield ("alloc", rng.choice(live), 8, 1)  # a live key: freed first
                continue
            yield ("alloc", key, size(), align())
            live.append(key)
        else:
            yield ("free", live.pop(victim(rng, order, key, len(live))))


def _bursts(
    rng: Random, setup: dict[str, Any], length: int, faults: bool, mix: Mix
) -> Iterator[Op]:
    """Choose operations of which many neighbours can be done in one call."""
    page = setup.get("page_size") or mmap.PAGESIZE
    fault_rate = rng.choice([0.05, 0.2, 0.5]) if faults else 0.0
    live: list[int] = []
    most_live = rng.choice([60, 300, 1500])
    key = 0
    while key < length:
        burst = range(key, min(key + rng.choice([1, 3, 20, 100, 600]), length))
        if rng.random() < fault_rate:
            burst = burst[:1]
            yield fault(rng)
        elif live and (len(live) > most_live or rng.random() < 0.5):
            order = rng.choice(ORDERS)
            burst = burst[: len(live)]
            for turn in burst:
                yield ("free", live.pop(victim(rng, order, turn, len(live))))
        else:
            size, align = _style(rng, page, mix)
            # at 64 bytes small areas leave a free range each, so that maps get long
            common = align() if mix.aligns or rng.random() < 0.75 else min(64, page)
            refused = rng.choice(burst) if rng.random() < 0.05 else None  # and with it all
            for number in burst:
                yield ("alloc", number, PAGES * page + 1 if number == refused else size(), common)
            live += burst
        key = burst.stop


def _long_map(rng: Random, setup: dict[str, Any], faults: bool) -> Iterator[Op]:
    """Split a chunk into thousands of areas and free ranges, from its end to its start.

    The first fit then is near the start of the map, which keeps its scans short.
    """
    blocks = (setup["unit_size"] - setup["static_size"]) // BLOCK
    yield from (("alloc", key, BLOCK, PITCH) for key in range(blocks))
    areas: list[int] = []
    if faults:
        yield ("inject", "vmalloc", {"nth": rng.randint(1, 4)})
    for block in reversed(range(blocks)):
        yield ("free", block)
        keys = range(len(areas) + blocks, len(areas) + blocks + BLOCK // PITCH)
        for _ in range(1 + faults):  # again where a fault may have undone it
            yield from (("alloc", key, rng.randint(4, PITCH - 4), PITCH) for key in keys)
        areas += keys
    for _ in range(6):
        some = rng.sample(areas, 20)
        yield from (("free", key) for key in some)
        size, align = rng.randint(1, 3 * PITCH), rng.choice([1, 8, PITCH, 256])
        yield from (("alloc", key, size, align) for key in some)


def _many_chunks(rng: Random, setup: dict[str, Any], faults: bool) -> Iterator[Op]:
    """Fill over 1,000 chunks with an area each, use what they leave, and release most."""
    unit = setup["unit_size"]
    rest = rng.choice([0, rng.randint(1, 8), rng.randint(1, 2 * unit // 5)])
    large, small = range(CHUNKS), range(CHUNKS, CHUNKS + 400)
    yield from (("alloc", key, unit - rest, 1) for key in large)
    yield from (("alloc", key, rng.randint(1, rest or 1), 1) for key in small)
    for _ in range(4):
        if faults:
            yield fault(rng)
        some = rng.sample(large, CHUNKS // 4)
        yield from (("free", key) for key in some)
        size = rng.randint(1, unit)
        yield from (("alloc", key, size, 1) for key in some[: CHUNKS // 8])
    yield from (("free", key) for key in (*large, *small))


def _style(
    rng: Random, page: int, mix: Mix, *, odd: bool = False
) -> tuple[Callable[[], int], Callable[[], int]]:
    """Choose functions that choose the size and the alignment of each request.

    With ``odd`` few areas end where the next one can start.
    """
    largest = PAGES * page
    powers = [1 << i for i in range(page.bit_length())]
    some_sizes: list[Callable[[], int]] = [
        lambda: rng.choice([1, 2, 3, 4, 5, rng.randint(1, 40)]),
        lambda: rng.randint(1, 3),  # only these leave fewer than 4 bytes
        lambda: 4 * rng.randint(1, 16),
        lambda: rng.randint(1, 64),
        lambda: rng.choice([rng.randint(1, 48), rng.randint(1, page), rng.randint(1, largest)]),
        lambda: page * rng.randint(1, PAGES) + rng.randint(-3, 3),
        lambda: rng.randint(largest // 2, largest),
    ]
    some_aligns: list[Callable[[], int]] = [
        lambda: min(rng.choice([1, 2, 4, 8]), page),
        lambda: 1,
        lambda: min(8, page),
        lambda: rng.choice(powers),
    ]
    size = some_sizes[0] if odd else rng.choice(some_sizes)
    align = some_aligns[0] if odd else rng.choice(some_aligns)
    sizes, aligns = mix.sizes, mix.aligns
    return (
        (lambda: rng.choice(sizes)) if sizes else (lambda: min(max(size(), 1), largest)),
        (lambda: rng.choice(aligns)) if aligns else align,
    )


def victim(rng: Random, order: str, turn: int, n: int) -> int:
    """Choose which of ``n`` live areas to free."""
    chosen = {"newest": n - 1, "oldest": 0, "every other": 2 * turn % n}
    return chosen[order] if order in chosen else rng.randrange(n)


def fault(rng: Random) -> Op:
    """Choose a fault to set, or to clear."""
    site, chance = rng.choice(FAULT_SITES), rng.choice([0.01, 0.1, 0.5])
    plans: list[dict[str, Any]] = [
        {"nth": rng.randint(1, 4)},
        {"nth": rng.randint(1, 25), "times": rng.randint(1, 3)},
        {"nth": rng.randint(1, 9), "times": -1, "interval": rng.randint(1, 4)},
        {"probability": chance, "seed": rng.getrandbits(64)},
        {"interval": rng.randint(2, 4), "probability": chance, "seed": rng.getrandbits(64)},
        {},
    ]
    return ("inject", site, rng.choice(plans))


def _refused(rng: Random, page: int) -> tuple[int, int]:
    """Choose a size and an alignment, one of them invalid."""
    largest = PAGES * page
    return rng.choice(
        [(0, 1), (-rng.randint(1, 1 << 40), 1), (largest + 1, 1), (1, 2 * page), (1, -8), (1, 0)]
    )
