# SPDX-License-Identifier: GPL-2.0-only
"""Random set-ups and random traces, each determined by its seed.

Set-ups are small, so that chunks fill up, maps outgrow a page and limits are near.  A trace
changes its style now and then: the sizes it requests, whether it grows or shrinks, the order
in which it frees.  It does not depend on the allocators' answers, so it can be repeated and
shortened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from percpu_ffi import errors
from percpu_ffi._util.integers import integer
from percpu_ffi.config import FAULT_SITES
from percpu_ffi.errors import ConfigError, shown
from percpu_ffi.trace import Op, Trace
from percpu_ffi.trace.operations import checked_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from random import Random

PAGE_SIZES = (64,) * 8 + (4096,) * 5 + (1, 2, 4, 16, 256, 1024, 16384)
MOST_CPUS = 5
PAGES = 16  # of the smallest unit, and of the largest request


def random_setup(rng: Random) -> dict[str, Any]:
    """Choose the arguments of an allocator without memory; they may not fit together."""
    page = rng.choice(PAGE_SIZES)
    largest = PAGES * page
    cpus = rng.randint(1, MOST_CPUS)
    static = rng.choice(
        [
            rng.randint(1, 8),
            page,
            page + 1,
            max(page - 1, 1),
            rng.randint(1, 3 * page),
            rng.randint(1, largest),
            largest - rng.randint(0, min(5, largest - 1)),
            rng.randint(1, 20 * page),
        ]
    )
    first_chunk = rng.choice(["4k", "4k", "4k", "embed", "remap"])
    setup = {
        "cpus": cpus,
        "static_size": static,
        "first_chunk": first_chunk,
        "page_size": page,
        "memory": "none",
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
    if rng.random() < 0.1:
        setup["page_limit"] = rng.randint(1, 60)
    return setup


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


def random_trace(
    rng: Random, setup: dict[str, Any], length: int, *, faults: bool, mix: Mix
) -> Trace:
    """Choose ``length`` operations, some of which set faults if ``faults`` is true."""
    ops = _operations(rng, setup, length, faults and not mix.plans, mix)
    plans = mix.plans if faults else ()
    planned: list[Op] = [("inject", site, dict(plan)) for site, plan in plans]
    return Trace.from_ops([*planned, *ops], setup)


def _operations(
    rng: Random, setup: dict[str, Any], length: int, faults: bool, mix: Mix
) -> Iterator[Op]:
    page = setup.get("page_size") or 4096
    fault_rate = rng.choice([0.005, 0.02, 0.1, 0.25]) if faults else 0.0
    live: list[int] = []
    size, align = _style(rng, page, mix)
    growth, order, most_live = 0.6, "random", rng.choice([10, 60, 300])
    for key in range(length):
        if rng.random() < 0.01:
            size, align = _style(rng, page, mix)
            growth = rng.choice([0.05, 0.4, 0.6, 0.95])
            order = rng.choice(["random", "newest", "oldest", "every other"])
        if rng.random() < fault_rate:
            yield _fault(rng)
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
            yield ("free", live.pop(_victim(rng, order, key, len(live))))


def _style(rng: Random, page: int, mix: Mix) -> tuple[Callable[[], int], Callable[[], int]]:
    """Choose functions that choose the size and the alignment of each request."""
    largest = PAGES * page
    powers = [1 << i for i in range(page.bit_length())]
    size: Callable[[], int] = rng.choice(
        [
            lambda: rng.randint(1, 3),  # only these leave fewer than 4 bytes
            lambda: rng.choice([1, 2, 3, 4, 5, rng.randint(1, 40)]),
            lambda: 4 * rng.randint(1, 16),
            lambda: rng.randint(1, 64),
            lambda: rng.choice([rng.randint(1, 48), rng.randint(1, page), rng.randint(1, largest)]),
            lambda: page * rng.randint(1, PAGES) + rng.randint(-3, 3),
            lambda: rng.randint(largest // 2, largest),
        ]
    )
    align: Callable[[], int] = rng.choice(
        [
            lambda: 1,
            lambda: min(rng.choice([1, 2, 4, 8]), page),
            lambda: min(8, page),
            lambda: rng.choice(powers),
        ]
    )
    sizes, aligns = mix.sizes, mix.aligns
    return (
        (lambda: rng.choice(sizes)) if sizes else (lambda: min(max(size(), 1), largest)),
        (lambda: rng.choice(aligns)) if aligns else align,
    )


def _victim(rng: Random, order: str, turn: int, n: int) -> int:
    """Choose which of ``n`` live areas to free."""
    chosen = {"newest": n - 1, "oldest": 0, "every other": 2 * turn % n}
    return chosen[order] if order in chosen else rng.randrange(n)


def _fault(rng: Random) -> Op:
    site = rng.choice(FAULT_SITES)
    plans: list[dict[str, Any]] = [
        {"nth": rng.randint(1, 4)},
        {"nth": rng.randint(1, 25), "times": rng.randint(1, 3)},
        {"nth": rng.randint(1, 9), "times": -1, "interval": rng.randint(1, 4)},
        {"probability": rng.choice([0.01, 0.1, 0.5]), "seed": rng.getrandbits(64)},
        {},
    ]
    return ("inject", site, rng.choice(plans))


def _refused(rng: Random, page: int) -> tuple[int, int]:
    """Choose a size and an alignment, one of them invalid."""
    largest = PAGES * page
    return rng.choice(
        [(0, 1), (-rng.randint(1, 1 << 40), 1), (largest + 1, 1), (1, 2 * page), (1, -8), (1, 0)]
    )
