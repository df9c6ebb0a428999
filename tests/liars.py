# SPDX-License-Identifier: GPL-2.0-only
"""Liars: allocators that report one wrong value, and whether each comparison finds them.

    make liars

A lie is small: one field of one chunk, one count, one error, from some operation on.  The lies
are generated from the fields of the dataclasses, so a new field has its liar at once.  Each is
told to each entry point of the comparison, by the first, the second and the third of three
parties.  It has to be found before the next operation, and reported with its aspect and the
liar's name.  The matrix has a row for each lie; the status is 1 if a lie is not found.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import tempfile
import types
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

from upstream import check
from upstream.witness import WitnessFactory, build

from percpu_ffi import (
    Allocator,
    InvalidPointer,
    InvalidRequest,
    PercpuError,
    PercpuMemoryError,
    State,
    Trace,
    WorkByCall,
    cli,
)
from percpu_ffi.config import FAULT_SITES, SERVICES
from percpu_ffi.lockstep import Campaign, Difference, Mix, Totals, drive, lockstep
from percpu_ffi.lockstep.party import FIGURES
from percpu_ffi.replay import Failure
from percpu_ffi.state import ChunkState
from percpu_ffi.work import Work

PLACES = (1, 2, 3)

# units of 256 bytes on 2 CPUs; a chunk's map is larger than a page, so vmalloc has it
SMALL: dict[str, Any] = {"cpus": 2, "static_size": 16, "page_size": 16, "memory": "none"}
REAL: dict[str, Any] = {"cpus": 2, "static_size": 64, "page_size": 4096, "memory": "mapped"}

NR_SLOTS = 8  # of SMALL
LISTS = range(6)  # slots that may have two chunks
# what they leave is in each of these slots; the last one is refused
SIZES = (256, 256, 248, 236, 216, 176, 130, 120, 257)

LENGTH = {"single": 60, "many": 150, "replay": 40}  # operations of a random trace
CASES = 10  # of them for each cell
AFTER = {"single": 9, "many": 2, "replay": 1}  # calls, before a lie begins
CALLS = ("alloc", "free", "inject", "alloc_many", "free_many", "replay")
RESULTS = ("state", "counters", "work", "view", "close")


# --- the liar

Tell = Callable[[Any, "Liar"], Any]


@dataclass(frozen=True)
class Lie:
    """A wrong value, and when it is told."""

    name: str
    """The row of the matrix."""
    aspect: str
    """What has to differ."""
    method: str
    """The method whose result is wrong."""
    tell: Tell
    """Makes the wrong result, or error, of the right one; returns that if it cannot yet."""
    calls: str = "single"
    """How the operations are called."""
    site: str = ""
    """A service that has to fail."""
    setup: Mapping[str, Any] = field(default_factory=lambda: SMALL)
    """Of the allocators."""


class Liar(Allocator):
    """The port, with a wrong value."""

    lie: Lie
    first: Liar | None = None  # the first liar that lied

    def __init__(self, *args: Any, **settings: Any) -> None:
        self.done = 0  # calls
        self.late = 0  # calls after the lie
        self.lied = False
        self.args: tuple[Any, ...] = ()  # of the last call
        self.views: Counter[tuple[Any, ...]] = Counter()  # by pointer and CPU
        super().__init__(*args, **settings)

    def call(self, method: str, *args: Any, **named: Any) -> Any:
        """Call a method of the port, and lie when it is time."""
        if method in CALLS:
            self.done += 1
            self.late += Liar.first is self
        elif method == "view":
            self.views[args] += 1
        self.args = args
        try:
            right = getattr(Allocator, method)(self, *args, **named)
        except PercpuError as error:
            right = error
        answer = right
        if method == self.lie.method and self.done >= AFTER[self.lie.calls]:
            answer = self.lie.tell(right, self)
            self.lied |= answer is not right
            Liar.first = Liar.first or (self if self.lied else None)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def _method(name: str) -> Callable[..., Any]:
    return lambda self, *args, **named: self.call(name, *args, **named)


for _name in (*CALLS, *RESULTS):
    setattr(Liar, _name, _method(_name))


# --- lies


def changes(value: Any) -> dict[str, Any]:
    """Return the smallest changes of a value, each with a name."""
    if isinstance(value, bool):
        return {"": not value}
    if isinstance(value, int):
        return {"": value + 1}
    if not isinstance(value, tuple):
        return {"": (value, "another")}
    found: dict[str, Any] = {"an item more": (*value, value[-1] if value else 0)}
    if value:
        found["an item less"] = value[:-1]
        found["last item"] = (*value[:-1], changed(value[-1]))
        found["first item"] = (changed(value[0]), *value[1:])
    unlike = [at for at in range(len(value) - 1) if value[at] != value[at + 1]]
    if unlike:
        at = unlike[-1]
        found["order"] = (*value[:at], value[at + 1], value[at], *value[at + 2 :])
    return found


def changed(value: Any) -> Any:
    """Return a value that differs slightly."""
    found = changes(value)
    return found.get("last item", next(iter(found.values())))


def in_field(name: str, change: str) -> Tell:
    """Change a field of a dataclass."""

    def tell(right: Any, _liar: Liar) -> Any:
        wrong = changes(getattr(right, name))
        return replace(right, **{name: wrong[change]}) if change in wrong else right

    return tell


def in_item(name: str, at: int, least: int, tell_of_item: Tell) -> Tell:
    """Change an item of a field, once it has ``least`` of them."""

    def tell(right: Any, liar: Liar) -> Any:
        items = list(getattr(right, name))
        if isinstance(right, Exception) or len(items) < least:
            return right
        item = items[at] = tell_of_item(items[at], liar)
        if item is getattr(right, name)[at]:
            return right
        return replace(right, **{name: tuple(items)})

    return tell


def to(change: Callable[[Any], Any]) -> Tell:
    """Change a result that is not an error."""
    return lambda right, _liar: right if isinstance(right, Exception) else change(right)


def raising(kind: type[BaseException]) -> Callable[[Any], BaseException]:
    """Raise an error instead of a result."""
    return lambda _right: kind("no")


def change_to(name: str) -> Callable[[Any], Any]:
    """Change a tuple, or what can be one."""

    def change(right: Any) -> Any:
        return changes(tuple(right)).get(name, right)

    return change


def of_error(kind: type[Exception], site: str, change: Callable[[Any], Any]) -> Tell:
    """Change an error, for one of memory that of a service."""

    def tell(right: Any, _liar: Liar) -> Any:
        return change(right) if isinstance(right, kind) and _service(right) == site else right

    return tell


def _service(error: Exception) -> str:
    return getattr(error, "service", "")


def once(tell: Tell) -> Tell:
    """Lie once, and return to the truth."""
    return lambda right, liar: right if liar.lied else tell(right, liar)


def at_look(number: int, change: Callable[[memoryview, Liar], memoryview]) -> Tell:
    """Change what a view shows: the first one is of a new area, the second before its free."""

    def tell(right: memoryview, liar: Liar) -> memoryview:
        is_last_cpu = liar.args[1] == liar.cpus - 1
        return change(right, liar) if liar.views[liar.args] == number and is_last_cpu else right

    return tell


def _other_byte(view: memoryview, liar: Liar) -> memoryview:
    view[0] ^= 1
    liar.lied = True
    return view


def _other_cpu(_view: memoryview, liar: Liar) -> memoryview:
    return Allocator.view(liar, liar.args[0], 0)


def _other_page(view: memoryview, liar: Liar) -> memoryview:
    page = liar.page_size
    return memoryview(bytes(view[page:]) + bytes(view[page:])) if len(view) >= 2 * page else view


def kinds_of_error(kind: type[Exception] = PercpuError) -> Iterator[type[Exception]]:
    """Yield an error class and those derived from it in the package."""
    yield kind
    for derived in kind.__subclasses__():
        if derived.__module__.startswith("percpu_ffi."):
            yield from kinds_of_error(derived)


def lies() -> Iterator[Lie]:
    """Yield all lies."""
    yield from lies_in_state()
    for service in SERVICES:
        yield Lie(f"calls of {service}", "counters", "counters", to(_add_to(service)))
    yield Lie("a service less", "counters", "counters", to(lambda n: dict(list(n.items())[:-1])))
    yield Lie("a service more", "counters", "counters", to(lambda n: {**n, "mmap": 0}))
    for call in fields(WorkByCall):
        for count in fields(Work):
            tell = in_field(count.name, "")
            yield Lie(f"{count.name} of {call.name}", "work", "work", _in_work(call.name, tell))
    yield from lies_in_errors()
    yield Lie("pointer", "pointers", "alloc", to(lambda ptr: ptr + 16))
    yield Lie("pointer 0", "pointers", "alloc", to(lambda _ptr: 0))
    yield Lie("no pointer", "pointers", "alloc", to(lambda _ptr: None))
    yield from lies_in_batches()
    for number, name, change in (
        (1, "not zeroed", _other_byte),
        (2, "a byte changes", _other_byte),
        (2, "another CPU's copy", _other_cpu),
        (2, "one frame for two pages", _other_page),
    ):
        yield Lie(f"contents, {name}", "errors", "view", at_look(number, change), setup=REAL)
    yield Lie("close", "errors", "close", lambda *_: PercpuError("open"))


def lies_in_state() -> Iterator[Lie]:
    """Yield lies about each field of some chunks, each slot, and the number of chunks."""
    with Allocator(**SMALL) as allocator:
        allocator.alloc(8)
        chunk = allocator.state().chunks[0]
    for name, at, least in (("first", 0, 1), ("middle", 1, 3), ("last", -1, 2)):
        for each in fields(ChunkState):
            for change in changes(getattr(chunk, each.name)):
                if change == "order" and name != "last":
                    continue  # pages of a full chunk are all alike
                tell = in_item("chunks", at, least, in_field(each.name, change))
                yield Lie(f"{each.name} of the {name} chunk{_of(change)}", "state", "state", tell)
    for each in fields(State):
        for change in ("an item less", "an item more", "order"):
            yield Lie(f"{each.name}{_of(change)}", "state", "state", in_field(each.name, change))
    for slot in range(NR_SLOTS):
        for change in ("an item more", "order") if slot in LISTS else ("an item more",):
            tell = in_item("slots", slot, NR_SLOTS, to(change_to(change)))
            yield Lie(f"slot {slot}{_of(change)}", "state", "state", tell)


def lies_in_errors() -> Iterator[Lie]:
    """Yield lies about each error: there is none, it is another one, its text differs."""
    for kind in (*kinds_of_error(), BufferError, RuntimeError, SystemExit):
        method = "free" if issubclass(kind, InvalidPointer | BufferError) else "alloc"
        yield Lie(f"{kind.__name__} of {method}", "errors", method, to(raising(kind)))
    yield Lie("error of inject", "errors", "inject", lambda *_: PercpuError("no"))
    for kind, site in ((InvalidRequest, ""), *((PercpuMemoryError, site) for site in FAULT_SITES)):
        for change, make in (
            ("missing", lambda _: 4096),
            ("another text", lambda error: _like(error, f"{error}!")),
            ("another class", lambda error: RuntimeError(str(error))),
            ("another service", lambda error: _like(error, str(error), "free_page")),
        ):
            if site or change != "another service":
                name = f"{kind.__name__}{_of(site)}{_of(change)}"
                yield Lie(name, "errors", "alloc", of_error(kind, site, make), site=site)


def lies_in_batches() -> Iterator[Lie]:
    """Yield lies about what batches return, and the fields of a replay."""
    for change in changes((0, 1, 2)):
        tell = to(change_to(change))
        yield Lie(f"alloc_many{_of(change)}", "pointers", "alloc_many", tell, "many")
    for method in ("alloc_many", "free_many"):
        yield Lie(f"error of {method}", "errors", method, to(raising(PercpuError)), "many")
    yield Lie("error of alloc_many, missing", "errors", "alloc_many",
              of_error(InvalidRequest, "", lambda _: [4096]), "many")  # fmt: skip
    yield Lie("error of replay", "errors", "replay", to(raising(PercpuError)), "replay")
    for at in (0, -1):
        tell = in_item("pointers", at, 1, to(changed))
        yield Lie(f"pointer {at} of replay", "pointers", "replay", tell, "replay")
    for name in FIGURES:
        yield Lie(f"{name} of replay", "state", "replay", in_field(name, ""), "replay")
    for each in fields(Failure):
        tell = in_item("failures", -1, 1, _of_failure(each.name))
        yield Lie(f"{each.name} of a failure of replay", "errors", "replay", tell, "replay")
    yield Lie("failures of replay, an item less", "errors", "replay",
              in_field("failures", "an item less"), "replay")  # fmt: skip
    for method, tell in (
        ("state", in_item("chunks", -1, 2, in_field("free_size", ""))),
        ("counters", to(_add_to("map"))),
        ("work", _in_work("alloc", in_field("operations", ""))),
    ):
        for calls in ("many", "replay"):
            yield Lie(f"{method} during {calls}", method, method, once(tell), calls)


def _of(what: str) -> str:
    return f", {what}" if what else ""


def _add_to(service: str) -> Callable[[Any], Any]:
    return lambda calls: {**calls, service: calls[service] + 1}


def _in_work(call: str, tell: Tell) -> Tell:
    return lambda right, liar: replace(right, **{call: tell(getattr(right, call), liar)})


def _like(error: Exception, text: str, service: str | None = None) -> Exception:
    if isinstance(error, PercpuMemoryError):
        return PercpuMemoryError(text, service or error.service)
    return type(error)(text)


def _of_failure(name: str) -> Tell:
    def tell(right: Any, _liar: Liar) -> Any:
        changed_values = {
            "index": right.index - 1,
            "op": ("free", 0),
            "error": _like(right.error, "no"),
        }
        return replace(right, **{name: changed_values[name]})

    return tell


# --- entry points


class Here(Executor):
    """Runs a task in this thread when its result is needed."""

    def __init__(self, _jobs: int | None = None) -> None: ...

    def __enter__(self) -> Here:
        return self

    def submit(self, function: Any, /, *args: Any, **named: Any) -> Future[Any]:
        """Return a future that runs the task."""
        future: Future[Any] = Future()
        future.result = lambda timeout=None: function(*args, **named)  # type: ignore[method-assign]
        return future


class Found(NamedTuple):
    """What an entry point reports."""

    aspect: str
    parties: str


def _found(difference: Difference | None) -> Found | None:
    return Found(difference.aspect, ", ".join(difference.minority)) if difference else None


def _printed(text: str) -> list[Found]:
    found = re.findall(r"^the (\w+)(?: of (.+?))? differs? after", text, flags=re.M)
    return [Found(*words) for words in found]


FILLED = (256, 256, 248, 248, 236, 236, 216, 216, 176, 176)
SCRIPT: list[Any] = [
    *(("alloc", key, size, 4) for key, size in enumerate(FILLED)),
    # two chunks that a free leaves half empty
    *(("alloc", key, 120 + key % 2 * 10, 2) for key in range(10, 14)),
    ("free", 11),
    ("free", 13),
    ("alloc", 20, 257, 8),
    *(
        op
        for number, site in enumerate(FAULT_SITES)
        for op in (("inject", site, {"nth": 1}), ("alloc", 30 + number, 256, 8))
    ),
    *(("alloc", key, 24, 1) for key in range(40, 43)),
    ("free", 0),
    ("free", 1),
    ("alloc", 50, 8, 1),
]
REAL_SCRIPT: list[Any] = [
    *(("alloc", key, 20 + 1000 * key, 8) for key in range(12)),
    *(("free", key) for key in range(12)),
]


@lru_cache
def trace_of(real: bool) -> Trace:
    """Return a trace in which every lie can be told."""
    return Trace.from_ops(REAL_SCRIPT, REAL) if real else Trace.from_ops(SCRIPT, SMALL)


@lru_cache
def saved_trace(real: bool) -> str:
    """Save it in a file."""
    path = Path(_folder().name, f"{real}.trace")
    trace_of(real).save(path)
    return str(path)


@lru_cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def is_real(lie: Lie) -> bool:
    """Return whether a lie needs real memory."""
    return lie.setup is REAL


def in_lockstep(lie: Lie, parties: dict[str, Any]) -> Found | None:
    return _found(lockstep(parties, trace_of(is_real(lie)), calls=lie.calls))


def in_drive(lie: Lie, parties: dict[str, Any]) -> Found | None:
    made = {name: kind(**lie.setup) for name, kind in parties.items()}
    return _found(drive(made, trace_of(is_real(lie)), calls=lie.calls))


def _random(lie: Lie) -> dict[str, Any]:
    """Return the arguments of a campaign in which a lie can be told."""
    # one refused size refuses a whole batch
    sizes = (20, 5020, 9020) if is_real(lie) else SIZES[:-1] * (12 * (lie.calls == "many")) + SIZES
    plans = [(lie.site, {"nth": 2, "times": -1, "interval": 3})] if lie.site else []
    return {
        "length": LENGTH[lie.calls],
        "setup": lie.setup,
        "mix": Mix(sizes, (1, 4, 8), plans),
        "faults": float(bool(lie.site) or lie.method == "inject"),
        "calls": (lie.calls,),
    }


def in_campaign(lie: Lie, parties: dict[str, Any]) -> Found | None:
    return _found(Campaign(parties, 1, **_random(lie)).run(Here()).difference)


def in_upstream(lie: Lie, parties: dict[str, Any]) -> Found | None:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        check.compare(parties, 1, 0, **_random(lie))
    # the model, the third party, is in the second campaign only
    found = _printed(out.getvalue())
    if not found:
        return None
    in_both = list(parties).index("liar") < 2
    assert len(found) == 1 + in_both
    assert not in_both or found[0] == Found(found[1].aspect, "")  # two parties: each may be wrong
    return found[-1]


def _command(lie: Lie, parties: dict[str, Any], words: Iterable[str]) -> Found | None:
    module: Any = types.ModuleType("parties_of_liars")
    sys.modules["parties_of_liars"] = module
    vars(module).update(parties)
    options = [f"--with={name}=parties_of_liars:{name}" for name in parties]
    save = str(Path(_folder().name, "difference.trace"))
    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = cli.main(
            ["check", *words, *options, "--only", *parties, "--calls", lie.calls, "--save", save]
        )
    found = _printed(out.getvalue())
    assert status == len(found)
    return found[0] if found else None


def in_check(lie: Lie, parties: dict[str, Any]) -> Found | None:
    return _command(lie, parties, [saved_trace(is_real(lie))])


def in_check_random(lie: Lie, parties: dict[str, Any]) -> Found | None:
    given = _random(lie)
    mix = given["mix"]
    words = ["--random", "--operations=1", f"--length={given['length']}"]
    words += [f"--setup={json.dumps(lie.setup)}", f"--faults={given['faults']}"]
    words += [f"--plan={site}={json.dumps(plan)}" for site, plan in mix.plans]
    words += ["--sizes", *map(str, mix.sizes), "--aligns", *map(str, mix.aligns)]
    return _command(lie, parties, words)


ENTRIES: dict[str, Callable[[Lie, dict[str, Any]], Found | None]] = {
    "lockstep": in_lockstep,
    "drive": in_drive,
    "Campaign": in_campaign,
    "check TRACE": in_check,
    "check --random": in_check_random,
    "check-upstream": in_upstream,
}


# --- the matrix


@contextlib.contextmanager
def in_this_process() -> Iterator[None]:
    """Let the commands run here, without what is slow and shown by other tests."""

    def no_recordings(_parties: Any) -> Totals:
        return Totals()

    def unchanged(_parties: Any, difference: Difference, **_options: Any) -> Difference:
        return difference

    with contextlib.ExitStack() as stack:
        for module in ("percpu_ffi.cli.check", "upstream.check"):
            stack.enter_context(mock.patch(f"{module}.WorkerPool", Here))
            stack.enter_context(mock.patch(f"{module}.shorten", unchanged))
        stack.enter_context(mock.patch("percpu_ffi.lockstep.campaign.CASES_A_TASK", CASES))
        stack.enter_context(mock.patch.object(check, "recordings", no_recordings))
        stack.enter_context(mock.patch.object(cli, "_make_parser", lru_cache(cli._make_parser)))
        stack.callback(os.chdir, Path.cwd())
        os.chdir(_folder().name)
        yield


def cell(lie: Lie, entry: str, place: int, others: tuple[Any, Any] = (Allocator, Allocator)) -> str:
    """Tell a lie among others; return what is wrong with the way it was found, or nothing."""
    if lie.method == "close" and entry == "drive":
        return "-"  # it does not close the allocators
    party = type("Party", (Liar,), {"lie": lie})
    items: list[tuple[str, Any]] = list(zip(("one", "two"), others, strict=True))
    items.insert(place - 1, ("liar", party))
    Liar.first = None
    try:
        found = ENTRIES[entry](lie, dict(items))
    except AssertionError as error:
        return f"{error!r}"
    if Liar.first is None:
        return "it was not told"
    if found is None:
        return "it was not found"
    if found != Found(lie.aspect, "liar"):
        return f"{found.aspect} of {found.parties} were reported, not {lie.aspect} of liar"
    return f"it was found {Liar.first.late} calls late" if Liar.first.late else ""


def main() -> int:
    """Print the matrix; with the 2009 file in PERCPU_C the witness is one of the parties."""
    others: tuple[Any, Any] = (Allocator, Allocator)
    if percpu_c := os.environ.get("PERCPU_C"):
        others = (WitnessFactory(build(Path(percpu_c), Path(_folder().name))), Allocator)
    columns = [(entry, place) for entry in ENTRIES for place in PLACES]
    rows = list(lies())
    width = max(len(lie.name) for lie in rows)
    print(" " * width, *(f"{entry:<15}" for entry in ENTRIES))
    print(" " * width, *("1 2 3".ljust(15) for _ in ENTRIES))
    gaps = []
    with in_this_process():
        for lie in rows:
            wrong = {column: cell(lie, *column, others) for column in columns}
            marks = ["." if not text else "-" if text == "-" else "X" for text in wrong.values()]
            cells = (" ".join(marks[at : at + 3]).ljust(15) for at in range(0, len(marks), 3))
            print(f"{lie.name:<{width}}", *cells)
            gaps += [
                f"{lie.name}, {entry}, party {place}: {text}"
                for (entry, place), text in wrong.items()
                if text not in ("", "-")
            ]
    print(f"{len(rows)} lies, {len(rows) * len(columns)} cells, {len(gaps)} gaps")
    print(*gaps, sep="\n")
    return 1 if gaps else 0


if __name__ == "__main__":
    sys.exit(main())
