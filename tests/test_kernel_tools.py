# SPDX-License-Identifier: GPL-2.0-only
"""The tools of make check-kernel and make check-running-kernel, without network and QEMU."""

from __future__ import annotations

import base64
import gzip
import json
import lzma
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from kernel import boot, corpus, debugger, hidden, judge, packages, qemu, running
from kernel.cpio import archive
from kernel.initramfs import initramfs
from kernel.outcome import Failure, Skip, report
from kernel.serial import BadData, lost_events, read_section

from percpu_ffi import Trace
from percpu_ffi.errors import RecordError

LISTED = """\
linux-image-6.1.0-9-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
linux-image-6.1.0-56-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
linux-image-6.1.0-60-cloud-amd64-dbg - Debug symbols for linux-image-6.1.0-60-cloud-amd64
linux-image-6.12-cloud-amd64 - Linux for x86-64 cloud (meta-package)
linux-image-6.12.101+deb12-cloud-amd64 - Linux 6.12 for x86-64 cloud (signed)
linux-image-6.12.99+deb12-cloud-amd64 - Linux 6.12 for x86-64 cloud (signed)
linux-image-6.12.102+deb12-rt-amd64 - Linux 6.12 for 64-bit PCs (signed), PREEMPT_RT
linux-image-cloud-amd64 - Linux for x86-64 cloud (meta-package)
"""

SIMULATED = """\
NOTE: This is only a simulation!
Inst seabios (1.16.2-1 Debian:12.15/oldstable [all])
Inst qemu-system-x86 (1:7.2+dfsg-7 Debian:12.15/oldstable [amd64])
Conf seabios (1.16.2-1 Debian:12.15/oldstable [all])
"""


def program(folder: Path, name: str, script: str) -> Path:
    """Add a shell script ``name``, which finds the usual programs."""
    path = folder / name
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of PATH, empty at first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


class TestPackages:
    @pytest.mark.parametrize(
        ("version", "name"),
        [
            ("6.1", "linux-image-6.1.0-56-cloud-amd64"),
            ("6.12", "linux-image-6.12.101+deb12-cloud-amd64"),
            ("6.18", None),
        ],
    )
    def test_the_newest_image_of_a_version(self, version: str, name: str | None) -> None:
        """By number: 56 is newer than 9.  No meta package, no debug symbols, no other flavour."""
        assert packages.newest_image(LISTED, version) == name

    def test_an_unknown_image_is_a_reason_to_skip(self, programs: Path) -> None:
        program(programs, "apt-cache", f"cat <<'END'\n{LISTED}END")
        assert packages.find_image("6.1") == "linux-image-6.1.0-56-cloud-amd64"
        with pytest.raises(Skip, match=r"no package linux-image-6\.18\.\*-cloud.*apt-get update"):
            packages.find_image("6.18")

    @pytest.mark.usefixtures("programs")
    def test_so_is_a_machine_without_apt(self) -> None:
        with pytest.raises(Skip, match="apt-cache is not here; Debian"):
            packages.find_image("6.1")

    def test_what_a_package_needs(self, programs: Path) -> None:
        program(programs, "apt-get", f"cat <<'END'\n{SIMULATED}END")
        assert packages.with_dependencies("qemu-system-x86") == ["seabios", "qemu-system-x86"]

    def test_an_installed_package_needs_only_itself(self, programs: Path) -> None:
        program(programs, "apt-get", "echo 'qemu-system-x86 is already the newest version.'")
        assert packages.with_dependencies("qemu-system-x86") == ["qemu-system-x86"]

    def test_packages_are_downloaded_and_unpacked_once(
        self, programs: Path, tmp_path: Path
    ) -> None:
        calls = tmp_path / "calls"
        program(programs, "apt-get", f'echo "$@" >>{calls}; touch a.deb b.deb')
        program(programs, "dpkg", f'echo "$1" "${{2##*/}}" >>{calls}; touch "$3/from-${{2##*/}}"')
        folder = tmp_path / "cache" / "both"
        for _ in range(2):
            assert packages.unpack(["a", "b"], folder) == folder
        assert calls.read_text() == "download a b\n-x a.deb\n-x b.deb\n"
        assert sorted(path.name for path in folder.iterdir()) == ["from-a.deb", "from-b.deb"]
        assert [path.name for path in folder.parent.iterdir()] == ["both"]

    def test_a_failed_download_leaves_nothing(self, programs: Path, tmp_path: Path) -> None:
        program(programs, "apt-get", "echo W: odd >&2; echo E: no such host >&2; exit 100")
        with pytest.raises(Skip, match=r"^apt-get download: no such host; is there a network"):
            packages.unpack(["a"], tmp_path / "cache" / "a")
        assert not list((tmp_path / "cache").iterdir())

    def test_a_failure_without_a_message_has_its_status(self, programs: Path) -> None:
        program(programs, "apt-get", "exit 100")
        with pytest.raises(Skip, match=r"^apt-get install: status 100;"):
            packages.with_dependencies("a")


class TestCpio:
    def test_an_archive_byte_by_byte(self) -> None:
        """A directory, a file of 5 bytes, the end; filled up to 4 and to 512 bytes."""
        expected = (
            # magic inode   mode    uid     gid     links   time    size    devices (4)
            b"070701" b"00000001" b"000041ED" b"00000000" b"00000000" b"00000002" b"00000000"
            b"00000000" b"00000000" b"00000000" b"00000000" b"00000000" b"00000004" b"00000000"
            b"dev\0" b"\0\0"
            b"070701" b"00000002" b"000081ED" b"00000000" b"00000000" b"00000001" b"00000000"
            b"00000005" b"00000000" b"00000000" b"00000000" b"00000000" b"00000005" b"00000000"
            b"init\0" b"\0" b"hello" b"\0\0\0"
            b"070701" b"00000000" b"00000000" b"00000000" b"00000000" b"00000001" b"00000000"
            b"00000000" b"00000000" b"00000000" b"00000000" b"00000000" b"0000000B" b"00000000"
            b"TRAILER!!!\0" b"\0\0\0"
        )  # fmt: skip
        assert archive(["dev"], {"init": b"hello"}) == expected.ljust(512, b"\0")

    def test_the_first_process_comes_with_its_programs(self, tmp_path: Path) -> None:
        busybox, maps = tmp_path / "the-busybox", tmp_path / "bpf_maps"
        busybox.write_bytes(b"the busybox")
        maps.write_bytes(b"the maps")
        packed = gzip.decompress(initramfs(busybox, [maps]))
        names = re.findall(rb"070701[0-9A-F]{104}([\w/]+)\0", packed)
        mounted = [b"dev", b"proc", b"sys", b"tmp", b"bin"]
        assert names == [*mounted, b"init", b"bin/churn", b"bin/busybox", b"bin/bpf_maps"]
        assert b"the busybox" in packed
        assert b"the maps" in packed
        assert b"\nchurn " in packed


def section(name: str, text: bytes, end: str = "\n") -> bytes:
    """Encode as init.sh does."""
    lines = ["begin " + name, base64.encodebytes(gzip.compress(text)).decode(), "end " + name]
    return ("\n".join(lines) + "\n").replace("\n", end).encode()


class TestSerial:
    @pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["raw", "terminal"])
    def test_sections_are_found_by_name(self, end: str) -> None:
        text = os.urandom(1000)
        data = b"noise\n" + section("meta", b"6.1.0\n", end) + section("trace", text, end)
        assert read_section(data, "meta") == b"6.1.0\n"
        assert read_section(data, "trace") == text

    def test_a_section_that_did_not_arrive(self) -> None:
        with pytest.raises(BadData, match=r"^0 bytes came, without a complete section 'trace'"):
            read_section(b"", "trace")

    def test_a_section_without_its_end(self) -> None:
        whole = section("trace", b"text")
        with pytest.raises(BadData, match="without a complete section 'trace'"):
            read_section(whole[:-2], "trace")

    @pytest.mark.parametrize(
        "damage",
        [
            lambda lines: [lines[0], lines[1][:-9], *lines[2:]],  # no multiple of 4 characters
            lambda lines: [lines[0], lines[1][:-8], *lines[2:]],
            lambda lines: [lines[0], b"????" + lines[1][4:], *lines[2:]],
            lambda lines: [lines[0], b"AAAA" + lines[1][4:], *lines[2:]],
            lambda lines: [lines[0], lines[1][:24] + b"AAAA" + lines[1][28:], *lines[2:]],
            lambda lines: [lines[0], *lines[2:]],
        ],
        ids=["cut", "short", "not base64", "not gzip", "other bytes", "empty"],
    )
    def test_a_damaged_section(self, damage: Any) -> None:
        whole = section("trace", b"a text")
        with pytest.raises(BadData, match="'trace' is"):
            assert read_section(b"\n".join(damage(whole.split(b"\n"))), "trace") == b"a text"

    def test_lost_events_are_counted(self) -> None:
        stats = "entries: 5\noverrun: {}\ncommit overrun: {}\nbytes: 7\ndropped events: {}\n"
        assert lost_events(stats.format(0, 0, 0)) == 0
        assert lost_events(stats.format(20, 3, 0) + stats.format(0, 0, 100)) == 123


class TestQemu:
    def test_an_installed_one_is_used(self, programs: Path, tmp_path: Path) -> None:
        installed = program(programs, "qemu-system-x86_64", "exit 1")
        assert qemu.find_qemu(tmp_path / "cache") == qemu.Qemu(str(installed))

    @staticmethod
    def unpacked(cache: Path, script: str) -> Path:
        """Add QEMU's packages with two libraries, as they are unpacked."""
        folder = cache / "qemu-system-x86"
        for name in ("usr/bin", "usr/lib/a", "lib/b"):
            (folder / name).mkdir(parents=True)
        (folder / "usr/lib/a/liba.so.1.2").touch()
        (folder / "lib/b/libb.so").touch()
        program(folder / "usr/bin", "qemu-system-x86_64", script)
        return folder

    @pytest.mark.usefixtures("programs")
    def test_else_that_of_the_packages(self, tmp_path: Path) -> None:
        folder = self.unpacked(tmp_path, '[ "$*" = "-L $DATA -version" ] || exit 0')
        found = qemu.find_qemu(tmp_path)
        assert found.program == f"{folder}/usr/bin/qemu-system-x86_64"
        assert found.environment == {"LD_LIBRARY_PATH": f"{folder}/lib/b:{folder}/usr/lib/a"}
        share = f"{folder}/usr/share"
        assert list(found.options) == ["-L", f"{share}/qemu", "-L", f"{share}/seabios"]

    @pytest.mark.usefixtures("programs")
    def test_one_that_does_not_start_is_a_reason_to_skip(self, tmp_path: Path) -> None:
        self.unpacked(tmp_path, "echo no libfuse >&2; exit 127")
        expected = r"no libfuse; to install it: apt-get install qemu-system-x86$"
        with pytest.raises(Skip, match=expected):
            qemu.find_qemu(tmp_path)

    @pytest.mark.usefixtures("programs")
    def test_so_are_packages_that_cannot_be_found(self, tmp_path: Path) -> None:
        with pytest.raises(Skip, match=r"^no qemu-system-x86_64: apt-get is not here.*to install"):
            qemu.find_qemu(tmp_path)

    @staticmethod
    def boot(path: Path, script: str) -> bytes:
        """Boot with a program instead of QEMU; $1, $2: the files of the serial ports."""
        find = 'for last; do case $last in file:*) set -- "$@" "${last#file:}";; esac; done'
        shift = "while [ $# -gt 2 ]; do shift; done"
        fake = program(path, "fake", f'all="$*"\n{find}\n{shift}\n{script}')
        machine = qemu.Qemu(str(fake), ["-L", "data"], {"VARIABLE": "set"})
        files = path / "vmlinuz", path / "initrd"
        return qemu.boot(machine, *files, "1,maxcpus=16", ["STEPS=7"], path)

    def test_what_a_kernel_sends_is_returned(self, tmp_path: Path) -> None:
        (tmp_path / "data").write_text("of the last time")
        sent = self.boot(tmp_path, '[ -e "$2" ] || echo "$VARIABLE $all" >"$2"').decode()
        assert sent.startswith("set -L data -M pc -accel tcg -cpu max -smp 1,maxcpus=16 -m 1500M ")
        assert f"-kernel {tmp_path}/vmlinuz -initrd {tmp_path}/initrd -append console=" in sent
        assert " trace_event=percpu:*,workqueue:workqueue_execute_start," in sent
        assert " trace_clock=mono STEPS=7 -serial file:" in sent

    def test_an_error_of_qemu(self, tmp_path: Path) -> None:
        with pytest.raises(Failure, match=r"fake ended with status 1: no memory$"):
            self.boot(tmp_path, "echo no memory >&2; exit 1")

    def test_a_program_that_cannot_be_run(self, tmp_path: Path) -> None:
        with pytest.raises(Failure, match="No such file"):
            qemu.boot(qemu.Qemu(f"{tmp_path}/none"), tmp_path, tmp_path, "1", [], tmp_path)

    def test_a_kernel_that_does_not_stop(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The end of its console is in the message."""
        monkeypatch.setattr(qemu, "LIMIT", 0.2)
        with pytest.raises(Failure, match=r"did not stop in 0.2 s; its console:\nline 6\n") as info:
            self.boot(tmp_path, 'for i in $(seq 20); do echo line $i; done >"$1"; exec sleep 9')
        assert str(info.value).endswith("\nline 20")


META = "6.1.0-56-cloud-amd64\nconsole=ttyS0\noverrun: {}\npercpu: Embedded 61 pages/cpu\n"
TRACE = b"# tracer: nop\n 1.0: percpu_alloc_percpu: x\n 1.1: percpu_free_percpu: x\n"


class TestSave:
    def test_a_recording_has_the_name_of_its_kernel(self, tmp_path: Path) -> None:
        sent = section("meta", META.format(0).encode()) + section("trace", TRACE)
        file, events = boot.save(sent, tmp_path)
        assert file == tmp_path / "6.1.0-56-cloud-amd64.ftrace.xz"
        assert lzma.decompress(file.read_bytes()) == TRACE
        assert (tmp_path / "6.1.0-56-cloud-amd64.meta").read_text() == META.format(0)
        assert events == 2

    def test_lost_events_make_it_useless(self, tmp_path: Path) -> None:
        sent = section("meta", META.format(1200).encode()) + section("trace", TRACE)
        with pytest.raises(Failure, match="lost 1,200 events; record fewer STEPS"):
            boot.save(sent, tmp_path)
        assert not list(tmp_path.iterdir())

    def test_half_a_recording_too(self, tmp_path: Path) -> None:
        with pytest.raises(Failure, match=r"did not arrive: .* 'trace'"):
            boot.save(section("meta", META.format(0).encode()), tmp_path)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("smp", "one"), [("1", True), ("1,maxcpus=16", True), ("2", False), ("16", False)]
    )
    def test_possible_cpus_do_not_count(self, smp: str, one: bool) -> None:
        assert boot.is_one_cpu(smp) is one


def figures(**other: Any) -> dict[str, Any]:
    """Return a report of 10,000 choices, 100 of them in new chunks, all predicted."""
    new = {"choices": 100, "chunk_and_offset": 100, "offset_given_chunk": 100}
    whole = {"choices": 10_000, "chunk_and_offset": 10_000, "offset_given_chunk": 10_000}
    return {**whole, "in_new_chunks": new, "reordered": None, **other}


def new(predicted: int) -> dict[str, int]:
    """Return the part of a report for new chunks: 1,000 choices."""
    return {"choices": 1_000, "offset_given_chunk": predicted}


def reordered(predicted: int, in_new: int = 1_000) -> dict[str, Any]:
    """Return the part of a report for the best order that was found."""
    return {"chunk_and_offset": predicted, "in_new_chunks": new(in_new)}


class TestCorpus:
    """Of a kernel that sends the recording ``netns``."""

    LINE = (
        b" ip-1 [000] .... 1.0: percpu_alloc_percpu: call_site=f+0x1 reserved=0 is_atomic=0 size=8"
        b" align=8 base_addr=0000000000001000 off=16 ptr=0000000000000010 bytes_alloc=8"
        b" gfp_flags=GFP_KERNEL\n"
    )

    def test_it_is_saved(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = section("netns_meta", b"overrun: 0\n") + section("netns_trace", self.LINE * 3)
        file = tmp_path / "netns-6.1.trace"
        corpus._save(data, "netns", tmp_path / "text", file)
        assert Trace.load(file).stats.allocs == 3
        assert re.fullmatch(r"  netns-6\.1\.trace: 3 events, \d+ bytes\n", capsys.readouterr().out)

    @pytest.mark.parametrize(
        ("name", "words"),
        [("netns", "netns: the kernel lost 7 events"), ("tc", "did not arrive: .*'tc_meta'")],
    )
    def test_others_are_refused(self, tmp_path: Path, name: str, words: str) -> None:
        data = section("netns_meta", b"overrun: 7\n") + section("netns_trace", self.LINE)
        with pytest.raises(Failure, match=words):
            corpus._save(data, name, tmp_path / "text", tmp_path / "file")
        assert not (tmp_path / "file").exists()

    def test_the_first_process_is_a_script_for_busybox(self, tmp_path: Path) -> None:
        program(tmp_path, "busybox", "true")
        (tmp_path / "busybox-static" / "bin").mkdir(parents=True)
        (tmp_path / "busybox").rename(tmp_path / "busybox-static" / "bin" / "busybox")
        corpus._pack_shell(tmp_path / "initrd", tmp_path)
        unpacked = gzip.decompress((tmp_path / "initrd").read_bytes())
        assert b"init\0" in unpacked
        assert b"send boot" in unpacked
        assert unpacked.count(b"PATH=/usr/bin:/bin\ntrue") == 2  # busybox, and as the shell


class TestJudge:
    @pytest.mark.parametrize(
        ("bounds", "other", "missed"),
        [
            (judge.BOOT_OF_ONE_CPU, {"chunk_and_offset": 9_995}, []),
            (
                judge.BOOT_OF_ONE_CPU,
                {"chunk_and_offset": 9_994},
                ["chunk and offset, as recorded: 99.940%, below 99.95%"],
            ),
            (
                judge.BOOT_OF_MORE_CPUS,
                {"chunk_and_offset": 9_930, "reordered": reordered(9_999)},
                [],
            ),
            (
                judge.BOOT_OF_MORE_CPUS,
                {"chunk_and_offset": 9_929, "reordered": reordered(9_998)},
                [
                    "chunk and offset, as recorded: 99.290%, below 99.30%",
                    "chunk and offset, reordered: 99.980%, below 99.99%",
                ],
            ),
            (
                judge.RUNNING,
                {"chunk_and_offset": 0, "in_new_chunks": new(993), "reordered": reordered(0, 999)},
                [],
            ),
            (
                judge.RUNNING,
                {"in_new_chunks": new(992), "reordered": reordered(10_000, 998)},
                [
                    "offset in new chunks, given the chunk: 99.200%, below 99.30%",
                    "offset in new chunks, reordered: 99.800%, below 99.90%",
                ],
            ),
        ],
    )
    def test_bounds(
        self, bounds: dict[str, float], other: dict[str, Any], missed: list[str]
    ) -> None:
        assert judge.too_low(judge.shares(figures(**other)), bounds) == missed

    def test_nothing_to_predict_is_not_enough(self) -> None:
        found = judge.shares(figures(in_new_chunks={"choices": 0, "offset_given_chunk": 0}))
        assert judge.too_low(found, {judge.NEW_CHUNKS: 0.5}) == [
            "offset in new chunks, given the chunk: there was no choice; record more STEPS"
        ]

    @staticmethod
    def answer(monkeypatch: pytest.MonkeyPatch, status: int, text: str) -> list[list[str]]:
        """Replace percpu-ffi check; return the list for its commands."""
        commands: list[list[str]] = []

        def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
            commands.append(command[2:])
            return subprocess.CompletedProcess(command, status, text)

        monkeypatch.setattr("subprocess.run", run)
        return commands

    def test_figures_are_printed(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Status 1 means that a choice was not predicted: the bounds decide."""
        report = figures(chunk_and_offset=9_999, offset_given_chunk=9_998)
        commands = self.answer(monkeypatch, 1, json.dumps(report))
        judge.judge(Path("a.xz"), ["--start", "boot"], judge.BOOT_OF_ONE_CPU)
        check = ["check", "a.xz", "--against", "kernel", "--start", "boot", "--json"]
        assert commands == [["percpu_ffi", *check]]
        assert capsys.readouterr().out == (
            "  chunk and offset, as recorded:           9,999 of 10,000\n"
            "  offset, given the chunk:                 9,998 of 10,000\n"
            "  offset in new chunks, given the chunk:   100 of 100\n"
        )

    def test_too_few_are_a_failure_with_the_command_that_shows_more(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.answer(monkeypatch, 1, json.dumps(figures(chunk_and_offset=5_000)))
        expected = r"50.000%, below 99.95%; for .*: percpu-ffi check a\.xz --against kernel$"
        with pytest.raises(Failure, match=expected):
            judge.judge(Path("a.xz"), [], judge.BOOT_OF_ONE_CPU)

    def test_so_is_a_recording_that_cannot_be_checked(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.answer(monkeypatch, 2, "")
        with pytest.raises(Failure, match=r"check a\.xz --against kernel ended with status 2"):
            judge.judge(Path("a.xz"), [], {})


def table(a: str, b: str) -> str:
    """Return what hidden_space prints, with these rows."""
    return f"""\
Linux 6.1.0-56-cloud-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)
possible CPUs 0-15, units of 262144 bytes
filled: 2 chunks with 256 areas of 1024 bytes each
freed: 252 areas, 258048 bytes
                     in the two chunks     elsewhere   chunks made      Percpu:
A: 252    allocated {a}
freed: 1 area in a first page, 2 in one page
B: 252    allocated {b}
"""


HIDDEN = "                 0           252             1     +3968 kB"
FOUND = "               252             0             0        +0 kB"
MOST = "               250             2             0       -64 kB"


class TestHidden:
    """A is not in the two chunks, B is: any other table is a failure."""

    def test_the_rows_are_read(self) -> None:
        assert hidden.rows(table(HIDDEN, MOST)) == {
            "A": hidden.Row(inside=0, elsewhere=252, made=1, kib=3968),
            "B": hidden.Row(inside=250, elsewhere=2, made=0, kib=-64),
        }

    def test_as_predicted(self, capsys: pytest.CaptureFixture[str]) -> None:
        hidden.check(table(HIDDEN, FOUND))
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("  Linux 6.1.0-56-cloud-amd64 #1 SMP")
        assert lines[-1] == f"  B: 252    allocated {FOUND}"

    @pytest.mark.parametrize(
        "a",
        [
            FOUND,
            "                 1           251             1     +3968 kB",
            "                 0             0             1     +3968 kB",
        ],
        ids=["space is used", "one area is in it", "nothing allocated"],
    )
    def test_a_is_not_as_predicted(self, a: str) -> None:
        with pytest.raises(Failure, match=r"A: .*predicts none, all and at least 1$") as info:
            hidden.check(table(a, FOUND))
        assert not isinstance(info.value, hidden.Disturbed)

    @pytest.mark.parametrize("b", [HIDDEN, MOST, FOUND.replace("252", "  0")])
    def test_b_is_not_as_predicted(self, b: str) -> None:
        with pytest.raises(hidden.Disturbed, match=r"predicts .* all and none for B$"):
            hidden.check(table(HIDDEN, b))

    def test_a_chunk_that_was_there_before(self) -> None:
        a = HIDDEN.replace("   1  ", "   0  ")
        with pytest.raises(hidden.Disturbed, match=r"A: .*elsewhere, 0 chunks made; B: 252 areas"):
            hidden.check(table(a, FOUND))

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "it printed nothing"),
            ("hidden_space: no percpu events\n", "hidden_space: no percpu events$"),
            (table(HIDDEN, "252 0"), "Linux 6.1"),
            (table("0 252 1 many", FOUND), "Linux 6.1"),
        ],
    )
    def test_no_result(self, text: str, reason: str) -> None:
        with pytest.raises(Failure, match=f"no result: {reason}"):
            hidden.check(text)

    def test_it_is_kept_next_to_the_recording(self, tmp_path: Path) -> None:
        text = table(HIDDEN, FOUND)
        recording = tmp_path / "6.1.0-56.ftrace.xz"
        sent = section("hidden_space", text.encode())
        assert boot.save_hidden(sent, recording, ".hidden_space") == text
        assert (tmp_path / "6.1.0-56.hidden_space").read_text() == text
        with pytest.raises(Failure, match=r"did not arrive: .*'hidden_space'"):
            boot.save_hidden(b"", recording, ".hidden_space")

    def test_corrected_all_of_a_is_in_the_two_chunks(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hidden.check_corrected(table(FOUND, HIDDEN))
        assert f"  A: 252    allocated {FOUND}\n" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "a",
        [
            HIDDEN,
            MOST,
            FOUND.replace("252", "  0"),
            FOUND.replace("   0        +", "   1        +"),
        ],
    )
    def test_corrected_any_other_a_is_a_failure(self, a: str) -> None:
        with pytest.raises(Failure, match=r"corrected: A: .*predicts all, none and 0$"):
            hidden.check_corrected(table(a, FOUND))

    @staticmethod
    def measuring(folder: Path, *tables: str) -> Path:
        """Return a program that prints the next table each time; the last one for ever."""
        for number, text in enumerate(tables):
            (folder / f"table{number}").write_text(text)
        last = len(tables) - 1
        return program(
            folder,
            "hidden_space",
            f"cd {folder}; n=$(cat runs 2>/dev/null || echo 0); echo $((n + 1)) >runs\n"
            f"[ $n -le {last} ] || n={last}; cat table$n",
        )

    @pytest.mark.parametrize("disturbed", [0, 2])
    def test_the_running_kernel_gets_three_attempts(self, tmp_path: Path, disturbed: int) -> None:
        tables = [table(HIDDEN, MOST)] * disturbed + [table(HIDDEN, FOUND)]
        running.check_hidden(self.measuring(tmp_path, *tables))
        assert (tmp_path / "runs").read_text() == f"{disturbed + 1}\n"

    def test_but_not_more(self, tmp_path: Path) -> None:
        with pytest.raises(hidden.Disturbed):
            running.check_hidden(self.measuring(tmp_path, table(HIDDEN, MOST)))
        assert (tmp_path / "runs").read_text() == "3\n"

    def test_a_kernel_that_uses_the_space_gets_one(self, tmp_path: Path) -> None:
        with pytest.raises(Failure, match="A: 252 areas are in the two chunks, 0 elsewhere"):
            running.check_hidden(self.measuring(tmp_path, table(FOUND, FOUND)))
        assert (tmp_path / "runs").read_text() == "1\n"

    def test_a_machine_where_it_cannot_measure_is_skipped(self, tmp_path: Path) -> None:
        with pytest.raises(Skip, match=r"^hidden_space: no percpu events$"):
            running.check_hidden(
                program(tmp_path, "fails", "echo hidden_space: no percpu events >&2; exit 2")
            )
        with pytest.raises(Skip, match=r"^silent ended with status 2$"):
            running.check_hidden(program(tmp_path, "silent", "exit 2"))


SAMPLES = sorted((Path(__file__).parents[1] / "samples" / "hidden_space").glob("*.txt"))


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_samples_of_the_document(file: Path) -> None:
    check = hidden.check_corrected if "corrected" in file.stem else hidden.check
    check(file.read_text())


class TestDebugger:
    """gdb starts QEMU and connects to it through a pipe."""

    MACHINE = qemu.Qemu("/opt/qemu", ["-L", "of data"], {"LD_LIBRARY_PATH": "/opt/lib"})

    def boot(self, path: Path) -> bytes:
        files = path / "vmlinuz", path / "initrd"
        return debugger.boot(self.MACHINE, *files, "1,maxcpus=16", "0xffffffff812a2660", path)

    def test_it_has_to_be_installed(self, programs: Path) -> None:
        with pytest.raises(Skip, match=r"gdb is not here.*apt-get install gdb"):
            debugger.ready()
        program(programs, "gdb", "")
        debugger.ready()

    def test_the_function_is_found_in_the_meta(self) -> None:
        meta = META.format(0) + "ffffffff812a2660 t pcpu_block_update\n"
        assert debugger.function_address(meta) == "0xffffffff812a2660"

    def test_a_kernel_may_not_have_it(self) -> None:
        meta = META.format(0) + "ffffffff812a2660 t pcpu_block_update_hint_alloc\n"
        with pytest.raises(Failure, match=r"pcpu_block_update\(\) in its callers only"):
            debugger.function_address(meta)

    def test_what_the_kernel_sends_is_returned(self, programs: Path, tmp_path: Path) -> None:
        """Whatever gdb's status is."""
        program(programs, "gdb", f'printf "%s\\n" "$@" >{tmp_path}/data; exit 1')
        sent = self.boot(tmp_path).decode().splitlines()
        address, target = sent[5], sent[7]
        assert address == "set $update = 0xffffffff812a2660"
        start = (
            "target remote | exec timeout 300 env LD_LIBRARY_PATH=/opt/lib /opt/qemu -L 'of data' "
        )
        assert target.startswith(start)
        assert f"-kernel {tmp_path}/vmlinuz -initrd {tmp_path}/initrd -append 'console=" in target
        assert " nokaslr " in target
        assert target.endswith(
            f" STEPS=0' -serial file:{tmp_path}/console -serial file:{tmp_path}/data -S -gdb stdio"
        )
        assert sent[8] == "-x"
        assert Path(sent[9]).name == "corrected.gdb"
        assert Path(sent[9]).exists()

    def test_a_connection_that_fails(self, programs: Path, tmp_path: Path) -> None:
        """What an earlier boot sent does not count."""
        (tmp_path / "data").write_text("of the last time")
        program(programs, "gdb", "echo Remote communication error")
        with pytest.raises(Failure, match=r"gdb did not start .*: Remote communication error$"):
            self.boot(tmp_path)

    def test_a_kernel_that_does_not_stop(
        self, programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(qemu, "LIMIT", 0.1)
        program(programs, "gdb", "exec sleep 9")
        with pytest.raises(Failure, match=r"did not stop in 0\.1 s under gdb"):
            self.boot(tmp_path)

    @pytest.mark.usefixtures("programs")
    def test_without_it_a_correction_is_skipped(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("sys.argv", ["boot", "6.1", "--programs", "folder", "--corrected"])
        assert boot.main() == 0
        assert capsys.readouterr().out.startswith("check-kernel 6.1: skipped: gdb is not here")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """hidden_space, compiled as its first lines say, warnings being errors."""
    path = tmp_path_factory.mktemp("hidden") / "hidden_space"
    source = Path(__file__).parents[1] / "examples" / "hidden_space.c"
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", source, "-o", path], check=True)
    return path


class TestHiddenSpaceProgram:
    """What it says when it cannot measure; make check-kernel runs it."""

    @pytest.mark.parametrize(
        "arguments", [["4"], ["4096"], ["1000"], ["0"], ["-1024"], ["1024k"], ["64", "64"]]
    )
    def test_sizes_that_it_refuses(self, compiled: Path, arguments: list[str]) -> None:
        done = subprocess.run([compiled, *arguments], capture_output=True, text=True, check=False)
        expected = "hidden_space: SIZE is a power of two from 8 to 2048\n"
        assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


class TestOutcome:
    """A skip has status 0, a failure 1; each prints its reason."""

    @pytest.mark.parametrize(
        ("error", "status", "out", "err"),
        [
            (Skip("no network"), 0, "check: skipped: no network\n", ""),
            (Failure("12 misses"), 1, "", "check: 12 misses\n"),
            (None, 0, "", ""),
        ],
    )
    def test_of_a_check(
        self,
        error: Exception | None,
        status: int,
        out: str,
        err: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def check() -> None:
            if error:
                raise error

        assert report("check", check) == status
        assert capsys.readouterr() == (out, err)

    @pytest.mark.usefixtures("programs")
    def test_each_kernel_is_skipped_by_itself(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("sys.argv", ["boot", "6.1", "6.12", "--programs", "folder"])
        assert boot.main() == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2
        assert lines[0].startswith("check-kernel 6.1: skipped: apt-cache is not here")
        assert lines[1].startswith("check-kernel 6.12: skipped: apt-cache is not here")

    def test_a_name_that_is_no_version(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("sys.argv", ["boot", "bookworm", "--programs", "folder"])
        with pytest.raises(SystemExit):
            boot.main()
        assert "bookworm: give a version such as 6.1" in capsys.readouterr().err


class TestReady:
    """Whether the running kernel can be recorded."""

    @pytest.fixture(autouse=True)
    def root(self, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Root, with unshare and tracefs."""
        program(programs, "unshare", "")
        monkeypatch.setattr("os.geteuid", lambda: 0)
        monkeypatch.setattr(running, "find_tracefs", Path)

    def test_by_root(self) -> None:
        running.ready()

    def test_not_by_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        with pytest.raises(Skip, match="needs root; try sudo make check-running-kernel"):
            running.ready()

    def test_not_without_unshare(self, programs: Path) -> None:
        (programs / "unshare").unlink()
        with pytest.raises(Skip, match="unshare is not here"):
            running.ready()

    def test_not_without_the_events(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def find_tracefs() -> Path:
            raise RecordError("tracefs is not mounted\nor record with perf")

        monkeypatch.setattr(running, "find_tracefs", find_tracefs)
        with pytest.raises(Skip, match=r"^tracefs is not mounted$"):
            running.ready()
