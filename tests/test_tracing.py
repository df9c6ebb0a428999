# SPDX-License-Identifier: GPL-2.0-only
"""An allocator's run, written as the text that ftrace prints."""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import FORK, TINY, Kind, Make, in_child

from percpu_ffi import (
    Allocator,
    ClosedError,
    ConfigError,
    Model,
    PerCpu,
    PercpuError,
    PercpuMemoryError,
    Trace,
    Tracing,
)
from percpu_ffi._core import lib
from percpu_ffi.tracing import event
from percpu_ffi.tracing.event import ALLOC, ALLOC_FAIL, CREATE_CHUNK, DESTROY_CHUNK, FREE, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# the format that trace-cmd and other parsers of ftrace's text expect
LINE = re.compile(
    r" *(?P<comm>.+)-(?P<pid>\d+) +\[(?P<cpu>\d{3})\] (?P<flags>.{5}) +"
    r"(?P<time>\d+\.\d{6}): (?P<event>\w+): (?P<fields>.*)"
)


def events(text: str) -> list[re.Match[str]]:
    found = [LINE.fullmatch(line) for line in text.splitlines() if not line.startswith("#")]
    assert all(found), text
    return [line for line in found if line]


def fields(line: re.Match[str]) -> dict[str, str]:
    return dict(field.split("=") for field in line["fields"].split())


def work(a: PerCpu, seed: int = 1) -> list[tuple[Any, ...]]:
    """Do a hundred operations with all methods; return them in the form of a trace."""
    rng, live = random.Random(seed), list[int]()
    done: list[tuple[Any, ...]] = []
    for _ in range(50):
        size, align = rng.randint(1, 300), 1 << rng.randint(0, 4)
        live.append(a.alloc(size, align))
        done.append(("alloc", live[-1], size, align))
        if rng.random() < 0.6:
            done.append(("free", live.pop(rng.randrange(len(live)))))
            a.free(done[-1][1])
    ptrs = a.alloc_many([8, 16, 24], align=4)
    done += [("alloc", ptr, size, 4) for ptr, size in zip(ptrs, (8, 16, 24), strict=True)]
    a.free_many(ptrs[::-1])
    done += [("free", ptr) for ptr in ptrs[::-1]]
    # each needs a chunk of its own, and two of these are released
    for ptr in (big := [a.alloc(1000) for _ in range(3)]):
        done.append(("alloc", ptr, 1000, 8))
    for ptr in big:
        a.free(ptr)
        done.append(("free", ptr))
    with a.area(8) as area:
        done += [("alloc", area.ptr, 8, 8), ("free", area.ptr)]
    return done


def test_written_operations_are_read_back(tiny: Make, tmp_path: Path) -> None:
    with tiny() as a, a.trace_to(tmp_path / "t") as tracing:
        done = work(a)
    trace = Trace.load(tmp_path / "t")
    assert list(trace) == done
    assert trace.stats.lost == 0
    assert trace.stats.cpus == 2
    assert tracing.events == trace.stats.events
    assert {kind.site for kind in trace.kinds} == {"work"}


def test_port_and_model_write_the_same() -> None:
    texts = []
    for kind in (Allocator, Model):
        text = io.StringIO()
        with kind(**TINY) as a, a.trace_to(text):
            work(a)
        texts.append([(line["event"], line["fields"]) for line in events(text.getvalue())])
    assert texts[0] == texts[1]
    assert {event for event, _ in texts[0]} >= {"percpu_create_chunk", "percpu_destroy_chunk"}


# a unit is 1 KiB; its first 64 bytes are static
def test_fields_are_those_of_a_kernel(tiny: Make) -> None:
    text = io.StringIO()
    with tiny() as a, a.trace_to(text):
        ptr = a.alloc(100, 16)
        a.free(ptr)
        base = ptr - 64
        chunk = a.alloc(1024)
        a.inject("get_vm_area", nth=1)
        with pytest.raises(PercpuMemoryError):
            a.alloc(1000, 32)
    lines = [f"{line['event']}: {line['fields']}" for line in events(text.getvalue())]
    site = "call_site=test_fields_are_those_of_a_kernel"
    where = f"base_addr={base:016x} off=64 ptr={ptr:016x}"
    assert lines[0] == (
        f"percpu_alloc_percpu: {site} reserved=0 is_atomic=0 size=100 align=16 {where} "
        "bytes_alloc=200 gfp_flags=GFP_KERNEL"
    )
    assert lines[1] == f"percpu_free_percpu: {where}"
    assert lines[2] == f"percpu_create_chunk: base_addr={chunk:016x}"
    assert lines[4] == "percpu_alloc_percpu_fail: reserved=0 is_atomic=0 size=1000 align=32"


def test_records_of_all_kinds(tiny: Make) -> None:
    with tiny() as a:
        a._record(on=True)
        in_first, odd = a.alloc(8, 16), a.alloc(3, 1)
        a.free(odd)
        one, two = a.alloc(1024), a.alloc(1000)
        a.inject("get_vm_area", nth=1)
        a.alloc(900, 32)
        with pytest.raises(PercpuMemoryError):
            a.alloc(901, 32)
        a.free(one)
        a.free(two)
        found = [*a._recorded()[0]]
        a._record(on=False)
        a.alloc(8)
        assert not list(a._recorded()[0])
    assert [record.kind for record in found if record.error] in ([], [ALLOC_FAIL])
    assert [
        (record.kind, record.ptr, record.chunk, record.offset, record.size, record.align)
        for record in found
    ] == [
        (ALLOC, in_first, 0, 64, 8, 16),
        (ALLOC, in_first + 8, 0, 72, 3, 1),
        (FREE, in_first + 8, 0, 72, 3, 0),
        (CREATE_CHUNK, one, 1, 0, 0, 0),
        (ALLOC, one, 1, 0, 1024, 8),
        (CREATE_CHUNK, two, 2, 0, 0, 0),
        (ALLOC, two, 2, 0, 1000, 8),
        (ALLOC, in_first + 32, 0, 96, 900, 32),
        (ALLOC_FAIL, 0, 0, 0, 901, 32),
        (FREE, one, 1, 0, 1024, 0),
        (FREE, two, 2, 0, 1000, 0),
        (DESTROY_CHUNK, one, 1, 0, 0, 0),
    ]


def test_head_and_lines_are_laid_out_as_in_tracefs(tiny: Make) -> None:
    text = io.StringIO()
    with tiny() as a, a.trace_to(text):
        a.free(a.alloc(8))
    head = text.getvalue().splitlines()[:12]
    assert head[0] == "# tracer: nop"
    assert re.fullmatch(r"# entries-in-buffer/entries-written: 2/2 +#P:2", head[2])
    assert all(line.startswith("#") for line in head[:11])
    alloc, free = events(text.getvalue())
    assert int(alloc["pid"]) == threading.get_native_id()
    assert 0 <= float(alloc["time"]) <= float(free["time"]) < 100
    assert int(alloc["cpu"]) < 2


def test_times_are_those_of_the_calls(kind: Kind, tmp_path: Path) -> None:
    with kind() as a:
        start = time.monotonic_ns()
        with a.trace_to(tmp_path / "t"):
            ptr = a.alloc(8)
            time.sleep(0.01)
            a.free(ptr)
        end = time.monotonic_ns()
    times = Trace.load(tmp_path / "t").times
    assert times is not None
    assert times[0] <= times[1] <= end - start
    assert times[1] - times[0] >= 10_000_000 - 1000  # whole microseconds are printed


@pytest.mark.parametrize("n", [255, 256, 257, 600])
def test_many_records_in_order(kind: Kind, n: int) -> None:
    """The port takes 256 at a time."""
    with kind(memory="none") as a:
        a._record(on=True)
        ptrs = a.alloc_many([4] * n, 4)
        records, lost = a._recorded()
        assert ([record.ptr for record in records], lost) == (ptrs.tolist(), 0)
        assert list(a._recorded()[0]) == []


# Every record said CPU 0, and the tests were content with any CPU.
def test_records_have_the_cpu_of_the_caller(tiny: Make) -> None:
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        pytest.skip("there is one CPU only")
    cpus = sorted(before)[:2] * 2
    try:
        with tiny() as a:
            a._record(on=True)
            for cpu in cpus:
                os.sched_setaffinity(0, {cpu})
                a.alloc(8)
            assert [record.cpu for record in a._recorded()[0]] == cpus
    finally:
        os.sched_setaffinity(0, before)


@pytest.fixture
def own_name() -> Iterator[Callable[[bytes], object]]:
    """Set the kernel's name of this process."""
    comm = Path("/proc/self/comm")
    before = comm.read_bytes()
    yield comm.write_bytes
    comm.write_bytes(before.strip())


def test_name_of_the_process_may_be_any_bytes(own_name: Callable[[bytes], object]) -> None:
    """In ``stat`` it stands between parentheses, before the CPU."""
    own_name(b"a) (b\xff 1")
    assert event.own_name() == "a) (b\N{REPLACEMENT CHARACTER} 1"
    assert event._cpu() in os.sched_getaffinity(0)


@pytest.mark.parametrize("stat", [None, b"", b"1 (a) R 2 3", b"1 (a) " + b"R " * 40])
def test_what_the_kernel_does_not_say(monkeypatch: pytest.MonkeyPatch, stat: bytes | None) -> None:
    """As where ``/proc`` is not mounted, or is another system's."""

    def read(_path: Path, **_: str) -> Any:
        if stat is None:
            raise FileNotFoundError
        return stat

    monkeypatch.setattr(Path, "read_bytes", read)
    assert event._cpu() == -1
    if stat is None:
        monkeypatch.setattr(Path, "read_text", read)
        assert event.own_name() == "python"


def test_records_become_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times count from the start of the trace; the host may have more CPUs than the allocator."""
    records = [
        Record(ALLOC, 0, 0, 0x3040, 1, 0x40, 24, 16, 7_000_001_999, 2, 41),
        Record(FREE, 0, 0, 0x3050, 1, 0x50, 8, 0, 7_123_456_789, 0, 42),
        Record(ALLOC_FAIL, 0, 12, 0, 0, 0, 5, 32, 19_000_000_000, 3, 1234567),
        Record(CREATE_CHUNK, 0, 0, 0x4000, 2, 0, 0, 0, 119_000_000_000, 4, 41),
        Record(DESTROY_CHUNK, 0, 0, 0x5000, 3, 0, 0, 0, 7_000_000_000, -1, 41),
    ]
    with Allocator(cpus=3, memory="none") as a:
        with monkeypatch.context() as patch:
            patch.setattr(time, "monotonic_ns", lambda: 7_000_000_000)
            patch.setattr(event, "own_name", lambda: "my prog\n")
            tracing = a.trace_to(text := io.StringIO())
            patch.setattr(Allocator, "_recorded", lambda self: (records, 0))
            tracing.drain()
        tracing.close()
    body = [line for line in text.getvalue().splitlines() if not line.startswith("#")]
    call_site = "call_site=percpu_ffi reserved=0 is_atomic=0"
    assert body == [
        "        my prog?-41      [002] .....     0.000001: percpu_alloc_percpu: "
        f"{call_site} size=24 align=16 base_addr=0000000000003000 off=64 ptr=0000000000003040 "
        "bytes_alloc=72 gfp_flags=GFP_KERNEL",
        "        my prog?-42      [000] .....     0.123456: percpu_free_percpu: "
        "base_addr=0000000000003000 off=80 ptr=0000000000003050",
        "        my prog?-1234567 [000] .....    12.000000: percpu_alloc_percpu_fail: reserved=0 "
        "is_atomic=0 size=5 align=32",
        "        my prog?-41      [001] .....   112.000000: percpu_create_chunk: "
        "base_addr=0000000000004000",
        "        my prog?-41      [000] .....     0.000000: percpu_destroy_chunk: "
        "base_addr=0000000000005000",
    ]


def test_task_is_the_name_that_the_kernel_has(tiny: Make) -> None:
    text = io.StringIO()
    with tiny() as a, a.trace_to(text):
        a.alloc(8)
    (line,) = events(text.getvalue())
    assert line["comm"] == Path("/proc/self/comm").read_text().strip()


def test_call_site_has_no_characters_that_separate_fields(tiny: Make) -> None:
    def site() -> None:
        a.alloc(8)

    # as in code that a program has generated
    site.__code__ = site.__code__.replace(co_name="a b=c\x1b")
    text = io.StringIO()
    with tiny() as a, a.trace_to(text):
        site()
    assert fields(events(text.getvalue())[0])["call_site"] == "a?b?c?"


def test_a_replay_is_written_too(kind: Kind, tmp_path: Path) -> None:
    trace = Trace.load(FORK)
    done_so_far: list[int] = []
    with kind(cpus=2) as a:
        with a.trace_to(tmp_path / "t"):
            result = a.replay(trace, done_so_far.append)
        assert sum(done_so_far) == len(trace)
    again = Trace.load(tmp_path / "t")
    # except orphan frees, which have no effect
    done = [(op[0], ptr, *op[2:]) for op, ptr in zip(trace, result.pointers, strict=True) if ptr]
    assert list(again) == done
    assert len(done) > 13_000


@pytest.mark.filterwarnings("ignore::percpu_ffi.PercpuWarning")
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda a: a.alloc(24, 16), "map failed for an area of 24 bytes aligned to 16"),
        (lambda a: a.alloc_many([24], 16), "map failed for an area of 24 bytes aligned to 16"),
        (lambda a: a.alloc(1025, 16), "size 1025: "),
        (lambda a: a.alloc(24, 48), "alignment 48: "),
        (lambda a: a.free(a.static_ptr), "pointer 0x40 is in the static area"),
        (lambda a: a.free(7), "pointer 0x7 is in no chunk"),
        (lambda a: a.free_many([7]), "pointer 0x7 is in no chunk"),
    ],
)
@pytest.mark.parametrize("traced", [True, False])
def test_errors_are_the_same_while_a_trace_is_written(
    kind: Kind, call: Callable[[PerCpu], object], words: str, traced: bool
) -> None:
    with kind(page_size=64, static_size=64, memory="none") as a:
        a.inject("map", nth=1)
        with a.trace_to(io.StringIO()) if traced else contextlib.nullcontext():
            with pytest.raises(PercpuError) as caught:
                call(a)
            assert words in str(caught.value)


def test_a_batch_that_is_undone_is_written_as_it_happened(tiny: Make) -> None:
    text = io.StringIO()
    with tiny() as a, a.trace_to(text):
        a.inject("get_vm_area", nth=1)
        with pytest.raises(PercpuMemoryError):
            a.alloc_many([500, 400, 300])
    written = [line["event"].removeprefix("percpu_") for line in events(text.getvalue())]
    assert written == [*["alloc_percpu"] * 2, "alloc_percpu_fail", *["free_percpu"] * 2]


def test_only_calls_between_start_and_end_are_written(kind: Kind) -> None:
    with kind() as a:
        a.alloc(8)
        with a.trace_to(io.StringIO()) as tracing:
            a.alloc(8)
            assert repr(tracing) == "<Tracing, 1 event>"
        a.alloc(8)
        assert list(a._recorded()[0]) == []  # none is kept
    assert tracing.events == 1
    assert repr(tracing) == "<Tracing, 1 event, closed>"
    assert tracing.closed


def test_subclass_keeps_its_overrides(kind: Kind) -> None:
    class Mine(kind):  # type: ignore[misc, valid-type]
        def alloc(self, size: int, align: int = 8) -> int:
            self.asked = size
            return int(super().alloc(size, align))

    text = io.StringIO()
    with Mine() as a, a.trace_to(text):
        a.alloc(24)
        assert a.asked == 24
    assert fields(events(text.getvalue())[0])["size"] == "24"


def test_one_trace_at_a_time_and_then_another(kind: Kind, tmp_path: Path) -> None:
    with kind() as a:
        with a.trace_to(io.StringIO()), pytest.raises(ConfigError, match="traced already"):
            a.trace_to(tmp_path / "t")
        assert not (tmp_path / "t").exists()
        a.trace_to(tmp_path / "t").close()
        assert (tmp_path / "t").exists()


def test_closing_the_allocator_ends_the_trace(kind: Kind) -> None:
    text = io.StringIO()
    a = kind()
    tracing = a.trace_to(text)
    a.alloc(8)
    a.close()
    assert tracing.closed
    assert len(events(text.getvalue())) == 1
    assert not text.closed  # it is the caller's
    tracing.close()
    with pytest.raises(ClosedError):
        a.trace_to(text)


def test_a_file_that_cannot_be_rewound_has_no_head(kind: Kind) -> None:
    reader, writer = os.pipe()
    with kind() as a, open(writer, "w") as into, a.trace_to(into):
        a.alloc(8)
    with open(reader) as file:
        assert len(events(file.read())) == 1


def test_appended_trace_keeps_the_earlier_text(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "t").write_text("# before\n")
    with kind() as a, (tmp_path / "t").open("a") as file, a.trace_to(file):
        a.alloc(8)
    lines = (tmp_path / "t").read_text().splitlines()
    assert lines[0] == "# before"
    assert len(lines) == 2


def test_lines_are_in_the_file_when_the_call_returns(kind: Kind, tmp_path: Path) -> None:
    """The head follows at the end, and then the file is the caller's again."""
    with kind(cpus=2) as a, (tmp_path / "t").open("w") as file:
        with a.trace_to(file):
            a.alloc(8)
            assert len(events((tmp_path / "t").read_text())) == 1
        assert "entries-written: 1/1" in (tmp_path / "t").read_text()
        file.write("# after\n")
    assert (tmp_path / "t").read_text().splitlines()[-1] == "# after"


@pytest.mark.parametrize("which", ["trace", "allocator"])
def test_calls_of_c_are_written_at_the_end(tmp_path: Path, which: str) -> None:
    """They have no call site, even if their thread has called a method before."""
    with Allocator(cpus=2) as a:
        tracing = a.trace_to(tmp_path / "t")
        a.alloc(8)
        assert lib.pcpu_alloc(a.handle, 16, 8) > 0
        if which == "trace":
            tracing.close()
    assert tracing.events == 2
    lines = [fields(line) for line in events((tmp_path / "t").read_text())]
    own = "test_calls_of_c_are_written_at_the_end"
    assert [line["call_site"] for line in lines] == [own, "percpu_ffi"]


# calls succeed even if the trace cannot be written
def test_a_full_disk_fails_no_call(kind: Kind) -> None:
    with kind() as a:
        full = Path("/dev/full").open("w")  # noqa: SIM115 - closing it fails too
        tracing = a.trace_to(full)
        a.free(a.alloc(8))
        with pytest.raises(OSError, match="No space"):
            tracing.close()
        assert tracing.closed
        assert tracing.events == 2
        a.free(a.alloc(8))
        with contextlib.suppress(OSError):
            full.close()


def test_a_trace_is_text(kind: Kind, tmp_path: Path) -> None:
    with kind() as a:
        with (tmp_path / "t").open("wb") as file, pytest.raises(ConfigError, match="without 'b'"):
            a.trace_to(file)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="without 'b'"):
            a.trace_to(io.BytesIO())  # type: ignore[arg-type]
        with tempfile.NamedTemporaryFile() as file, pytest.raises(ConfigError, match="without 'b'"):
            a.trace_to(file)  # type: ignore[arg-type]
        with pytest.raises(FileNotFoundError):
            a.trace_to(tmp_path / "no" / "t")
        a.trace_to(io.StringIO()).close()  # no earlier one has begun


class Refusing:
    """A part of an allocator that refuses to be traced, as long as ``what`` names a reason."""

    what: str | None = None

    def _record(self, *, on: bool) -> None:
        super()._record(on=on)  # type: ignore[misc]
        if on and self.what == "record":
            raise ConfigError("no records, please")

    def _recorded(self) -> Any:
        if self.what == "recorded":
            raise NotImplementedError
        return super()._recorded()  # type: ignore[misc]

    @property
    def cpus(self) -> int:
        if self.what == "cpus":
            raise ConfigError("no CPUs, please")
        return super().cpus  # type: ignore[misc, no-any-return]

    def __setattr__(self, name: str, value: Any) -> None:
        if self.what == "tracing" and name == "_tracing" and value is not None:
            raise AttributeError(name)
        super().__setattr__(name, value)


class Unrewound(io.StringIO):
    """A file that fails when its place is asked for."""

    def tell(self) -> int:
        raise OSError(5, "Input/output error")


# the allocator kept events from then on, or was "being traced already"
@pytest.mark.parametrize("what", ["record", "recorded", "cpus", "tracing", "file"])
def test_a_trace_begins_completely_or_not_at_all(kind: Kind, tmp_path: Path, what: str) -> None:
    (tmp_path / "t").write_text("old")
    file: Any = Unrewound() if what == "file" else tmp_path / "t"
    with type("Mine", (Refusing, kind), {})() as a:
        a.what = what
        with pytest.raises((ConfigError, NotImplementedError, AttributeError, OSError)):
            a.trace_to(file)
        a.what = None
        assert (tmp_path / "t").read_text() == "old"
        a.free(a.alloc(8))
        assert list(a._recorded()[0]) == []
        with a.trace_to(tmp_path / "t") as tracing:
            a.free(a.alloc(8))
        assert tracing.events == 2


# each call raised the error, and so did close(), which therefore could not end the trace
def test_a_trace_whose_allocator_fails_later_can_be_closed(kind: Kind) -> None:
    text = io.StringIO()
    with type("Mine", (Refusing, kind), {})() as a:
        tracing = a.trace_to(text)
        a.what = "recorded"
        a.free(a.alloc(8))
        with pytest.raises(NotImplementedError):
            tracing.close()
        assert tracing.closed
        a.what = None
        a.trace_to(text).close()


class Bare:
    """A file that can only be written."""

    def write(self, text: str) -> int:
        return len(text)


class Broken(io.StringIO):
    """A file that raises an exception of its own class."""

    def write(self, text: str) -> int:
        raise RuntimeError("the connection is gone")


# each of these was accepted, and then every alloc() raised an error and lost its area
@pytest.mark.parametrize("what", ["bare", "closed", "for reading", "no file"])
def test_file_that_does_not_accept_text_is_refused(kind: Kind, tmp_path: Path, what: str) -> None:
    (tmp_path / "t").touch()
    with (tmp_path / "t").open() as reading:
        closed = io.StringIO()
        closed.close()
        file: Any = {"bare": Bare(), "closed": closed, "for reading": reading, "no file": 3}[what]
        with kind() as a:
            with pytest.raises(ConfigError, match="a file open for writing text"):
                a.trace_to(file)
            a.free(a.alloc(8))


def test_a_file_that_raises_anything_fails_no_call(kind: Kind) -> None:
    with kind() as a:
        tracing = a.trace_to(Broken())
        a.free(a.alloc(8))
        with pytest.raises(RuntimeError, match="connection"):
            tracing.close()
        a.trace_to(io.StringIO()).close()


def test_a_caller_without_a_module_name_is_written_too(kind: Kind) -> None:
    text = io.StringIO()
    with kind() as a, a.trace_to(text):
        exec("alloc(8)", {"alloc": a.alloc, "__name__": None})
    assert len(events(text.getvalue())) == 1


def test_threads_are_distinguished_and_in_order(kind: Kind, tmp_path: Path) -> None:
    with kind() as a:

        def first() -> None:
            a.free_many(a.alloc_many([8] * 50))

        def second() -> None:
            for _ in range(50):
                a.free(a.alloc(16))

        with a.trace_to(tmp_path / "t"):
            threads = [threading.Thread(target=target) for target in (first, second)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    lines = events((tmp_path / "t").read_text())
    assert len(lines) == 200
    times = [float(line["time"]) for line in lines]
    assert times == sorted(times)
    for size, site in (("8", "first"), ("16", "second")):
        own = [line for line in lines if fields(line).get("size") == size]
        assert {fields(line)["call_site"] for line in own} == {site}
        assert len({line["pid"] for line in own}) == 1
    trace = Trace.load(tmp_path / "t")
    assert trace.stats.orphan_frees == trace.stats.reallocs == 0


# A trace changed the class of its allocator: threads that called meanwhile got TypeErrors, and
# close() had no effect.
def test_threads_call_while_traces_start_and_end(kind: Kind) -> None:
    over, raised = threading.Event(), list[BaseException]()

    def churn(a: PerCpu) -> None:
        try:
            while not over.is_set():
                a.free(a.alloc(16))
                a.free_many(a.alloc_many([8, 24]))
        except BaseException as error:
            raised.append(error)

    texts = []
    with kind() as a:
        threads = [threading.Thread(target=churn, args=(a,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(40):
                text = io.StringIO()
                with a.trace_to(text) as tracing:
                    time.sleep(0.002)
                assert tracing.closed
                texts.append(text.getvalue())
                assert len(events(texts[-1])) == tracing.events
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert raised == []
    assert sum(map(len, map(events, texts))) > 100
    for written in texts:
        live = set()
        for line in events(written):
            found = fields(line)
            if "alloc" in line["event"]:
                # a call that was under way when the trace began has no call site
                assert found["call_site"] in ("churn", "percpu_ffi")
                assert found["ptr"] not in live
                live.add(found["ptr"])
            else:
                live.discard(found["ptr"])


# Two traces that began at once raised an MRO error.
def test_only_one_of_several_traces_started_at_once_is_written(kind: Kind) -> None:
    def begin(a: PerCpu, barrier: threading.Barrier, results: list[Tracing | ConfigError]) -> None:
        barrier.wait()
        try:
            results.append(a.trace_to(io.StringIO()))
        except ConfigError as error:
            results.append(error)

    with kind() as a:
        for _ in range(100):
            results: list[Tracing | ConfigError] = []
            arguments = (a, threading.Barrier(4), results)
            threads = [threading.Thread(target=begin, args=arguments) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            (begun,) = (result for result in results if isinstance(result, Tracing))
            assert len(results) == 4
            begun.close()


# The file was opened and not closed again.
def test_a_trace_that_cannot_begin_changes_nothing(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kind() as a:
        with monkeypatch.context() as patch:
            patch.setattr(kind, "_record", lambda self, on: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                a.trace_to(tmp_path / "t")
        assert not (tmp_path / "t").exists()
        a.alloc(8)
        with a.trace_to(tmp_path / "t") as tracing:
            a.alloc(8)
        assert tracing.events == 1


# The call of a handler that interrupts another one changed the call site of the rest.
def test_a_call_inside_a_call_has_its_own_call_site(kind: Kind) -> None:
    text = io.StringIO()
    trace = Trace.from_ops([("alloc", key, 16, 8) for key in range(3)])
    with kind() as a:

        def inside(_done: int) -> None:
            a.alloc(24)

        with a.trace_to(text):
            a.replay(trace, inside, stops=[1])
    written = [
        (fields(line)["size"], fields(line)["call_site"]) for line in events(text.getvalue())
    ]
    own = "test_a_call_inside_a_call_has_its_own_call_site"
    assert written == [("16", own), ("24", "inside"), ("16", own), ("16", own), ("24", "inside")]


def test_a_forked_child_writes_nothing(kind: Kind, tmp_path: Path) -> None:
    with kind() as a:
        tracing = a.trace_to(tmp_path / "t")
        a.alloc(8)

        def go_on() -> None:
            a.alloc(8)
            tracing.close()

        assert in_child(go_on) == 0
        tracing.close()
    assert len(events((tmp_path / "t").read_text())) == 1
    assert "1/1" in (tmp_path / "t").read_text()


# "lost" stood before the events that were kept
def test_lost_events_come_after_those_that_were_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Allocator._recorded
    losses = [0, 7, 0, 2, 0]
    text = io.StringIO()
    with Allocator() as a, a.trace_to(text) as tracing:
        with monkeypatch.context() as patch:
            patch.setattr(Allocator, "_recorded", lambda self: (taken(self)[0], losses.pop(0)))
            for size in (8, 16, 24, 32):
                a.alloc(size)
        assert (tracing.events, tracing.lost) == (4, 9)
    lines = text.getvalue().splitlines()
    assert lines[2].split() == ["#", "entries-in-buffer/entries-written:", "4/13", "#P:4"]
    lines = [line for line in lines if not line.startswith("#")]
    kept = [line.partition(" size=")[2].partition(" ")[0] or line for line in lines]
    assert kept == ["8", "16", "CPU:0 [LOST 7 EVENTS]", "24", "32", "CPU:0 [LOST 2 EVENTS]"]


def test_first_of_several_errors_ends_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = iter(["first", "second", "third"])

    def refuse(_self: Allocator) -> Any:
        raise RuntimeError(next(reasons))

    with Allocator() as a:
        tracing = a.trace_to(io.StringIO())
        with monkeypatch.context() as patch:
            patch.setattr(Allocator, "_recorded", refuse)
            a.free(a.alloc(8))
            with pytest.raises(RuntimeError, match="first"):
                tracing.close()


def test_lost_events_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    taken = Allocator._recorded
    monkeypatch.setattr(Allocator, "_recorded", lambda self: (taken(self)[0], 7))
    with Allocator() as a, a.trace_to(tmp_path / "t") as tracing:
        a.alloc(8)
        monkeypatch.undo()
    assert tracing.lost == 7
    lines = (tmp_path / "t").read_text().splitlines()
    assert "percpu_alloc_percpu:" in lines[-2]  # it was kept, those after it were lost
    assert lines[-1] == "CPU:0 [LOST 7 EVENTS]"
    assert Trace.load(tmp_path / "t").stats.lost >= 7
