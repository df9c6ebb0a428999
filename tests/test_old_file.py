# SPDX-License-Identifier: GPL-2.0-only
"""Files of versions 1 and 2: read, damaged in every place, refused."""

from __future__ import annotations

import contextlib
import io
import json
import lzma
import re
import struct
import sys
import tracemalloc
import zlib
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from conftest import SAMPLES
from damage import damaged
from old_format import save_old
from test_trace import OPS

from percpu_ffi import Trace, TraceError, TraceStats
from percpu_ffi.cli import main
from percpu_ffi.trace.json_values import request
from percpu_ffi.trace.old_file import read_file
from percpu_ffi.trace.operations import Kind
from percpu_ffi.trace.source import Blocks

if TYPE_CHECKING:
    from collections.abc import Callable


def split(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return what is before the length of an own file's head, the head, and what follows."""
    (length,) = struct.unpack_from("<I", data, 8)
    return data[:8], data[12 : 12 + length], data[12 + length :]


def edit_head(path: Path, edit: Callable[[str], str]) -> None:
    """Replace the text of the head of an own file."""
    before, head, after = split(path.read_bytes())
    text = edit(head.decode()).encode()
    path.write_bytes(before + struct.pack("<I", len(text)) + text + after)


class TestFile:
    """Files as versions before 0.2 saved them."""

    @pytest.mark.parametrize("name", ["netns_churn.ftrace.xz", "fork_storm.perf.xz"])
    def test_round_trip(self, tmp_path: Path, name: str) -> None:
        trace = Trace.load(SAMPLES / name)
        saved = tmp_path / "saved"
        save_old(trace, saved)
        again = Trace.load(saved)
        assert list(again) == list(trace)
        assert [kind[:3] for kind in again.kinds] == [kind[:3] for kind in trace.kinds]
        assert (again.slots, again.stats) == (trace.slots, trace.stats)
        assert (again.times, again.places) == (trace.times, trace.places)
        assert again.times is not None
        assert again.places is not None
        assert (again.tasks, again.stacks, again.bases, again.events) == ([], [], [], [])

    @pytest.mark.parametrize(
        "times",
        [
            [0] * 7,
            [7, 6, 5, 4, 3, 2, 1],
            [0, 2**64 - 1, 0, 2**64 - 2, 2**63, 1, 0],
            [10**9, 2**64 - 1, 3 * 10**9, 2 * 10**9, 10**9, 0, 10**9],
        ],
        ids=["none passes", "backwards", "far apart", "one unknown"],
    )
    def test_round_trip_of_any_times(self, tmp_path: Path, times: list[int]) -> None:
        save_old(Trace.from_ops(OPS, times=times), tmp_path / "saved")
        again = Trace.load(tmp_path / "saved")
        assert again.times is not None
        assert again.times.tolist() == times
        assert again.places is None

    @pytest.mark.skipif(sys.byteorder == "big", reason="the file is of a little-endian machine")
    def test_of_the_format_before_times(self) -> None:
        # saved from FTRACE by the previous version, which had no times
        old = Path(__file__).parent / "format-1.trace"
        assert old.read_bytes().startswith(b"PCPUTRC1")
        trace = Trace.load(old)
        assert list(trace) == [
            ("alloc", 0x2BFC8874, 16, 8),
            ("alloc", 0x653913A2, 260, 4),
            ("free", 0x2BFC8874),
            ("free", 0xDEADBEEF),
        ]
        assert trace.kinds[0].site == "mm_init+0x2bf/0x4d0"
        assert trace.stats.kernel_extent == 27268
        assert trace.times is None
        assert trace.places is None

    def test_names_and_faults(self, tmp_path: Path) -> None:
        ops: list[Any] = [("alloc", "a", 8, 8), ("inject", "map", {"nth": 1}), ("free", "a")]
        save_old(Trace.from_ops(ops), tmp_path / "saved")
        assert list(Trace.load(tmp_path / "saved")) == ops

    def test_compressed_once_more(self, tmp_path: Path) -> None:
        trace = Trace.from_ops(OPS)
        save_old(trace, tmp_path / "saved")
        (tmp_path / "saved.xz").write_bytes(lzma.compress((tmp_path / "saved").read_bytes()))
        assert Trace.load(tmp_path / "saved.xz") == trace

    @pytest.mark.parametrize("times", [None, range(7)], ids=["without times", "with times"])
    @pytest.mark.parametrize("keep", [8, 10, 12, 40, 150, -1, -10])
    def test_cut(self, tmp_path: Path, keep: int, times: range | None) -> None:
        saved = tmp_path / "saved"
        save_old(Trace.from_ops(OPS, times=times), saved)
        saved.write_bytes(saved.read_bytes()[:keep])
        with pytest.raises(TraceError, match="cut or damaged"):
            Trace.load(saved)

    @pytest.mark.parametrize("times", [None, range(7)], ids=["without times", "with times"])
    def test_every_single_damaged_byte_is_found_or_harmless(
        self, tmp_path: Path, times: range | None
    ) -> None:
        saved = tmp_path / "saved"
        save_old(Trace.from_ops(OPS, times=times), saved)
        data = saved.read_bytes()
        for i in range(len(data)):
            saved.write_bytes(data[:i] + bytes([data[i] ^ 0x15]) + data[i + 1 :])
            with contextlib.suppress(TraceError):
                trace = Trace.load(saved)
                assert len(list(trace)) == len(trace)
                assert trace.times is None or len(trace.times) == len(trace)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"ops":7', '"ops":7.0'),
            ('"ops":7', '"ops":null'),
            ('"ops":7', '"ops":-7'),
            ('"ops":7', '"ops":6'),
            ('"slots":2', '"slots":-1'),
            ('"slots":2', '"slots":1099511627776'),
            ('"slots":2', '"slots":"2"'),
            ('"kinds":[[64,8,""]', '"kinds":[[64,8]'),
            ('"kinds":[[64,8,""]', '"kinds":[[1.5,8,""]'),
            # `who` sorted call sites that were none, and `"ops"` became a length in C
            ('"kinds":[[64,8,""]', '"kinds":[[64,8,5]'),
            ('"kinds":[[64,8,""]', '"kinds":[[64,8,null]'),
            ('"ops":7', '"ops":9223372036854775808'),
            ('"kinds":[[64,8,""]', '"kinds":[[1180591620717411303424,8,""]'),
            ('"names":null', '"names":5'),
            ('"names":null', '"names":{}'),
            ('"names":null', '"names":{"1":"a"}'),
            ('"names":null', '"names":"abc"'),
            ('"names":null', '"names":["a","b","c"]'),  # there is a key 99
            ('"byteorder":"', '"byteorder":"very '),
            ('"slots":2', '"slots":1'),
            ('"slots":2', '"slots":true'),
            ('"frees":3', '"frees":2'),
            ('"frees":3', '"frees":3,"more":3'),
            ('"setup":{}', '"setup":[["cpus",2]]'),
            ('"setup":{}', '"setup":{"cpus":"two"}'),
            ('"setup":{}', '"setup":{"memory":null}'),
            ('"names":null', '"names":[null]'),
            ('"events":7', '"events":"7"'),
            ('"names":null', '"names":' + "[" * 50000 + "]" * 50000),
            ('"tick":1000', '"tick":0'),
            ('"tick":1000', '"tick":-1'),
            ('"tick":1000', '"tick":1.5'),
            ('"tick":1000', '"tick":18446744073709551616'),
            ('"tick":1000', '"tick":18446744073709551615'),  # 6 of them are no 64-bit time
        ],
    )
    def test_head_that_was_edited(self, tmp_path: Path, old: str, new: str) -> None:
        saved = tmp_path / "saved"
        save_old(Trace.from_ops(OPS, times=range(0, 7000, 1000)), saved)

        def edit(head: str) -> str:
            assert old in head
            return head.replace(old, new)

        edit_head(saved, edit)
        with pytest.raises(TraceError, match="cut or damaged"):
            Trace.load(saved)

    @pytest.mark.parametrize(
        ("n", "left", "reason"),
        [
            (1, 2, "more than 1 operation"),
            (2, 3, "more than 2 operations"),
            (1, 0, "fewer than 1 operation"),
            (3, 2, "fewer than 3 operations"),
            (1000, 1001, "more than 1000 operations"),
            (1000, 999, "fewer than 1000 operations"),
        ],
    )
    def test_more_or_fewer_operations_than_the_head_has(
        self, tmp_path: Path, n: int, left: int, reason: str
    ) -> None:
        trace = Trace.from_ops([("alloc", key, 8, 8) for key in range(n)])
        trace._data.ops = (bytearray(trace._data.ops) * 3)[: 16 * left]
        save_old(trace, tmp_path / "saved")
        edit_head(tmp_path / "saved", lambda head: head.replace(f'"ops":{left}', f'"ops":{n}'))
        with pytest.raises(TraceError, match=rf"damaged \({reason}\); save it again$"):
            Trace.load(tmp_path / "saved")

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            ('"ops":7', '"ops":1000', "1000 operations, but 4 allocations and 3 frees"),
            ('"ops":7', '"ops":1', "1 operation, but 4 allocations and 3 frees"),
            ('"allocs":4', '"allocs":1', "7 operations, but 1 allocation and 3 frees"),
            ('"frees":3', '"frees":1', "7 operations, but 4 allocations and 1 free"),
        ],
    )
    def test_figures_that_do_not_add_up(
        self, tmp_path: Path, old: str, new: str, reason: str
    ) -> None:
        save_old(Trace.from_ops(OPS), tmp_path / "saved")
        edit_head(tmp_path / "saved", lambda head: head.replace(old, new))
        with pytest.raises(TraceError, match=rf"damaged \({reason}\); save it again$"):
            Trace.load(tmp_path / "saved")

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            ("{", "[1,{", "Expecting ',' delimiter"),
            ('"little"', '"middle"', "byte order 'middle'"),
            ('"slots":2', '"slots":-1', "-1 is out of range"),
            ('"slots":2', '"slots":8', "8 is out of range"),
            ('"slots":2', '"slots":"2"', "int is needed, not '2'"),
            ('"names":null', '"names":{}', "list is needed, not {}"),
            ('"names":null', '"names":[1.5]', "a name is neither an integer nor a string"),
            ('"setup":{}', '"setup":[]', "dict is needed, not []"),
            ('"faults":[]', '"faults":[{}]', "list is needed, not {}"),
            ('"faults":[]', '"faults":[["x",{}]]', "site 'x': the services that can fail are "),
            ('"faults":[]', '"faults":[["map",[]]]', "dict is needed, not []"),
            ('[16,8,""]', "[16,8,1]", "str is needed, not 1"),
            ('[16,8,""]', f'[{2**63},8,""]', f"{2**63} is out of range"),
            ('[16,8,""]', f'[16,{-(2**63) - 1},""]', f"{-(2**63) - 1} is out of range"),
            ('"lost":0', f'"lost":{2**64}', f"{2**64} is out of range"),
            ('"lost":0', '"lost":-1', "-1 is out of range"),
            ('"tick":1', f'"tick":{2**64}', f"{2**64} is out of range"),
            ('"tick":1', '"tick":0', "0 is out of range"),
        ],
    )
    def test_message_has_the_damaged_value(
        self, tmp_path: Path, old: str, new: str, reason: str
    ) -> None:
        saved = tmp_path / "saved"
        save_old(Trace.from_ops(OPS), saved)
        if sys.byteorder == "big":
            old = old.replace("little", "big")
        edit_head(saved, lambda head: head.replace(old, new, 1))
        with pytest.raises(TraceError) as caught:
            Trace.load(saved)
        start = f"{saved}: the file is cut or damaged ({reason}"
        assert str(caught.value).startswith(start)
        assert str(caught.value).endswith("; save it again")
        assert (caught.value.file, caught.value.line) == (str(saved), None)

    def test_largest_values_of_a_head(self, tmp_path: Path) -> None:
        saved = tmp_path / "saved"
        ops = [("alloc", key, 2**63 - 1, -(2**63)) for key in ("a", 2**70, "b")]
        save_old(Trace.from_ops(ops, times=[2**64 - 2, 0, 2**64 - 2]), saved)
        most = 2**64 - 1
        edit_head(saved, lambda head: head.replace('"lost":0', f'"lost":{most}'))
        trace = Trace.load(saved)
        assert list(trace) == ops
        assert (trace.slots, trace.stats.lost) == (3, most)
        assert trace.times is not None
        assert trace.times.tolist() == [2**64 - 2, 0, 2**64 - 2]

    def test_head_without_what_early_versions_did_not_have(self, tmp_path: Path) -> None:
        saved = tmp_path / "saved"
        save_old(Trace.from_ops(OPS, times=range(7)), saved)
        for part in '"faults":[],', '"setup":{},', ',"tick":1':
            edit_head(saved, lambda head, part=part: head.replace(part, ""))  # type: ignore[misc]
        assert b"tick" not in saved.read_bytes()
        trace = Trace.load(saved)
        assert (list(trace), trace.setup, trace.faults) == (list(OPS), {}, [])
        assert trace.times is not None
        assert trace.times.tolist() == list(range(7))

    def test_figures_that_a_head_does_not_have(self, tmp_path: Path) -> None:
        saved = tmp_path / "saved"
        save_old(Trace.from_ops([], {"cpus": 2}), saved)
        edit_head(saved, lambda head: re.sub('"stats":{.*?}', '"stats":{}', head))
        assert b'"stats":{}' in saved.read_bytes()
        assert set(asdict(Trace.load(saved).stats).values()) == {0}

    def test_names_without_operations(self, tmp_path: Path) -> None:
        trace = Trace.from_ops([])
        trace._data.names = []
        save_old(trace, tmp_path / "saved")
        assert list(Trace.load(tmp_path / "saved")) == []

    @pytest.mark.parametrize("times", [None, range(7)], ids=["without times", "with times"])
    def test_every_damage_of_operations_or_checksum_is_found(
        self, tmp_path: Path, times: range | None
    ) -> None:
        saved = tmp_path / "saved"
        save_old(Trace.from_ops(OPS, times=times), saved)
        data = saved.read_bytes()
        start = data.index(b"}x") + 1  # of the stream of zlib
        for i in range(start, len(data)):
            saved.write_bytes(data[:i] + bytes([data[i] ^ 0x15]) + data[i + 1 :])
            with pytest.raises(TraceError, match="cut or damaged"):
                Trace.load(saved)
        for rest in b"x", data[start:]:
            saved.write_bytes(data + rest)
            with pytest.raises(TraceError, match="something follows the operations"):
                Trace.load(saved)

    def test_a_small_file_may_expand_much(self, tmp_path: Path) -> None:
        """Faults and operations that are all the same, compressed twice."""
        saved = tmp_path / "saved"
        trace = Trace.from_ops([("inject", "map", {"nth": 1})] * 15000)
        save_old(trace, saved)
        plain = saved.read_bytes()
        saved.write_bytes(lzma.compress(plain))
        assert len(plain) > 120 * saved.stat().st_size
        assert Trace.load(saved) == trace

        n = 100_000
        trace = Trace.from_ops([("alloc", 1, 8, 8)])
        trace._data.ops = bytearray(trace._data.ops) * n
        trace._data.stats = TraceStats(events=n, allocs=n, reallocs=n - 1)
        save_old(trace, saved)
        saved.write_bytes(lzma.compress(saved.read_bytes()))
        assert len(trace.ops) > 1500 * saved.stat().st_size
        assert len(Trace.load(saved)) == n

    def test_a_small_file_that_expands_without_end(self, tmp_path: Path) -> None:
        saved = tmp_path / "saved"
        save_old(Trace.from_ops(OPS), saved)
        data = saved.read_bytes()
        zeroes = lzma.compress(bytes(1 << 20), preset=0) * 6
        saved.write_bytes(lzma.compress(data[: data.index(b"}x") + 1]) + zeroes)
        with pytest.raises(TraceError, match="cut or damaged"):
            Trace.load(saved)
        saved.write_bytes(lzma.compress(data[:8] + struct.pack("<I", 5 << 20)) + zeroes)
        with pytest.raises(TraceError, match="expands to far more than a trace does"):
            Trace.load(saved)

    @pytest.mark.parametrize(("magic", "other"), [(b"1", b"2"), (b"2", b"1")])
    def test_wrong_format_number(self, tmp_path: Path, magic: bytes, other: bytes) -> None:
        saved = tmp_path / "saved"
        save_old(Trace.from_ops(OPS, times=range(7) if magic == b"2" else None), saved)
        saved.write_bytes(saved.read_bytes().replace(b"PCPUTRC" + magic, b"PCPUTRC" + other))
        with pytest.raises(TraceError, match="cut or damaged"):
            Trace.load(saved)

    @pytest.mark.parametrize("format_", [1, 2])
    def test_small_file_that_expands_too_much(self, tmp_path: Path, format_: int) -> None:
        saved = tmp_path / "saved"
        save_old(Trace.from_ops(OPS, times=range(7) if format_ == 2 else None), saved)
        data = saved.read_bytes()
        (length,) = struct.unpack_from("<I", data, 8)
        saved.write_bytes(data[: 12 + length] + zlib.compress(bytes(12_000_000)))
        tracemalloc.start()
        with pytest.raises(TraceError, match="cut or damaged"):
            Trace.load(saved)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5_000_000

    def test_missing_kind(self, tmp_path: Path) -> None:
        trace = Trace.from_ops([("alloc", 1, 8, 8)])
        trace._data.tables.kinds.clear()
        save_old(trace, tmp_path / "saved")
        with pytest.raises(TraceError, match="cut or damaged"):
            Trace.load(tmp_path / "saved")

    @pytest.mark.parametrize(
        ("offset", "value"),
        [
            (0, 3),  # the key of the first operation: there are 3 names
            (8, 2),  # its handle: there are 2
            (8, 0xFFFFFFFF),  # it frees nothing, but is an allocation
            (12, 2),  # its kind: there are 2
            (12, 0xFFFFFFFE),  # it sets a fault, but with a handle: there is 1
            (16 + 8, 1),  # the fault of the second operation
            (16, 3),  # the key of the second operation
            (32, 3),
            (32 + 12, 2),  # the kind of the third
        ],
    )
    def test_operation_that_names_what_is_not_there(
        self, tmp_path: Path, offset: int, value: int
    ) -> None:
        ops: list[Any] = [("alloc", "a", 8, 8), ("inject", "map", {}), ("alloc", "b", 4, 4)]
        trace = Trace.from_ops(ops)
        if (offset, value) == (12, 0xFFFFFFFE):
            struct.pack_into("=I", trace._data.ops, 8, 1)
        struct.pack_into("=I", trace._data.ops, offset, value)
        save_old(trace, tmp_path / "saved")
        with pytest.raises(TraceError, match=r"names a handle or a kind|without a name"):
            Trace.load(tmp_path / "saved")

    def test_memory_is_that_of_the_operations(self, tmp_path: Path) -> None:
        n = 300_000
        trace = Trace.from_ops([("alloc", 1, 8, 8)])
        trace._data.ops = bytearray(trace._data.ops) * n
        trace._data.stats = TraceStats(events=n, allocs=n, reallocs=n - 1)
        save_old(trace, tmp_path / "saved")
        Trace.load(tmp_path / "saved")  # imports what it needs
        tracemalloc.start()
        assert len(Trace.load(tmp_path / "saved")) == n
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 19 * n + 3.1e6  # buffers, 3.04 MB with CPython 3.14

    def test_file_of_another_byte_order(self, tmp_path: Path) -> None:
        saved = tmp_path / "saved"
        save_old(Trace.from_ops(OPS), saved)
        other = "big" if sys.byteorder == "little" else "little"
        edit_head(saved, lambda head: head.replace(f'"{sys.byteorder}"', f'"{other}"'))
        with pytest.raises(TraceError, match=f"^{saved}: the file was saved on a {other}-endian"):
            Trace.load(saved)

    def test_head_with_a_wrong_length(self, tmp_path: Path) -> None:
        saved = tmp_path / "saved"
        saved.write_bytes(b"PCPUTRC1" + struct.pack("<I", 0xFFFFFFFF) + b"{}")
        with pytest.raises(TraceError, match="cut or damaged"):
            Trace.load(saved)


class TestDamagedHead:
    """The head of our own file, with each value at any depth replaced, removed, or doubled.

    Where ``"names"`` was an object, commands failed with a KeyError and the status of `diff`.
    """

    OPS = (
        ("alloc", "a", 64, 8),
        ("inject", "map", {"nth": 3}),
        ("alloc", "b", 8, 4),
        ("free", "a"),
        ("free", "?"),
    )
    SETUP = MappingProxyType({"cpus": 2, "page_size": 64, "memory": "none", "quirks": ["rollback"]})
    COMMANDS = (["replay"], ["who"], ["sizes"], ["compare"], ["check"], ["bench", "--trace"])

    @pytest.fixture
    def saved(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.chdir(tmp_path)  # `check` writes there
        saved = tmp_path / "saved"
        times = range(0, 5000, 1000)
        save_old(Trace.from_ops(self.OPS, setup=dict(self.SETUP), times=times), saved)
        return saved

    def test_every_damage_is_found_or_harmless(self, saved: Path) -> None:
        before, head, after = split(saved.read_bytes())
        found = harmless = 0
        for what, text in damaged(json.loads(head)):
            data = before + struct.pack("<I", len(text.encode())) + text.encode() + after
            try:
                trace = Trace(read_file(Blocks("saved", io.BytesIO(data))))
            except TraceError as error:
                found += 1
                message = str(error)
                assert re.match(
                    "saved: the file (is cut or damaged .[^:]|was saved on)", message
                ), what
                assert message.isprintable(), what
                assert len(message) < 600, what
            else:
                harmless += 1
                assert len(list(trace)) == len(self.OPS), what
                assert trace.times is not None, what
                assert trace.times.tolist() == sorted(trace.times), what
        assert found > 4 * harmless > 100

    @pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
    def test_all_commands_refuse_it(
        self, saved: Path, capsys: pytest.CaptureFixture[str], command: list[str]
    ) -> None:
        edit_head(saved, lambda head: re.sub(r'"names":\[.*?\]', '"names":{}', head))
        assert main([*command, str(saved)]) == 2
        message = capsys.readouterr().err
        assert "the file is cut or damaged" in message
        assert message.count("\n") == 1

    def test_no_command_trips_over_a_harmless_one(self, saved: Path) -> None:
        for what, edit in {
            "no CPUs": lambda head: head.replace('"cpus":2', '"cpus":0'),
            "a long set-up": lambda head: head.replace('"none"', '"' + "n" * 9999 + '"'),
            "a call site": lambda head: head.replace('4,""', '4,"\\n\\u0000\\ud7ff"'),
            "sizes": lambda head: head.replace("[64,8", "[-9223372036854775808,3"),
            "figures": lambda head: head.replace('"cpus":0', '"cpus":18446744073709551615'),
        }.items():
            before = saved.read_bytes()
            edit_head(saved, edit)
            assert saved.read_bytes() != before, what
            for command in self.COMMANDS[:-1]:
                assert main([*command, str(saved)]) in (0, 1, 2), what
            saved.write_bytes(before)


def test_requests_of_old_files_have_less() -> None:
    assert request(8, 4, "f") == Kind(8, 4, "f")
    assert request(8, 4, "f", ["atomic"]) == Kind(8, 4, "f", ("atomic",), "", 0)
