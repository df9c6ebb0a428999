# SPDX-License-Identifier: GPL-2.0-only
"""A kernel as the witness: each choice of a recording from boot on is predicted.

kernel   ... takes A   frees B   takes C ...        the recording
               |          |         |
policy   asked, follows  follows  asked, follows    each time: is its choice the kernel's?
"""

from __future__ import annotations

import json
import lzma
import re
from typing import TYPE_CHECKING, Any

import pytest
from conftest import SAMPLES

from percpu_ffi.cli import main

if TYPE_CHECKING:
    from pathlib import Path

BOOT = SAMPLES / "boot_k61tcg.ftrace.xz"
META = SAMPLES / "boot_k61tcg.meta"
CHOICES = 3765
UNIT = 2 << 20  # bytes
MOVED = 5277  # operation: an area of 4 bytes, freed later; 704 choices follow


def check(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> tuple[int, Any]:
    like = ["--like", str(META)]
    status = main(
        ["check", str(path), "--against", "kernel", "--start", "boot", *like, "--json", *options]
    )
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("party", ["port", "model"])
def test_every_choice_is_predicted(party: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The geometry is that of the sibling .meta."""
    status = main(
        ["check", str(BOOT), "--against", "kernel", "--start", "boot", "--json", "--only", party]
    )
    found = json.loads(capsys.readouterr().out)
    every = {"chunk_and_offset": CHOICES, "offset_given_chunk": CHOICES}
    assert {name: found[name] for name in ("choices", *every)} == {"choices": CHOICES, **every}
    assert found["in_new_chunks"] == {
        "choices": 3411,
        "chunk_and_offset": 3411,
        "offset_given_chunk": 3411,
    }
    assert found["chunks_made"] == {"seen": 1, "foretold": 1}
    assert found["chunks_destroyed"] == {"seen": 0, "foretold": 0}
    assert found["background_runs"]["seen"] is None  # the recording does not have them
    assert found["party"] == party
    assert (found["start"], found["reordered"], found["misses"]) == ("boot", None, [])
    assert (found["learnt"], found["unknown_frees"], found["remarks"]) == (0, 0, [])
    assert found["start_rule"] == (
        "at boot, with [0, 2208), [2304, 4352) of the first chunk in use"
    )
    assert status == 0


def test_without_the_defect_hardly_one_is(capsys: pytest.CaptureFixture[str]) -> None:
    """So the defect is what this kernel does: see docs/bitmap.md."""
    status, found = check(capsys, BOOT, "--fixes", "chunk-hint")
    assert status == 1
    assert found["choices"] == CHOICES
    assert found["chunk_and_offset"] == 507  # 13 %
    assert found["offset_given_chunk"] == 3470
    assert len(found["misses"]) == CHOICES - 507


def moved(number: int, to: int) -> tuple[str, int]:
    """Return the recording with an area of 4 bytes at another offset, and its own offset."""
    text = lzma.decompress(BOOT.read_bytes()).decode()
    head, *lines = re.split(r"(?=^.*: percpu_(?:alloc|free)_percpu: )", text, flags=re.M)
    found = re.search(r"size=4 .*(base_addr=\w+ )off=(\d+) ptr=(\w+)", lines[number])
    assert found
    base, offset, ptr = found.groups()
    place = f"{base}off={offset} ptr={ptr}"
    other = f"{base}off={to} ptr={int(ptr, 16) + to - int(offset):016x}"
    freed = next(i for i in range(number + 1, len(lines)) if place in lines[i])
    assert "percpu_free_percpu" in lines[freed]
    assert other not in text
    for i in (number, freed):
        lines[i] = lines[i].replace(place, other)
    return head + "".join(lines), int(offset)


# |####..A.####....              |     the kernel's chunk 1; A at the end of it instead
#       <---------------------> A
def test_moved_choice_is_missed_and_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "moved.ftrace"
    to = UNIT - 4
    text, offset = moved(MOVED, to)
    path.write_text(text)
    status, found = check(capsys, path)
    assert status == 1
    assert found["misses"] == [MOVED]
    assert found["chunk_and_offset"] == found["offset_given_chunk"] == CHOICES - 1
    # the text draws both places
    assert main(["check", str(path), "--against", "kernel", "--start", "boot", "--like", str(META)])
    shown = capsys.readouterr().out
    assert f"the first miss is operation {MOVED}, " in shown
    assert f"kernel  chunk 1, offset {to:,}\n" in shown
    assert f"policy  chunk 1, offset {offset:,}\n" in shown
    assert "99.973 %" in shown


def test_edit_changes_two_lines() -> None:
    """An allocation and its free; all else is as recorded."""
    text = lzma.decompress(BOOT.read_bytes()).decode()
    at = moved(MOVED, UNIT - 4)[1]
    again = moved(MOVED, UNIT - 4)[0]
    changed = [(a, b) for a, b in zip(text.splitlines(), again.splitlines(), strict=True) if a != b]
    assert len(changed) == 2
    assert all(f"off={at} " in a and f"off={UNIT - 4} " in b for a, b in changed)
