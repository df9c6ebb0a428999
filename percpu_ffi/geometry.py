# SPDX-License-Identifier: GPL-2.0-only
"""The geometry of a real machine, as its kernel printed it.

A kernel prints it when it boots, for one of its two ways to make the first chunk:

    percpu: Embedded 66 pages/cpu s233472 r8192 d28672 u2097152
    percpu: 12 4K pages/cpu s24576 r0 d24576

s, r and d are the bytes of the static, the reserved and the dynamic area, u those of a unit:

    |  static  | reserved | dynamic |    unused    |
     <--- s --> <-- r ---> <-- d -->
     <-------------------- u --------------------->

``percpu_stats`` has the same sizes, and a recording by ``percpu-ffi record`` has both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import NoneType
from typing import TYPE_CHECKING, Any

from percpu_ffi.config import AREA_MAP
from percpu_ffi.errors import ConfigError, StatsError, check_path, check_type
from percpu_ffi.stats.dump import Dump
from percpu_ffi.stats.source import read_text
from percpu_ffi.stats.text import TITLE
from percpu_ffi.trace import Trace
from percpu_ffi.trace.source import open_source
from percpu_ffi.trace.trace import is_own_file

if TYPE_CHECKING:
    from pathlib import Path

# between two words: mailers wrap and quote lines
GAP = r"[\s>]+"
SIZES = GAP.join(["", r"s(?P<s>\d{1,19})", r"r(?P<r>\d{1,19})", r"d(?P<d>\d{1,19})"])
UNIT = rf"{GAP}u(?P<u>\d{{1,19}})"
ADDRESS = rf"(?:{GAP}@ *\S+)?"  # before Linux 5.2
PAGES = rf"(?P<pages>\d{{1,9}}){GAP}"
LINES = (
    rf"Embedded{GAP}{PAGES}pages/cpu{ADDRESS}{SIZES}{UNIT}",
    rf"{PAGES}(?P<kib>\d{{1,6}})K{GAP}pages/cpu{ADDRESS}{SIZES}",
)
DEBUGGING = rf"pcpu-alloc:{SIZES}{UNIT}"  # the same, without the pages
CPU_IDS = re.compile(r"nr_cpu_ids[:=](\d{1,6})\b")
UNITS = re.compile(r"pcpu-alloc: ((?:\[\d+\]|\d{1,6}|[-| ])+)")

RECOGNISED = (
    "recognised are the line of a kernel's boot (`percpu: Embedded 66 pages/cpu s233472 r8192 "
    "d28672 u2097152`), alone or in the output of dmesg, a dump of percpu_stats, and a recording "
    "by `percpu-ffi record`"
)


@dataclass(frozen=True)
class Geometry:
    """Sizes in bytes of one CPU's unit; None where the source does not have them."""

    static_size: int
    reserved_size: int
    dyn_size: int
    unit_size: int
    page_size: int | None = None
    cpus: int | None = None
    """Possible CPUs."""

    @classmethod
    def load(cls, path: str | Path) -> Geometry:
        """Read the geometry from a file, plain or compressed; ``-`` is standard input.

        Raises:
            OSError: the file cannot be read.
            StatsError: it has no geometry.
            TraceError: it is a recording, or compressed, and damaged.
            ConfigError: ``path`` is of a wrong type.

        """
        check_path(path)
        with open_source(path) as blocks:
            if is_own_file(blocks.head):
                return cls.from_machine(Trace.read(blocks).machine, blocks.name)
            return cls.from_text(read_text(blocks), blocks.name)

    @classmethod
    def from_text(cls, text: str, name: str | None = None) -> Geometry:
        """Find the geometry in a text: a line of the boot, the last one, else a dump.

        Args:
            text: the output of dmesg, a line of it, a dump of percpu_stats, in any other text.
            name: of the file, for errors.

        Raises:
            StatsError: there is none, or the dump is cut or damaged.
            ConfigError: an argument is of a wrong type.

        """
        check_type("text", text, str, "a str")
        check_type("name", name, (str, NoneType), "a str, or None,")
        for patterns in (LINES, (DEBUGGING,)):
            if found := [line for pattern in patterns for line in re.finditer(pattern, text)]:
                last = max(found, key=re.Match.start)
                return _of_line(last.groupdict(), text)
        if TITLE in text:
            return _of_dump(Dump.parse_all(text, name)[-1], name)
        raise StatsError(f"there is no geometry of a machine; {RECOGNISED}", name)

    @classmethod
    def from_machine(cls, machine: Mapping[str, Any], name: str | None = None) -> Geometry:
        """Return the geometry that a recorder noted, :attr:`percpu_ffi.Trace.machine`.

        Raises:
            StatsError: it has noted none, or a damaged one.
            ConfigError: an argument is of a wrong type.

        """
        check_type("machine", machine, Mapping, "a mapping")
        check_type("name", name, (str, NoneType), "a str, or None,")
        sources = [machine.get(key) for key in ("boot_line", "stats_before", "stats_after")]
        text = "\n".join(source for source in sources if isinstance(source, str))
        if not text:
            raise StatsError(
                "the recording does not have the geometry of its machine: the line of the boot "
                "was no longer in the kernel's log, and there was no percpu_stats; give the line "
                "or a dump instead",
                name,
            )
        noted = {
            field: machine[key]
            for field, key in (("page_size", "page_size"), ("cpus", "possible_cpus"))
            if isinstance(machine.get(key), int)
        }
        return replace(cls.from_text(text, name), **noted)

    def setup(self, policy: str = AREA_MAP) -> dict[str, Any]:
        """Return the arguments of an allocator that has it, with bookkeeping only.

        There was no reserved area in 2009, so it is a part of the static area.

        Raises:
            ConfigError: the first chunk has no dynamic area, and the policy is that of bitmaps.

        """
        known = {"page_size": self.page_size, "cpus": self.cpus}
        setup = {
            "unit_size": self.unit_size,
            "memory": "none",
            **{name: value for name, value in known.items() if value is not None},
        }
        if policy == AREA_MAP:
            return {
                "first_chunk": "remap",
                "static_size": self.static_size + self.reserved_size,
                "free_size": self.dyn_size,
                **setup,
            }
        if not self.dyn_size:
            raise ConfigError(
                "the first chunk of the machine has no dynamic area (d0): no kernel with the "
                "policy of bitmaps boots without one"
            )
        return {
            "policy": policy,
            "static_size": self.static_size,
            "reserved_size": self.reserved_size,
            "dyn_size": self.dyn_size,
            **setup,
        }


def _of_line(found: Mapping[str, str | None], text: str) -> Geometry:
    number = {name: int(value) for name, value in found.items() if value is not None}
    sizes = number["s"], number["r"], number["d"]
    pages = number.get("pages", 0)
    if "kib" not in number:
        page = _page_size(sum(sizes), pages)
        return Geometry(*sizes, number["u"], page, _possible_cpus(text))
    page = number["kib"] << 10
    return Geometry(*sizes, pages * page, page or None, _possible_cpus(text))


def _page_size(total: int, pages: int) -> int | None:
    """Return the size of so many pages that have a total of bytes; None: it is no power of two."""
    if pages and total % pages == 0 and (total // pages).bit_count() == 1:
        return total // pages
    return None


def _possible_cpus(text: str) -> int | None:
    """Return the CPUs that a log of the boot counts, or lists with their units."""
    if counts := CPU_IDS.findall(text):
        return int(counts[-1])
    listed = {int(cpu) for row in UNITS.findall(text) for cpu in re.findall(r"(?<!\[)\b\d+", row)}
    return len(listed) or None


def _of_dump(dump: Dump, name: str | None) -> Geometry:
    try:
        sizes = [
            dump.allocation[key]
            for key in ("static_size", "reserved_size", "dyn_size", "unit_size")
        ]
    except KeyError as missing:
        raise StatsError(f"the dump has no {missing.args[0]}: copy it again", name) from None
    return Geometry(*sizes)
