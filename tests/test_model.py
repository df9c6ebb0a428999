# SPDX-License-Identifier: GPL-2.0-only
"""The model works without compiled code."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

from conftest import SAMPLES

from percpu_ffi import Allocator, Model, Trace

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


def test_model_replays_a_recording_as_the_port_does() -> None:
    trace = Trace.load(SAMPLES / "netns_churn.ftrace.xz")
    with Allocator(cpus=2, memory="none") as port, Model(cpus=2, memory="none") as model:
        ours, theirs = port.replay(trace), model.replay(trace)
        assert ours.pointers == theirs.pointers
        assert dataclasses.replace(ours, elapsed_ns=0) == dataclasses.replace(theirs, elapsed_ns=0)
        assert port.state() == model.state()
        assert port.counters() == model.counters()
