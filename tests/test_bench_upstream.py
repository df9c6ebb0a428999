# SPDX-License-Identifier: GPL-2.0-only
"""The 2009 file as a contender: how it is compiled and called.

The file is not part of the project.  Most tests have stand-ins for it, for the compiler and for
the library; those of :class:`TestUpstream` run where PERCPU_C names the file.
"""

from __future__ import annotations

import ctypes
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from percpu_ffi import Allocator, ConfigError
from percpu_ffi._core import ffi, lib
from percpu_ffi.bench import percpu_c, upstream
from percpu_ffi.bench.contenders import CONTENDERS, choose_contenders
from percpu_ffi.bench.machine import describe_machine
from percpu_ffi.bench.percpu_c import CannotCompile, WrongFile, blob_id, compile_with
from percpu_ffi.bench.upstream import Upstream, percpu_c_named
from percpu_ffi.bench.workload import Geometry, Workload, allocs

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKLOAD = Workload("sample", "", (), kinds=((24, 8),), slots=3)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file that is taken for the 2009 file."""
    path = tmp_path / "percpu.c"
    headers = ["linux/bitmap.h", "linux/list.h", "asm/tlbflush.h"]
    path.write_text("".join(f"#include <{header}>\n" for header in headers))
    monkeypatch.setattr(percpu_c, "BLOB", blob_id(path.read_bytes()))
    monkeypatch.setenv("PERCPU_C", str(path))
    return path


class TestChoice:
    def test_file_has_to_be_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for is_set in (True, False):
            monkeypatch.setenv("PERCPU_C", "")
            if not is_set:
                monkeypatch.delenv("PERCPU_C")
            assert percpu_c_named() is None
            with pytest.raises(ConfigError, match="set PERCPU_C"):
                choose_contenders(["upstream"])

    def test_named_file_is_taken(self, stand_in: Path) -> None:
        assert percpu_c_named() == stand_in
        assert CONTENDERS["upstream"].missing() == ""
        assert [*choose_contenders(["upstream", "port"])] == ["port", "upstream"]

    def test_missing_file_is_refused(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PERCPU_C", str(tmp_path / "percpu.c"))
        with pytest.raises(ConfigError, match=r"PERCPU_C=.*no such file.*or unset PERCPU_C"):
            choose_contenders(["upstream"])

    def test_another_file_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PERCPU_C", __file__)
        words = "is git blob .* mm/percpu.c .* blob 9ac01980cce084f51cde78edd5e0fec534f19023: "
        with pytest.raises(WrongFile, match=words):
            CONTENDERS["upstream"].open(WORKLOAD)


class TestCompile:
    def test_blob_is_that_of_git(self) -> None:
        """As ``echo hello | git hash-object --stdin`` prints it."""
        assert blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"

    @pytest.mark.parametrize("cc", ["/nowhere/cc", '"'])
    def test_compiler_is_needed(
        self, monkeypatch: pytest.MonkeyPatch, stand_in: Path, cc: str
    ) -> None:
        monkeypatch.setenv("CC", cc)
        with pytest.raises(CannotCompile, match=r"no C compiler.*install gcc, or set CC"):
            compile_with(stand_in, "FILE", [], [], stand_in.with_name("a.so"))
        assert "none found" in describe_machine()["compiler"]

    def test_compiler_gets_flags_macro_and_sources(
        self, monkeypatch: pytest.MonkeyPatch, stand_in: Path, tmp_path: Path
    ) -> None:
        """The compiler here writes down its arguments, one a line."""
        (tmp_path / "cc").write_text(f"printf '%s\\n' \"$@\" > '{tmp_path}/arguments'")
        monkeypatch.setenv("CC", f"sh '{tmp_path}/cc' -m64")
        monkeypatch.chdir(tmp_path)
        library, sources = Path("a.so"), [Path("a.c"), Path("b.c")]
        assert compile_with(Path("percpu.c"), "FILE", ["-O3", "-w"], sources, library) == library
        macro = f'-DFILE="{stand_in}"'  # absolute, since sources stand in other folders
        assert (tmp_path / "arguments").read_text().splitlines() == [
            "-m64", "-O3", "-w", macro, "a.c", "b.c", "-o", "a.so"
        ]  # fmt: skip

    def test_failure_shows_command_and_output(
        self, monkeypatch: pytest.MonkeyPatch, stand_in: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "cc").write_text("echo 'a.c:1: no' >&2; exit 3")
        monkeypatch.setenv("CC", f"sh '{tmp_path}/cc'")
        with pytest.raises(CannotCompile) as caught:
            compile_with(stand_in, "FILE", ["-D", "a b"], [], tmp_path / "a.so")
        command, output = str(caught.value).splitlines()
        assert command.startswith(f"sh {tmp_path}/cc -D 'a b' ")
        assert output == "a.c:1: no"


class FakeLibrary:
    """Stands for the compiled file: units of 1,000 bytes, the n-th area at 100 n."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        alloc = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        free = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
        self.functions = {
            "upstream_alloc": alloc(self.alloc),
            "upstream_free": free(self.free),
        }
        self.upstream_start = self.function("start", 1000)
        self.upstream_stop = self.function("stop", None)

    def function(self, name: str, result: Any) -> Any:
        def call(*args: Any) -> Any:
            self.calls.append((name, *args))
            return result

        return call

    def __getitem__(self, name: str) -> Any:
        return self.functions[name]

    def alloc(self, _: Any, size: int, align: int) -> int:
        self.calls.append(("alloc", size, align))
        return 100 * [name for name, *_ in self.calls].count("alloc")

    def free(self, _: Any, ptr: int) -> int:
        self.calls.append(("free", ptr))
        return 0


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    """The library of every file."""
    fake = FakeLibrary()
    monkeypatch.setattr(upstream, "_library", lambda _: fake)
    return fake


@pytest.mark.usefixtures("stand_in")
class TestStandIn:
    def test_build(self, monkeypatch: pytest.MonkeyPatch, stand_in: Path) -> None:
        """Each header that the file includes exists, and is empty; one build serves for all."""
        built: list[Any] = []

        def compile_(path: Path, define: str, flags: list[str], sources: Any, so: Path) -> Path:
            headers = Path(flags[flags.index("-I") + 1])
            found = {p.relative_to(headers).as_posix(): p.read_bytes() for p in headers.glob("*/*")}
            assert found == dict.fromkeys(["linux/bitmap.h", "linux/list.h", "asm/tlbflush.h"], b"")
            assert so.parent == headers  # both are gone in the end
            built.append((path, define, flags[: flags.index("-I")], sources, so))
            return so

        fake = FakeLibrary()
        loaded: dict[str, Any] = {}
        monkeypatch.setattr(upstream, "compile_with", compile_)
        monkeypatch.setattr(upstream, "extension_flags", lambda: ["-fwrapv", "-O3"])
        monkeypatch.setattr(ctypes, "CDLL", lambda path: loaded.setdefault(path, fake))
        upstream._library.cache_clear()
        try:
            for _ in range(2):
                Upstream(stand_in).close()
        finally:
            upstream._library.cache_clear()
        [(path, define, flags, sources, so)] = built
        assert [*loaded] == [str(so)]
        assert (path, define) == (stand_in, "UPSTREAM_PERCPU_C")
        assert [source.name for source in sources] == ["upstream.c"]
        assert sources[0].is_file()
        assert flags == [
            "-fwrapv", "-O3", "-std=gnu11", "-fno-strict-aliasing", "-w",
            "-shared", "-fPIC", "-fvisibility=hidden",
        ]  # fmt: skip
        # 64 bits for numbers and pointers: ctypes takes 32 where nothing is declared
        start = fake.upstream_start
        assert start.restype is ctypes.c_int64
        number, pointer = ctypes.c_int64, ctypes.c_void_p
        assert start.argtypes == [number, number, pointer, pointer]

    def test_session(self, library: FakeLibrary) -> None:
        """One allocator is set up, used by the loop in C, and ended."""
        workload = Workload(**{**vars(WORKLOAD), "geometry": Geometry(3, 4096, 4096)})
        with CONTENDERS["upstream"].open(workload) as session:
            [(start, cpus, static_size, insert, erase)] = library.calls
            assert (start, cpus, static_size) == ("start", 3, 4096)
            services = ffi.addressof(lib, "fake_rb_insert"), ffi.addressof(lib, "fake_rb_erase")
            assert [insert, erase] == [int(ffi.cast("uintptr_t", each)) for each in services]
            library.calls.clear()
            session.run(allocs([0, 1, 0]))
            assert library.calls == [
                ("alloc", 24, 8), ("alloc", 24, 8), ("free", 100), ("alloc", 24, 8)
            ]  # fmt: skip
            assert session.work() is None
            library.calls.clear()
        assert library.calls == [("stop",)]

    def test_other_page_sizes_are_refused(self, library: FakeLibrary) -> None:
        workload = Workload(**{**vars(WORKLOAD), "geometry": Geometry(2, 64, 64)})
        with pytest.raises(ConfigError, match="only pages of 4096 bytes"):
            CONTENDERS["upstream"].open(workload)
        assert library.calls == []

    def test_one_at_a_time(self, library: FakeLibrary, stand_in: Path) -> None:
        first = Upstream(stand_in)
        with pytest.raises(ConfigError, match="one state"):
            Upstream(stand_in)
        first.close()
        Upstream(stand_in).close()

    def test_failure_to_start_keeps_nothing_open(
        self, monkeypatch: pytest.MonkeyPatch, stand_in: Path
    ) -> None:
        """A file that could not be built did not leave an allocator open."""

        def fails(_: Path) -> Any:
            raise CannotCompile("no")

        monkeypatch.setattr(upstream, "_library", fails)
        for _ in range(2):
            with pytest.raises(CannotCompile):
                Upstream(stand_in)

    def test_defaults_are_those_of_the_port(self, library: FakeLibrary, stand_in: Path) -> None:
        Upstream(stand_in).close()
        with Allocator() as a:
            assert library.calls[0][1:3] == (a.cpus, a.static_size)

    def test_places(self, library: FakeLibrary, stand_in: Path) -> None:
        """The first chunk begins at 4096; there are 4,096 bytes after each later one.

        |    | chunk 0 (2 x 1000) | chunk 1 (2 x 1000) |    | chunk 2 ...
             4096                 6096              8096    12192
        """
        file = Upstream(stand_in, cpus=2)
        places = {4096: (0, 0), 4097: (0, 1), 6095: (0, 1999), 6096: (1, 0), 6098: (1, 2),
                  8095: (1, 1999), 12192: (2, 0), 18288: (3, 0), 18291: (3, 3)}  # fmt: skip
        assert {ptr: file.locate(ptr) for ptr in places} == places
        file.close()


@pytest.mark.skipif(not percpu_c_named(), reason="PERCPU_C does not name the 2009 file")
class TestUpstream:
    @pytest.fixture
    def file(self) -> Iterator[Upstream]:
        named = percpu_c_named()
        assert named
        file = Upstream(named)
        yield file
        file.close()

    def test_decisions_are_those_of_the_port(self, file: Upstream) -> None:
        """Its fake services are cheap, but do not change its decisions."""
        rng = random.Random(1)
        live: list[tuple[int, int]] = []
        functions = file.contender()
        with Allocator(memory="none") as a:
            for i in range(20_000):
                if live and rng.random() < (0.7 if i // 4000 % 2 else 0.3):
                    ours, theirs = live.pop(rng.randrange(len(live)))
                    a.free(ours)
                    functions.free(functions.pcpu, theirs)
                    continue
                size = rng.choice([1, 3, 4, 8, 24, 300, 5000, 40_000])
                align = rng.choice([1, 4, 8, 64, 4096])
                theirs = functions.alloc(functions.pcpu, size, align)
                live.append((a.alloc(size, align), theirs))
                ours, theirs = live[-1]
                assert a.locate(ours) == file.locate(theirs)
            assert a.state().chunks[-1].id > 50

    def test_only_one_at_a_time(self, file: Upstream) -> None:
        named = percpu_c_named()
        assert named
        with pytest.raises(ConfigError, match="one state"):
            Upstream(named)
