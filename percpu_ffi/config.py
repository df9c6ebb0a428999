# SPDX-License-Identifier: GPL-2.0-only
"""Arguments of constructor and ``inject()``: checked, with a message for each mistake."""

from __future__ import annotations

import mmap
import operator
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from percpu_ffi._util.text import plural
from percpu_ffi.errors import ConfigError, bad_bitmap_unit, bad_first_chunk, shown

Policy = Literal["area-map", "bitmap"]
Balance = Literal["auto", "manual"]
FirstChunk = Literal["4k", "embed", "remap"]
Memory = Literal["mapped", "none"]
Buffer = bytes | bytearray | memoryview
"""What has bytes."""

AREA_MAP, BITMAP = POLICIES = ("area-map", "bitmap")
BALANCES = ("auto", "manual")
FIRST_CHUNKS = ("4k", "embed", "remap")


def policy_name(setup: Mapping[str, Any]) -> str:
    """Return one name for the arguments ``policy`` and ``fixes``, such as bitmap+chunk-hint."""
    return "+".join([setup.get("policy", AREA_MAP), *sorted({*setup.get("fixes", ())})])


def policy_arguments(name: str) -> dict[str, Any]:
    """Return the arguments for such a name."""
    policy, *fixes = name.split("+")
    return {"policy": policy, **({"fixes": tuple(fixes)} if policy == BITMAP else {})}


class _Default(str):
    """A default that is known from the same value given by the user."""


DEFAULT_FIRST_CHUNK = cast("FirstChunk", _Default("4k"))

# settings that make a geometry, in the order of tables and names
GEOMETRY = ("policy", "first_chunk", "unit_size", "cpus", "static_size", "free_size", "page_size")

MEMORIES = ("mapped", "none")
QUIRKS = ("rollback",)
FIXES = ("chunk-hint",)
SERVICES = (
    "kmalloc",
    "kfree",
    "vmalloc",
    "vfree",
    "get_vm_area",
    "free_vm_area",
    "alloc_page",
    "free_page",
    "map",
    "unmap",
    "flush_cache_vmap",
    "flush_cache_vunmap",
    "flush_tlb",
    "warn",
)
FAULT_SITES = ("kmalloc", "vmalloc", "get_vm_area", "alloc_page", "map")

# arguments that only one policy has
ONLY = {
    AREA_MAP: frozenset({"first_chunk", "free_size", "quirks"}),
    BITMAP: frozenset({"policy", "reserved_size", "dyn_size", "fixes", "balance"}),
}

MAX_CPUS = 65536
MAX_PAGE_SIZE = 64 << 20
MAX_UNIT_SIZE = 1 << 30
# PCPU_MIN_UNIT_SIZE in pages, also the largest request: of 2009, and of today
MIN_UNIT_PAGES = {AREA_MAP: 16, BITMAP: 8}
BALANCE_STEPS = 4  # of the background work of today
GRANULE = 4  # PCPU_MIN_ALLOC_SIZE of today, bytes
MIN_BITMAP_PAGE = 64  # bytes
POLICY_NAMES = (*POLICIES, *(f"{BITMAP}+{fix}" for fix in FIXES))
AUTO = "0 leaves it to the first chunk's set-up"


def _integer(name: str, value: Any, low: int, high: int, hint: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or not low <= number <= high:
        raise ConfigError(
            f"{name}={shown(value)}: an integer from {low} to {high} is needed; {hint}"
        )
    return number


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value in allowed:
        return value
    raise ConfigError(f"{name}={shown(value)}: choose one of {', '.join(map(repr, allowed))}")


class Config:
    """The arguments of an allocator, each checked by itself; sizes are in bytes.

    Whether the sizes fit together is known to the set-up of the first chunk, which also
    chooses those that are 0.

    Raises:
        ConfigError: an argument is out of range.

    """

    def __init__(
        self,
        cpus: int = 4,
        static_size: int = 8192,
        first_chunk: str = DEFAULT_FIRST_CHUNK,
        unit_size: int = 0,
        free_size: int = 0,
        static_image: Buffer | None = None,
        nodes: int = 1,
        page_size: int | None = None,
        memory: str = "mapped",
        page_limit: int | None = None,
        quirks: Collection[str] = (),
        policy: str = AREA_MAP,
        reserved_size: int = 0,
        dyn_size: int = 0,
        fixes: Collection[str] = (),
        balance: str = "auto",
    ) -> None:
        self.policy = _choice("policy", policy, POLICIES)
        if self.policy == BITMAP:
            given = None if first_chunk is DEFAULT_FIRST_CHUNK else first_chunk
            others = {"first_chunk": given, "free_size": free_size, "quirks": quirks}
        else:
            others = {"reserved_size": reserved_size, "dyn_size": dyn_size, "fixes": fixes}
            if balance != "auto":
                others["balance"] = balance
        _refuse(self.policy, others)
        self.first_chunk = _choice("first_chunk", first_chunk, FIRST_CHUNKS)
        self.memory = _choice("memory", memory, MEMORIES)
        self.cpus = _integer("cpus", cpus, 1, MAX_CPUS, "give the number of possible CPUs")
        self.nodes = _integer("nodes", nodes, 1, self.cpus, "every NUMA node needs a CPU")
        self.page_size = _page_size(page_size, memory)
        self.static_size = _integer(
            "static_size", static_size, 1, MAX_UNIT_SIZE, "the first chunk starts with static data"
        )
        self.unit_size = _integer("unit_size", unit_size, 0, MAX_UNIT_SIZE, AUTO)
        self.free_size = _integer("free_size", free_size, 0, MAX_UNIT_SIZE, AUTO)
        if self.unit_size % self.page_size:
            raise ConfigError(
                f"unit_size={unit_size}: a multiple of the page size {self.page_size} is needed; "
                f"{AUTO}"
            )
        self.page_limit = 0  # page frames of a node; 0: no limit
        if page_limit is not None:
            self.page_limit = _integer("page_limit", page_limit, 1, 1 << 62, "None means no limit")
        self.static_image = _image(static_image, self.static_size)
        self.quirks = _names("quirks", quirks, QUIRKS)
        self.reserved_size = _granules("reserved_size", reserved_size, "0 reserves nothing")
        self.dyn_size = _granules("dyn_size", dyn_size, AUTO)
        self.fixes = _names("fixes", fixes, FIXES)
        self.balance = _choice("balance", balance, BALANCES)
        if self.policy == BITMAP and self.page_size < MIN_BITMAP_PAGE:
            raise ConfigError(
                f"page_size={page_size}: policy='bitmap' needs pages of {MIN_BITMAP_PAGE} bytes "
                "or more"
            )

    @property
    def max_size(self) -> int:
        """The largest request in bytes: 16 pages; with bitmaps 8."""
        return MIN_UNIT_PAGES[self.policy] * self.page_size

    def misfit(self) -> ConfigError:
        """Return the error for sizes that do not fit together."""
        if self.policy == BITMAP:
            return bad_bitmap_unit(
                self.static_size,
                self.reserved_size,
                self.dyn_size,
                self.unit_size,
                self.page_size,
            )
        return bad_first_chunk(
            self.first_chunk, self.static_size, self.unit_size, self.free_size, self.page_size
        )


def _page_size(page_size: int | None, memory: str) -> int:
    if page_size is None:
        return mmap.PAGESIZE
    page_size = _integer("page_size", page_size, 1, MAX_PAGE_SIZE, "None takes the host's")
    if page_size & (page_size - 1):
        raise ConfigError(f"page_size={page_size}: a power of two is needed; None takes the host's")
    if memory == "mapped" and page_size < mmap.PAGESIZE:
        raise ConfigError(
            f"page_size={page_size}: real memory has pages of {mmap.PAGESIZE} bytes or multiples "
            "of them; smaller ones need memory='none'"
        )
    return page_size


def _image(image: Buffer | None, static_size: int) -> bytes:
    if image is None:
        return b""
    try:
        data = bytes(memoryview(image))
    except TypeError:
        raise ConfigError(
            f"static_image={type(image).__name__}: a bytes-like object is needed, or None"
        ) from None
    if len(data) > static_size:
        raise ConfigError(
            f"static_image has {plural(len(data), 'byte', '')}, the static area {static_size}; "
            "shorten it or "
            "raise static_size"
        )
    return data


def _names(argument: str, values: Collection[str], allowed: tuple[str, ...]) -> frozenset[str]:
    names: tuple[Any, ...]
    try:
        names = (values,) if isinstance(values, str) else tuple(values)
    except TypeError:
        names = (values,)
    for name in names:
        _choice(argument, name, allowed)
    return frozenset(names)


def _granules(name: str, value: Any, hint: str) -> int:
    size = _integer(name, value, 0, MAX_UNIT_SIZE, hint)
    if size % GRANULE:
        raise ConfigError(f"{name}={value}: a multiple of {GRANULE} is needed; {hint}")
    return size


def _refuse(policy: str, others: dict[str, Any]) -> None:
    """Refuse arguments that only the other policy has."""
    other = BITMAP if policy == AREA_MAP else AREA_MAP
    for name, value in others.items():
        if value:
            raise ConfigError(
                f"{name}={shown(value)}: policy={policy!r} has no {name}; leave it out, or choose "
                f"policy={other!r}"
            )


@dataclass(frozen=True)
class FaultPlan:
    """The calls to a service that fail; made by :meth:`check`.

    Source of the names: the kernel's ``lib/fault-inject.c``.
    """

    nth: int
    """The first call from now that may fail, from 1."""
    interval: int
    """From then on every interval-th call may fail, from 1."""
    times: int
    """How often to fail at most; -1: no limit."""
    probability: float
    """Chance of each such call, above 0, up to 1."""
    seed: int
    """Seed of the random numbers, 64 bits."""

    @classmethod
    def check(
        cls,
        nth: int | None = None,
        times: int | None = None,
        interval: int | None = None,
        probability: float | None = None,
        seed: int = 0,
    ) -> FaultPlan | None:
        """Return the plan for arguments of ``inject()``, None where all of them are.

        Raises:
            ConfigError: a value is out of range.

        """
        seed = _integer("seed", seed, 0, (1 << 64) - 1, "the same seed gives the same faults")
        if nth is None and times is None and interval is None and probability is None:
            return None
        if times is None:
            times = -1 if nth is None else 1
        times = _integer("times", times, -1, (1 << 63) - 1, "-1 means no limit")
        if times == 0:
            raise ConfigError("times=0: a plan fails at least once, or without limit for -1")
        if probability is None:
            probability = 1.0
        try:
            chance = 0.0 if isinstance(probability, str) else float(probability)
        except (TypeError, ValueError, OverflowError):
            chance = 0.0
        if not 0.0 < chance <= 1.0:
            raise ConfigError(
                f"probability={shown(probability)}: a number above 0, up to 1 is needed (the "
                "kernel's own file takes percent)"
            )
        high = (1 << 63) - 1
        return cls(
            nth=_integer("nth", 1 if nth is None else nth, 1, high, "1 is the next call"),
            interval=_integer(
                "interval", 1 if interval is None else interval, 1, high, "1 is every call"
            ),
            times=times,
            probability=chance,
            seed=seed,
        )
