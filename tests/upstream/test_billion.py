# SPDX-License-Identifier: GPL-2.0-only
"""The driver in C: what it compares, the mistakes that it notices, and how it resumes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from percpu_ffi.config import FAULT_SITES

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "billion" / "billion"
CC = shlex.split(os.environ.get("CC", "cc"))


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    """Build the driver, if it is not there yet."""
    name = str(PROGRAM.relative_to(ROOT))
    percpu_c = f"PERCPU_C={os.environ['PERCPU_C']}"
    command = ["make", "-s", "-j2", name, percpu_c]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert made.returncode == 0, made.stderr.decode()


def drive(*arguments: str, program: Path = PROGRAM, cwd: Path | None = None) -> tuple[int, str]:
    """Run the driver; return its status and what it printed."""
    done = subprocess.run(
        [program, *arguments], stdout=subprocess.PIPE, text=True, cwd=cwd, check=False
    )
    return done.returncode, done.stdout


def figures(table: str) -> dict[str, int]:
    """Read the table that the driver prints at the end."""
    rows = re.findall(r"^ *(\S.*?)  +(\d+)", table, re.MULTILINE)
    return {name: int(number) for name, number in rows}


def test_every_figure_is_compared() -> None:
    """The driver reports one wrong figure at a time, and has to notice each at once."""
    status, printed = drive("--self-test")
    assert "MISSED" not in printed
    assert re.search(r"^7\d lies, 0 missed$", printed, re.MULTILINE)
    assert status == 0


# mistakes as a maintainer might make them: file of csrc/, code, changed code
MISTAKES = {
    "hint too high after a free": (
        *("area_map/map.c", "max(map->contig_hint, end - start)"),
        "max(map->contig_hint, end - start + 1)",
    ),
    "hint not exact after a full scan": (
        *("area_map/map_search.c", "map->contig_hint = pcpu_map_largest(map);"),
        "map->contig_hint = pcpu_map_largest(map) + 4;",
    ),
    "a head of 4 bytes is small": (
        *("area_map/map.c", "offset - start < PCPU_SMALL)", "offset - start <= PCPU_SMALL)"),
    ),
    "a tail of 4 bytes is small": (
        *("area_map/map.c", "tail < PCPU_SMALL ?", "tail <= PCPU_SMALL ?"),
    ),
    "always to the front of a slot": (
        *("groups.c", "if (front)\n\t\tlist_move(&chunk", "if (slot >= 0)\n\t\tlist_move(&chunk"),
    ),
    "a map of a whole page comes from vmalloc": (
        *("area_map/area_map.c", "<= pcpu->geo.page_size;", "< pcpu->geo.page_size;"),
    ),
    "the slot of empty chunks is not counted": (
        *("area_map/area_map.c", "pcpu_count(&pcpu->work->slots_visited, 1);", ";"),
    ),
    "a free range that a free makes raises no bound": (
        *(
            "area_map/map.c",
            "- start);\n\tpcpu_region_raise(map, start, end - start);",
            "- start);",
        ),
    ),
    "a free leaves an old copy of its edge before the gap": (
        *("area_map/map.c", "else\n\t\tbegin_gap(map);", ""),
    ),
    "an area leaves an old copy of its edge before the gap": (
        *("area_map/map.c", "(map, index) = edge;\n\tbegin_gap(map);", "(map, index) = edge;"),
    ),
    "a map that moves loses the end after its gap": (
        *("area_map/map.c", "(map->map_used + 1 - at)", "(map->map_used - at)"),
    ),
    "a search ends at the gap": (
        *("area_map/map_search.c", "if (found < before)", "if (found <= before)"),
    ),
    "a tail raises no bound": ("area_map/map.c", "pcpu_region_raise(map, end, tail);", ";"),
    "a free does not send the next search back": (
        *("area_map/map.c", "if (start < map->searched)", "if (start < 0)"),
    ),
    "a bound is lowered by a scan of half of its region": (
        *("area_map/map_search.c", "if (whole || i > from)", "if (r >= 0)"),
    ),
    "a free that moves no chunk leaves its group as it is": (
        *("area_map/area_map.c", "index));\n\tpcpu_chunk_relocate(pcpu, self);"),
        "index));\n\tif (pcpu_chunk_slot(pcpu, &self->map) != self->slot)"
        "\n\t\tpcpu_chunk_relocate(pcpu, self);",
    ),
    "a chunk at the front takes a seat after the others": (
        *("groups.c", "*seat = front ? __builtin_ctz(group->seats) - 1 :"),
        "*seat = 0 ? 0 :",
    ),
    "a chunk that comes to a group brings no hint": (
        *("groups.c", "pcpu_group_update(chunk, pcpu->chunk_hint(chunk))"),
        "pcpu_group_update(chunk, 0)",
    ),
    "a chunk that leaves a group keeps its seat": (
        *("groups.c", "group->seats &= ~((uint32_t)1 << chunk->seat);", ";"),
    ),
    "a group that is passed counts its seats": (
        *("area_map/walk.c", "group->nr_chunks);", "PCPU_GROUP_SEATS);"),
    ),
    "a failed request fails again with any alignment": (
        *("area_map/walk.c", "group->failed_align = walk->align;", "group->failed_align = 1;"),
    ),
    "a failed request counts the entries of one map": (
        *("area_map/walk.c", "entries += chunk->map.map_used;", "entries = chunk->map.map_used;"),
    ),
    "the largest hint of a group is that of its last chunk": (
        *("area_map/walk.c", "if (largest < group->hint[seat])", "if (seat >= 0)"),
    ),
    "the first chunk is visited twice": (
        *("area_map/walk.c", "if (chunk == walk->tried)", "if (!chunk)"),
    ),
    "a failed request counts maps that are not scanned": (
        *("area_map/walk.c", "if (walk->size <= group->hint[seat])\n\t\t\tentries"),
        "if (seat >= 0)\n\t\t\tentries",
    ),
    "a chunk is found with the steps of an older tree": (
        *("chunk.c", "link);\n\tpcpu->found_chunk = NULL;", "link);"),
    ),
    "no flush of the TLB": (*("populate.c", "fake_count(&kernel->faults, PCPU_FLUSH_TLB);", ";"),),
    "a failed populate forgets what it added": (
        *("populate.c", "<< (page - start)) -", "<< (run + 1 - start)) -"),
    ),
    "the last page of a killed chunk leaks": (
        *("chunk.c", "0, pcpu->geo.unit_pages, false", "0, pcpu->geo.unit_pages - 1, false"),
    ),
    "chunks are numbered from 2": ("chunk.c", "= ++pcpu->nr_created;", "= ++pcpu->nr_created + 1;"),
    "a frame returns to no node": (
        *("kernel/page_alloc.c", "[fake_cpu_to_node(pages, cpu)]--;"),
        "[fake_cpu_to_node(pages, cpu)] -= !cpu;",
    ),
    "an interval is one too long": (
        *("kernel/fault.c", "fault->wait = fault->interval - 1;", "fault->wait = fault->interval;"),
    ),
    "a snapshot has the pages of another chunk": (
        *("info.c", "populated += unit_pages;", "populated += info->id ? unit_pages : 0;"),
    ),
    "an area is counted after its free": ("alloc.c", "pcpu->nr_areas--;", ";"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_of_the_port_is_noticed(mistake: str, tmp_path: Path) -> None:
    """Link the driver with one changed file of the port; it has to find a difference soon."""
    name, code, changed = MISTAKES[mistake]
    path = ROOT / "csrc" / name
    source = path.read_text()
    assert code in source, f"{name} no longer has this code"
    mutant, program = tmp_path / "mutant.o", tmp_path / "billion"
    subprocess.run(
        [*CC, "-std=c11", "-O1", "-w", "-pthread", "-x", "c", "-", "-c", "-o", mutant],
        cwd=path.parent,
        input=source.replace(code, changed, 1).encode(),
        check=True,
    )
    build = ROOT / "build"
    objects = [path for path in build.glob("billion/*.o") if ".part" not in path.name]
    original = build / "strict" / "csrc" / Path(name).with_suffix(".o")
    objects += [path for path in build.glob("strict/csrc/**/*.o") if path != original]
    subprocess.run([*CC, "-pthread", mutant, *objects, "-o", program], check=True)

    status, printed = drive("--operations", "1000000", program=program, cwd=tmp_path)
    assert status == 1
    assert re.search(r"^different after \d+ operations: ", printed, re.MULTILINE)
    [case] = re.findall(r"--seed 2009 --case (\d+)", printed)
    # the case alone shows it too, and its operations are kept
    assert drive("--case", case, program=program, cwd=tmp_path)[0] == 1
    assert (tmp_path / f"difference-2009-{case}.ops").read_text().startswith("setup cpus=")


def test_two_million_operations() -> None:
    """A short run reaches nearly all of what the long one is for."""
    status, table = drive("--operations", "2000000", "--seed", "29")
    reached = figures(table)
    assert (status, reached["differences"]) == (0, 0)
    assert reached["operations"] >= 2_000_000
    for name, least in (
        ("operations with over 100 chunks", 20_000),
        ("operations with over 1,000 chunks", 1),
        ("operations with the default rollback", 200_000),
        ("cases that end at a rollback", 1),
        ("cases that end at another defect", 1),
        ("failures that changed a map", 1),
        ("set-ups refused alike", 1),
        ("maps from vmalloc, with pages of 4 KiB", 1),
        *((f"{site} failed", 1) for site in FAULT_SITES),
    ):
        assert reached[name] >= least, name


def test_a_run_continues_where_it_was_stopped(tmp_path: Path) -> None:
    """The totals are those of a run without an interruption."""
    common = ("--seed", "11", "--resume", "progress")
    drive("--operations", "150000", *common, cwd=tmp_path)
    kept = dict(line.split() for line in (tmp_path / "progress").read_text().splitlines())
    _, resumed = drive("--operations", "400000", "--jobs", "1", *common, cwd=tmp_path)
    _, whole = drive("--operations", "400000", "--seed", "11")
    assert 0 < int(kept["done"]) < figures(whole)["set-ups"]
    assert {**figures(resumed), "seconds": 0} == {**figures(whole), "seconds": 0}


def test_the_progress_of_another_seed_is_refused(tmp_path: Path) -> None:
    drive("--operations", "1", "--seed", "1", "--resume", "progress", cwd=tmp_path)
    before = (tmp_path / "progress").read_text()
    status, printed = drive(
        "--operations", "1", "--seed", "2", "--resume", "progress", cwd=tmp_path
    )
    assert (status, printed) == (2, "")
    assert (tmp_path / "progress").read_text() == before
