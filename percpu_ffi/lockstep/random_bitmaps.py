# SPDX-License-Identifier: GPL-2.0-only
"""Random set-ups and operations for the bitmap policy, as ``random_traces`` has them for 2009.

Units are small again: a chunk has 8 to 32 pages of 64 bytes or more, so that chunks come and go,
and pages with them.  Requests may be atomic or reserved, and background work may run at any time.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

from percpu_ffi.config import FIXES, GRANULE
from percpu_ffi.lockstep.random_traces import ORDERS, Form, Mix, fault, victim
from percpu_ffi.trace import Op, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random


PAGE_SIZES = (64,) * 7 + (128,) * 3 + (256,) * 3 + (512,) * 2 + (1024,) * 2 + (4096,) * 3
PAGES = 8  # of the smallest unit, and of the largest request
WHOLE = 1024  # bytes of a page from which on the dynamic part may be left to the set-up


def random_setup(rng: Random, page: int, form: Form) -> dict[str, Any]:
    """Choose the arguments of an allocator; they may not fit together.

    Args:
        rng: chooses.
        page: bytes.
        form: of the case.

    """
    if form.deep:
        return _setup_of_holes(rng)
    if form.mapped:
        page = mmap.PAGESIZE
    cpus = rng.randint(1, 2 if form.mapped else 4)
    static = rng.choice([rng.randint(1, 8), page - 1, page, page + 1, rng.randint(1, 5 * page)])
    reserved = rng.choice([0, 0, GRANULE * rng.randint(1, page)])
    dynamic = GRANULE * rng.choice([1, rng.randint(1, page // 4), rng.randint(1, 2 * page)])
    needed = -(-(static + GRANULE + reserved + dynamic) // page)
    setup: dict[str, Any] = {
        "policy": "bitmap",
        "cpus": cpus,
        "static_size": static,
        "reserved_size": reserved,
        "dyn_size": dynamic,
        "unit_size": page * (max(needed, PAGES) + rng.choice([0, 0, 1, 8, 24])),
        "page_size": page,
        "memory": "mapped" if form.mapped else "none",
        "nodes": rng.randint(1, cpus),
        "balance": rng.choice(["auto", "auto", "manual"]),
    }
    if page >= WHOLE and rng.random() < 0.5:
        setup["dyn_size"] = 0
        setup["unit_size"] += 32 << 10
    if form.calls == "replay" and rng.random() < 0.6:
        # the states of such large units are compared now and then
        setup |= {"page_size": 4096, "static_size": rng.randint(1, 200_000)}
        setup |= {"dyn_size": 0, "unit_size": 0}
    if rng.random() < 0.3:
        setup["fixes"] = list(FIXES)
    if rng.random() < 0.2:
        setup["page_limit"] = rng.randint(8, 100)
    return setup


def random_trace(
    rng: Random, setup: dict[str, Any], length: int, *, form: Form, faults: bool, mix: Mix
) -> Trace:
    """Choose ``length`` operations, some of which set faults if ``faults`` is true."""
    planned = mix.planned(faults)
    if form.deep:
        planned += _holes(setup, faults)
    make = _bursts if form.calls == "many" else _operations
    ops = make(rng, setup, length, faults and not planned, mix)
    return Trace.from_ops([*planned, *ops], setup)


def _setup_of_holes(rng: Random) -> dict[str, Any]:
    """Choose a set-up for :func:`_holes`: the first chunk has room for no page."""
    page = rng.choice([64, 128, 4096])
    return {
        "policy": "bitmap",
        "cpus": rng.randint(1, 2),
        "static_size": page,
        "dyn_size": GRANULE,
        "unit_size": 16 * page,
        "page_size": page,
        "memory": "none",
        "balance": "manual",
    }


def _holes(setup: dict[str, Any], faults: bool) -> Iterator[Op]:
    """Populate a request's pages in two runs, of which the second fails and the first stays.

        page       0   1   2   3   4   5   6   7   8   9  10  11  12  13  14  15
        chunk 1  |...............|#######|###########################################|
        chunk 2  |...|   |   |   |   |...|   |   |   |   |   |   |   |   |   |   |   |
                      <--- first --->     <--- second

    Pages of the second chunk are depopulated, all but one in use.  When that is freed too few
    others are empty, so it stays, and the background work populates the lowest page.
    """
    page, unit = setup["page_size"], range(16)
    yield from (("alloc", key, page, page) for key in range(2 * len(unit)))
    yield from (("free", key) for key in range(6))
    yield from (("free", 16 + at) for at in unit if at != 5)
    yield ("balance",)
    yield from (("alloc", key, page, page) for key in range(4))
    yield ("free", 16 + 5)
    yield ("balance",)
    if faults:
        yield ("inject", "map", {"nth": setup["cpus"] + 1})
    yield ("alloc", 32, PAGES * page, page)


def _operations(
    rng: Random, setup: dict[str, Any], length: int, faults: bool, mix: Mix
) -> Iterator[Op]:
    """Choose operations whose style changes now and then."""
    page = setup.get("page_size") or mmap.PAGESIZE
    fault_rate = rng.choice([0.005, 0.02, 0.1]) if faults else 0.0
    balance_rate = 0.03 if setup.get("balance") == "manual" else 0.003
    live: list[int] = []
    style = _Style(rng, page, mix)
    growth, order, most_live = 0.6, "random", rng.choice([10, 60, 300])
    for key in range(length):
        if rng.random() < 0.015:
            style = _Style(rng, page, mix)
            growth = rng.choice([0.05, 0.3, 0.5, 0.7, 0.95])
            order = rng.choice(ORDERS)
        if rng.random() < fault_rate:
            yield fault(rng)
        elif rng.random() < balance_rate:
            yield ("balance",)
        elif live and (len(live) >= most_live or rng.random() > growth):
            yield ("free", live.pop(victim(rng, order, key, len(live))))
        elif rng.random() < 0.004:
            yield ("alloc", key, *_refused(rng, page))
        else:
            yield style.alloc(key)
            live.append(key)


def _bursts(
    rng: Random, setup: dict[str, Any], length: int, faults: bool, mix: Mix
) -> Iterator[Op]:
    """Choose operations of which many neighbours can be done in one call."""
    page = setup.get("page_size") or mmap.PAGESIZE
    fault_rate = rng.choice([0.05, 0.2, 0.5]) if faults else 0.0
    live: list[int] = []
    most_live = rng.choice([60, 300])
    key = 0
    while key < length:
        burst = range(key, min(key + rng.choice([1, 3, 20, 100]), length))
        if rng.random() < fault_rate:
            burst = burst[:1]
            yield fault(rng)
        elif live and (len(live) > most_live or rng.random() < 0.5):
            order = rng.choice(ORDERS)
            burst = burst[: len(live)]
            for turn in burst:
                yield ("free", live.pop(victim(rng, order, turn, len(live))))
        else:
            style = _Style(rng, page, mix)
            align = style.align()
            refused = rng.choice(burst) if rng.random() < 0.05 else None  # and with it all
            for number in burst:
                size = PAGES * page + 1 if number == refused else style.size()
                yield ("alloc", number, size, align)
            live += burst
        key = burst.stop


class _Style:
    """How requests are chosen, for a while."""

    def __init__(self, rng: Random, page: int, mix: Mix) -> None:
        largest = PAGES * page
        sizes: list[Callable[[], int]] = [
            lambda: rng.randint(1, 40),
            lambda: GRANULE * rng.randint(1, 8),
            lambda: rng.randint(1, page),
            lambda: rng.choice([rng.randint(1, 48), rng.randint(1, page), rng.randint(1, largest)]),
            lambda: page * rng.randint(1, PAGES) + rng.randint(-3, 3),
            lambda: rng.randint(page, largest),
            lambda: largest,
        ]
        aligns: list[Callable[[], int]] = [
            lambda: min(rng.choice([1, 2, 3, 4, 8]), page),
            lambda: 4,
            lambda: 8,
            lambda: 1 << rng.randrange(page.bit_length()),
            lambda: rng.choice([8, page // 2, page]),
        ]
        self.rng, self.largest = rng, largest
        if mix.sizes:
            sizes = [lambda: rng.choice(mix.sizes)]
        if mix.aligns:
            aligns = [lambda: rng.choice(mix.aligns)]
        self.size_of, self.align = rng.choice(sizes), rng.choice(aligns)
        self.flags = {
            "atomic": rng.choice([0.0, 0.1, 0.5, 0.9]),
            "reserved": rng.choice([0.0, 0.0, 0.1, 0.5]),
        }
        self.is_given = bool(mix.sizes)

    def size(self) -> int:
        """Choose a size."""
        size = self.size_of()
        return size if self.is_given else min(max(size, 1), self.largest)

    def alloc(self, key: int) -> Op:
        """Choose a request."""
        flags = tuple(name for name, share in self.flags.items() if self.rng.random() < share)
        request = self.size(), self.align()
        return ("alloc", key, *request, flags) if flags else ("alloc", key, *request)


def _refused(rng: Random, page: int) -> tuple[int, int]:
    """Choose a size and an alignment, one of them invalid."""
    sizes = [0, -rng.randint(1, 1 << 40), PAGES * page + 1]
    return rng.choice([*((size, 4) for size in sizes), (4, 2 * page), (4, -8), (4, 12)])
