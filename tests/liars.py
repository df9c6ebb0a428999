# SPDX-License-Identifier: GPL-2.0-only
"""Liars: allocators that report one wrong value, generated from the fields of the dataclasses.

A lie is small: one field of one chunk, one count, one error, from some call on.  A new field
has its liar at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from percpu_ffi import (
    Allocator,
    InvalidPointer,
    InvalidRequest,
    PercpuError,
    PercpuMemoryError,
    State,
    WorkByCall,
)
from percpu_ffi.config import FAULT_SITES, SERVICES
from percpu_ffi.lockstep.answer import FIGURES
from percpu_ffi.replay import Failure
from percpu_ffi.state import ChunkState
from percpu_ffi.work import Work

# units of 256 bytes on 2 CPUs; a chunk's map is larger than a page, so vmalloc has it
SMALL: dict[str, Any] = {"cpus": 2, "static_size": 16, "page_size": 16, "memory": "none"}
REAL: dict[str, Any] = {"cpus": 2, "static_size": 64, "page_size": 4096, "memory": "mapped"}

NR_SLOTS = 8  # of SMALL
LISTS = range(6)  # slots that may have two chunks
# what they leave is in each of these slots; the last one is refused
SIZES = (256, 256, 248, 236, 216, 176, 130, 120, 257)

AFTER = {"single": 9, "many": 2, "replay": 1}  # calls, before a lie begins
CALLS = ("alloc", "free", "inject", "alloc_many", "free_many", "replay")
RESULTS = ("state", "counters", "work", "view", "close")


# --- the liar

Tell = Callable[[Any, "Liar"], Any]


@dataclass(frozen=True)
class Lie:
    """A wrong value, and when it is reported."""

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
        state = allocator.state()
    chunk = state.chunks[0]
    for name, at, least in (("first", 0, 1), ("middle", 1, 3), ("last", -1, 2)):
        for each in fields(ChunkState):
            for change in changes(getattr(chunk, each.name)):
                if change == "order" and name != "last":
                    continue  # pages of a full chunk are all alike
                tell = in_item("chunks", at, least, in_field(each.name, change))
                yield Lie(f"{each.name} of the {name} chunk{_of(change)}", "state", "state", tell)
    for each in fields(State):
        right = getattr(state, each.name)
        possible = ["an item less", "an item more", "order"] if right else changes(right)
        for change in possible if isinstance(right, tuple) else ("",):
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
    for change in ("an item less", "an item more", "order"):
        tell = in_field("failures", change)
        yield Lie(f"failures of replay{_of(change)}", "errors", "replay", tell, "replay")
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
