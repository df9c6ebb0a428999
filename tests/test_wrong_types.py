# SPDX-License-Identifier: GPL-2.0-only
"""An argument of a wrong type raises an error of this package, which says what was given.

`replay("x")` raised an AttributeError from inside, `replay(trace, stops=["x"])` a TypeError.
Every public method and function is called with wrong values for each of its arguments.
"""

from __future__ import annotations

import inspect
import runpy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Kind

from percpu_ffi import Allocator, ConfigError, Model, PerCpu, PercpuError, Trace
from percpu_ffi.analysis.call_sites import who
from percpu_ffi.analysis.geometries import compare
from percpu_ffi.analysis.sizes import sizes
from percpu_ffi.custom import Units, replay_custom
from percpu_ffi.geometry import Geometry
from percpu_ffi.lockstep import Campaign, Difference, Mix, drive, lockstep, shorten
from percpu_ffi.stats import Dump, diff, diff_text, differ, figures
from percpu_ffi.testing import Watched, oom_sweep


class Shy:
    """An object that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("not me")


WRONG: list[Any] = [
    *(None, "", "x", "a\0b", b"x", 1.5, -1, 10**5000, object(), len, Shy()),
    *(["x"], [["x"]], {"x": 1}, range(10**4)),
]
LONGEST = 600  # characters of a message

OPS: Any = [("alloc", 1, 8, 8), ("free", 1)]
TRACE = Trace.from_ops(OPS)
Bump = runpy.run_path(str(Path(__file__).parents[1] / "examples/policies/bump.py"))["Bump"]
BOTH: Any = {"port": Allocator, "model": Model}
SHORT: Any = {"operations": 10, "length": 10}


def both() -> Any:
    return {name: kind(**TINY) for name, kind in BOTH.items()}


# valid arguments of methods, by name
VALID: dict[str, Any] = {
    **{"size": 8, "align": 8, "ptr": 0, "cpu": 0, "sizes": [8], "ptrs": [], "live": {}},
    **{"site": "map", "nth": 1, "times": 1, "interval": 1, "probability": 0.5, "seed": 0},
    **{"trace": TRACE, "progress": None, "stops": [1], "file": "text"},
    **{"atomic": False, "reserved": False, "learn": False, "kernel": None, "first": 1, "last": 4},
}
METHODS = {
    name: [*inspect.signature(method).parameters][1:]
    for name, method in vars(PerCpu).items()
    if inspect.isfunction(method) and not name.startswith("_")
}

# functions, with valid arguments
FUNCTIONS: dict[str, tuple[Callable[..., object], dict[str, Any]]] = {
    "Trace.load": (Trace.load, {"path": "trace", "progress": None}),
    "Trace.from_ops": (Trace.from_ops, {"ops": OPS, "setup": {}, "times": [0, 1]}),
    "Trace.save": (TRACE.save, {"path": "trace"}),
    "Trace[]": (lambda index: TRACE[index], {"index": 0}),
    "Area[]": (lambda cpu: Allocator().area(8)[cpu], {"cpu": 0}),
    "lockstep": (
        lambda **given: lockstep(**{"factories": BOTH, "trace": TRACE, **given}),
        {"factories": BOTH, "trace": TRACE, "compare": [], "calls": "single", "progress": None},
    ),
    "drive": (
        lambda **given: drive(**{"allocators": both(), "ops": OPS, **given}),
        {"allocators": {}, "ops": OPS, "compare": [], "calls": "single", "progress": None},
    ),
    "an operation": (lambda op: drive(both(), [op]), {"op": OPS[0]}),
    "shorten": (
        lambda **given: shorten(BOTH, **given),
        {"difference": Difference(TRACE, "state", ("a", "b"), ("", ""), ()), "progress": None},
    ),
    "Campaign": (
        lambda **given: Campaign(**{"factories": BOTH, **given}),
        {**SHORT, "seed": 0, "faults": 0.5, "factories": BOTH}
        | {"setup": {}, "compare": [], "calls": (), "mix": Mix()},
    ),
    "Campaign.run": (
        lambda **given: Campaign(BOTH, **SHORT).run(**{"executor": ThreadPoolExecutor(1), **given}),
        {"state": "state", "progress": None},
    ),
    "Campaign.run, executor": (
        lambda executor: Campaign(BOTH, **SHORT).run(executor or ThreadPoolExecutor(1)),
        {"executor": None},
    ),
    "Campaign.case": (Campaign(BOTH, **SHORT).case, {"number": 0}),
    "Mix": (Mix, {"sizes": [8], "aligns": [8], "plans": []}),
    "Dump.parse": (Dump.parse, {"text": "", "name": None}),
    "Dump.parse_all": (Dump.parse_all, {"text": "", "name": None}),
    "differ": (differ, {"a": Dump(), "b": Dump()}),
    "Geometry.load": (Geometry.load, {"path": "trace"}),
    "Geometry.from_text": (Geometry.from_text, {"text": "", "name": None}),
    "Geometry.from_machine": (Geometry.from_machine, {"machine": {}, "name": None}),
    "diff": (diff, {"a": Dump(), "b": Dump()}),
    "diff_text": (diff_text, {"a": Dump(), "b": Dump()}),
    "figures": (figures, {"allocator": Model(**TINY)}),
    "oom_sweep": (oom_sweep, {"workload": bool, "factory": Model, "setup": TINY}),
    "Watched": (Watched, {"allocator": Model(**TINY)}),
    "who": (who, {"trace": TRACE, "cull": "site", "sort": "site", "sites": []}),
    "sizes": (sizes, {"trace": TRACE}),
    "compare": (
        lambda **given: [*compare(**given)],
        {"trace": TRACE, "setups": [{}], "progress": None, "policies": {}},
    ),
    "replay_custom": (
        replay_custom,
        {"policy": Bump, "trace": TRACE, "units": Units(1, 64, 64, 1), "progress": None},
    ),
    "Units.of": (Units.of, {"cpus": 1, "page_size": 64, "unit_size": 64, "static_size": 1}),
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    TRACE.save("trace")


def check(call: Callable[..., object], valid: dict[str, Any], name: str, value: Any) -> None:
    """Check that a call with a wrong value for an argument says so, if it does not work."""
    if callable(value) and name in ("progress", "workload", "factory"):
        return  # the user's function has errors of its own
    try:
        call(**{**valid, name: value})
    except PercpuError as error:
        message = str(error)
    except (OSError, IndexError):
        assert name in ("path", "file", "state", "index", "cpu")
        return
    except TypeError as error:  # of a call with {"x": 1}
        assert str(error).endswith("got an unexpected keyword argument 'x'")  # noqa: PT017
        return
    else:
        return
    assert 20 < len(message) < LONGEST, message


@pytest.mark.filterwarnings("ignore::percpu_ffi.PercpuWarning")
@pytest.mark.parametrize("method", [name for name, arguments in METHODS.items() if arguments])
def test_methods_of_an_allocator(kind: Kind, method: str) -> None:
    valid = {name: VALID[name] for name in METHODS[method]}
    for name in valid:
        for value in WRONG:
            with kind(**TINY) as a:
                check(getattr(a, method), valid, name, value)


def test_nothing_is_replayed_then(kind: Kind) -> None:
    wrong: Any
    with kind(**TINY) as a:
        for wrong in ({"trace": "x"}, {"trace": TRACE, "stops": ["x"]}):
            with pytest.raises(ConfigError, match=r"'x'.* is needed"):
                a.replay(**wrong)
        assert a.work().alloc.operations == 0


@pytest.mark.filterwarnings("ignore::percpu_ffi.PercpuWarning")
@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions(function: str) -> None:
    call, valid = FUNCTIONS[function]
    for name in valid:
        for value in WRONG:
            check(call, valid, name, value)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: who(5), "trace"),  # type: ignore[arg-type]
        (lambda: who(TRACE, cull=5), "cull"),  # type: ignore[arg-type]
        (lambda: who(TRACE, sort=5), "sort"),  # type: ignore[arg-type]
        (lambda: who(TRACE, sites=5), "sites"),  # type: ignore[arg-type]
        (lambda: who(TRACE, sites=["x", 5]), "site"),  # type: ignore[list-item]
        (lambda: sizes(5), "trace"),  # type: ignore[arg-type]
        (lambda: [*compare(5, [TINY])], "trace"),  # type: ignore[arg-type]
        (lambda: [*compare(TRACE, 5)], "setups"),  # type: ignore[arg-type]
        (lambda: [*compare(TRACE, [TINY, 5])], "setup"),  # type: ignore[list-item]
        (lambda: [*compare(TRACE, [TINY], 5)], "progress"),  # type: ignore[arg-type]
        (lambda: Dump.parse(5), "text"),  # type: ignore[arg-type]
        (lambda: Dump.parse("", 5), "name"),  # type: ignore[arg-type]
        (lambda: diff(Dump(), 5), "dump"),  # type: ignore[arg-type]
        (lambda: diff_text(5, Dump()), "dump"),  # type: ignore[arg-type]
        (lambda: figures(5), "allocator"),  # type: ignore[arg-type]
        (lambda: Model(**TINY).replay(5), "trace"),  # type: ignore[arg-type]
        (lambda: Model(**TINY).replay(TRACE, 5), "progress"),  # type: ignore[arg-type]
        (lambda: Model(**TINY).replay(TRACE, stops=5), "stops"),  # type: ignore[arg-type]
        (lambda: oom_sweep(5), "workload"),  # type: ignore[arg-type]
        (lambda: Watched(5), "allocator"),
    ],
)
def test_functions_name_the_argument(call: Callable[[], object], name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}=5: a.* is needed$"):
        call()
