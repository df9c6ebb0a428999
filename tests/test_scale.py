# SPDX-License-Identifier: GPL-2.0-only
"""Large allocators, each in a process of its own, whose memory is measured afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

MANY_CPUS = """
import json
from pathlib import Path
from percpu_ffi import Allocator
with Allocator(cpus=4096, memory="none") as a:
    ptrs = a.alloc_many([16] * 1_000_000)
    result = {"chunks": len(a.state().chunks), "lowest": min(ptrs), "different": len(set(ptrs))}
    # not ru_maxrss, which a process inherits from the one that started it
    (peak,) = (line for line in Path("/proc/self/status").open() if line.startswith("VmHWM:"))
    result["rss"] = int(peak.split()[1]) << 10
    a.free_many(ptrs)
    result["left"] = len(a.state().chunks)
print(json.dumps(result))
"""

REAL_MEMORY = """
import json
from pathlib import Path
from percpu_ffi import Allocator
def mappings():
    return len(Path("/proc/self/maps").read_text().splitlines())
before = mappings()
with Allocator(cpus=4) as a:
    ptrs = a.alloc_many([1024] * 100_000)
    result = {"chunks": len(a.state().chunks), "mappings": mappings() - before}
    for ptr in ptrs[::9_999]:
        for cpu in range(4):
            a.view(ptr, cpu)[:] = bytes([cpu]) * 1024
    result["pages"] = a.counters()["alloc_page"]
print(json.dumps(result))
"""


def in_a_process(program: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_million_areas_on_4096_cpus() -> None:
    result = in_a_process(MANY_CPUS)
    assert result["different"] == 1_000_000
    assert result["lowest"] > 0
    assert result["chunks"] == 245
    assert result["rss"] < 1 << 30
    assert result["left"] == 2


def test_a_hundred_thousand_areas_of_real_memory() -> None:
    """With a mapping for each page there would be more than a process may have."""
    result = in_a_process(REAL_MEMORY)
    assert result["mappings"] <= 2 * result["chunks"] + 50
    assert result["pages"] >= 100_000 // 4 * 4 - 4 * 2
