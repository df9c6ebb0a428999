# SPDX-License-Identifier: GPL-2.0-only
"""The model alone: without compiled code, and its address space."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SAMPLES, TINY, in_child

from percpu_ffi import Allocator, Model, Trace
from percpu_ffi.config import Config
from percpu_ffi.model.kernel import Kernel, ServiceFailed

ROOT = Path(__file__).resolve().parent.parent

WITHOUT_COMPILED_PARTS = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in ("cffi", "_cffi_backend", "percpu_ffi._core"):
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())

import percpu_ffi
from percpu_ffi import Model, Trace

with Model(cpus=2) as model:
    area = model.area(8)
    area[1][0] = 42
    trace = Trace.from_ops([("alloc", 1, 100, 8), ("inject", "map", {"nth": 1}), ("free", 1)])
    trace.save(sys.argv[1])
    assert model.replay(Trace.load(sys.argv[1])) .failures == ()
    model.validate({area.ptr: 8})
try:
    percpu_ffi.Allocator
except ImportError as error:
    assert "_core" in str(error)
else:
    raise SystemExit("the compiled part was found")
"""


def test_model_works_without_compiled_code(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_COMPILED_PARTS, str(tmp_path / "trace")]
    subprocess.run(command, check=True, cwd=ROOT)


@pytest.mark.parametrize(
    ("cpus", "unit_size", "page_size", "first_chunk", "chunks"),
    [
        # 1 TiB, but no more than 32768 chunks of a unit for each CPU and a page in between
        (1, 64 << 10, 4096, "embed", 32768),
        # and no fewer than 4
        (256, 1 << 30, 64 << 20, "embed", 4),
        (65536, 1 << 30, 64 << 20, "embed", 4),
        (128, 1 << 30, 64 << 20, "embed", 7),
        # the first chunk of 4k is in there too, without a page after it
        (128, 1 << 30, 64 << 20, "4k", 6),
        (1, 1 << 30, 32 << 20, "4k", 991),
    ],
)
def test_address_space_of_real_memory(
    cpus: int, unit_size: int, page_size: int, first_chunk: str, chunks: int
) -> None:
    config = Config(cpus=cpus, page_size=page_size, first_chunk=first_chunk)
    chunk_size = cpus * unit_size
    kernel = Kernel(config, chunk_size)
    if first_chunk == "4k":
        assert kernel.vm_area_register_early(chunk_size) == page_size
    starts = [kernel.get_vm_area(chunk_size) for _ in range(chunks)]
    with pytest.raises(ServiceFailed) as caught:
        kernel.get_vm_area(chunk_size)
    assert caught.value.service == "get_vm_area"
    assert starts[0] == page_size + chunk_size  # after the first chunk
    assert starts[-1] - starts[0] == (chunks - 1) * (chunk_size + page_size)


def test_address_space_without_memory_has_room_for_all() -> None:
    kernel = Kernel(Config(cpus=65536, memory="none"), 1 << 46)
    assert kernel.get_vm_area(1 << 46) == 4096
    for _ in range(1000):
        kernel.get_vm_area(1 << 46)


def test_address_space_is_used_again_from_the_lowest() -> None:
    # |0|1|2|3|   with a page of 4 KiB after each
    kernel = Kernel(Config(), 65536)
    step = 65536 + 4096
    starts = [kernel.get_vm_area(65536) for _ in range(4)]
    assert starts == [4096 + number * step for number in range(4)]
    kernel.free_vm_area(starts[2])
    kernel.free_vm_area(starts[0])
    assert [kernel.get_vm_area(65536) for _ in range(3)] == [
        starts[0],
        starts[2],
        starts[3] + step,
    ]


def test_model_replays_a_recording_as_the_port_does() -> None:
    trace = Trace.load(SAMPLES / "netns_churn.ftrace.xz")
    with Allocator(cpus=2, memory="none") as port, Model(cpus=2, memory="none") as model:
        ours, theirs = port.replay(trace), model.replay(trace)
        assert ours.pointers == theirs.pointers
        assert dataclasses.replace(ours, elapsed_ns=0) == dataclasses.replace(theirs, elapsed_ns=0)
        assert port.state() == model.state()
        assert port.counters() == model.counters()


def test_child_of_a_fork_uses_models() -> None:
    """Their lock is held during the fork: no other thread is inside a model."""
    model = Model(**TINY)
    assert in_child(lambda: model.alloc(8), seconds=2) == 0
    assert model.alloc(8)
