# SPDX-License-Identifier: GPL-2.0-only
"""Who is responsible for an area: ``who`` by caller, stack, task, pid, gfp flags and atomic.

The recording of most tests has two tasks, and stacks for all allocations except the last one:

    task     pid  bytes  call site                    stack, the innermost frame to the left
    sh       101     16  mm_init+0x2bf                pcpu_alloc_noprof < mm_init < copy_process
    sh       102     32  __percpu_counter_init_many   ... < __percpu_counter_init_many < mm_init
    ip         7     64  __percpu_counter_init_many   ... < __percpu_counter_init_many < dst_init
    ip         7      8  percpu_ref_init              none
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from percpu_ffi import ConfigError, Trace
from percpu_ffi.analysis.call_sites import who
from percpu_ffi.analysis.callers import Callers, function
from percpu_ffi.analysis.folded import folded
from percpu_ffi.analysis.origins import Selection
from percpu_ffi.cli import main

CASES = Path(__file__).resolve().parent / "cases"
MANY = "__percpu_counter_init_many"
UNKNOWN = " (caller unknown)"


def alloc(
    number: int, task: str, size: int, site: str, frames: str = "", words: str = "is_atomic=0"
) -> str:
    """Return an allocation as ftrace prints it, with its stack if there are frames."""
    head = f" {task} [000] ..... 5.{number:06}: "
    text = (
        f"{head}percpu_alloc_percpu: call_site={site} reserved=0 {words} size={size} align=4 "
        f"base_addr=0000000094005a45 off=64 ptr={0x1000 + number:016x} bytes_alloc={2 * size} "
        f"gfp_flags={'GFP_ATOMIC' if words == 'is_atomic=1' else 'GFP_KERNEL'}\n"
    )
    if frames:
        text += f"{head}kernel_stack: <stack trace >\n"
        text += "".join(f"=> {frame} (ffffffff815c7276)\n" for frame in frames.split())
    return text


STACKS = "".join(
    [
        alloc(1, "sh-101", 16, "mm_init+0x2bf", "pcpu_alloc_noprof mm_init copy_process"),
        alloc(2, "sh-102", 32, f"{MANY}+0x27", f"pcpu_alloc_noprof {MANY} mm_init copy_process"),
        alloc(3, "ip-7", 64, f"{MANY}+0x27", f"pcpu_alloc_noprof {MANY} dst_init", "is_atomic=1"),
        alloc(4, "ip-7", 8, "percpu_ref_init+0x1b"),
    ]
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "stacks").write_text(STACKS)
    return str(tmp_path / "stacks")


@pytest.fixture
def trace(path: str) -> Trace:
    return Trace.load(path)


class TestCaller:
    """The first frame that is not a helper for per-CPU memory."""

    @pytest.mark.parametrize(
        "helper",
        [
            "trace_event_raw_event_percpu_alloc_percpu",
            "perf_trace_percpu_alloc_percpu+0x12/0x30",
            "pcpu_alloc",
            "pcpu_alloc_noprof+0x656",
            "pcpu_alloc_noprof.cold",
            "pcpu_alloc.isra.0+0x12/0x100",
            "__alloc_percpu+0x18",
            "__alloc_percpu_gfp.constprop.0",
            "__alloc_reserved_percpu",
            "alloc_percpu_gfp",
            "__devm_alloc_percpu",
            "__percpu_counter_init+0x23",
            MANY,
            "percpu_counter_init",
            "percpu_ref_init+0x1b/0x110 [mod]",
            "fprop_local_init_percpu_noprof",
            "__percpu_init_rwsem",
            "init_srcu_struct_fields.part.0",
            "__ftrace_trace_stack",
            "trace_buffer_unlock_commit_regs",
            "trace_percpu_alloc_percpu",
            "__traceiter_percpu_alloc_percpu",
            "__do_trace_percpu_alloc_percpu",
            "devm_alloc_percpu",
            "percpu_counter_tree_init_many",
            "fprop_global_init",
            "percpu_init_rwsem",
            "__init_srcu_struct",
            "sbitmap_init_node",
            "sbitmap_queue_init_node",
            "bpf_map_alloc_percpu",
            "bpf_array_alloc_percpu",
            "bpf_mem_alloc_init",
            "bpf_mem_alloc_percpu_unit_init",
            "pcpu_freelist_init",
            "xt_percpu_counter_alloc",
            "netdev_do_alloc_pcpu_stats",
            "netdev_alloc_pcpu_stats",
            "devm_netdev_alloc_pcpu_stats",
        ],
    )
    def test_helpers_are_passed_over(self, helper: str) -> None:
        assert Callers().of(f"{helper}\nowner+0x1/0x2\nkernel_clone", "helper+0x1") == "owner"
        assert Callers().of("", helper) == function(helper) + UNKNOWN

    @pytest.mark.parametrize(
        "frame", ["mm_init", "my_pcpu_alloc", "percpu_ref_initialise", "percpu", "alloc_netdev"]
    )
    def test_others_are_callers(self, frame: str) -> None:
        assert Callers().of(f"pcpu_alloc\n{frame}+0x1\nkernel_clone", "") == frame

    def test_caller_keeps_the_suffix_of_the_compiler(self) -> None:
        assert Callers().of("pcpu_alloc\ncopy.isra.0+0x1/0x2 [mod]", "") == "copy.isra.0"
        assert Callers().of("pcpu_alloc\ncopy [mod]", "") == "copy"

    @pytest.mark.parametrize("site", ["-2127210481", "18446744071582341135", "0xffffffff8135580f"])
    def test_stack_names_the_caller_of_a_call_site_that_is_a_number(self, site: str) -> None:
        assert Callers().of(f"pcpu_alloc_noprof\n{MANY}\nmm_init", site) == "mm_init"
        assert Callers().of("", site) == site

    @pytest.mark.parametrize(
        "frame", ["[unknown]", "[0]", "??", "0xffffffff8135580f", "ffffffff8135580f", "-21"]
    )
    def test_frame_without_a_symbol_hides_the_caller(self, frame: str) -> None:
        """The frame may be a helper, so the ones around it are not the caller."""
        stack = f"pcpu_alloc\n{frame}\nexecve"
        assert Callers().of(stack, "mm_init+0x1") == "mm_init"
        assert Callers().of(stack, f"{MANY}+0x27") == MANY + UNKNOWN

    def test_stack_of_helpers_only(self) -> None:
        assert Callers().of(f"pcpu_alloc\n{MANY}", f"{MANY}+0x1") == MANY + UNKNOWN
        assert Callers().of("pcpu_alloc", "") == ""
        assert Callers().of("", "") == ""

    def test_each_stack_and_each_call_site_has_its_caller(self) -> None:
        callers = Callers()
        for stack, site in ("f", "a"), ("g", "a"), ("", "a"), ("", "b"), ("f", "a"):
            assert callers.of(stack, site) == (stack or site)

    def test_list_of_helpers_is_extended(self) -> None:
        stack = "pcpu_alloc\ngro_cells_init.isra.0+0x4\nip_tunnel_init\nregister_netdevice"
        assert Callers().of(stack, "") == "gro_cells_init.isra.0"
        assert Callers(["gro_cells_init"]).of(stack, "") == "ip_tunnel_init"
        assert Callers(["gro_*+0x4", "ip_tunnel?init"]).of(stack, "") == "register_netdevice"

    def test_operators_of_programs_are_no_offsets(self) -> None:
        assert function("operator+(int)") == "operator+(int)"
        assert function("operator+(int)+0x12/0x30") == "operator+(int)"


def rows(trace: Trace, cull: str, **options: Any) -> dict[Any, int]:
    """Return the bytes of each row by its key, in order."""
    found = who(trace, cull, **options).rows
    return {row.key if "," in cull else row.key[0]: row.figures.bytes for row in found}


class TestCull:
    def test_caller(self, trace: Trace) -> None:
        ref = "percpu_ref_init" + UNKNOWN
        assert rows(trace, "caller") == {"dst_init": 64, "mm_init": 48, ref: 8}
        found = rows(trace, "caller", helpers=["dst_init"])
        assert found == {MANY + UNKNOWN: 64, "mm_init": 48, ref: 8}

    @pytest.mark.parametrize("name", ["stacktrace", "st"])
    def test_stack(self, trace: Trace, name: str) -> None:
        found = rows(trace, name, sort="-bytes")
        assert list(found.values()) == [64, 32, 16, 8]
        stack, *_, unknown = found
        assert stack.splitlines() == ["pcpu_alloc_noprof", MANY, "dst_init"]
        assert unknown == ""

    @pytest.mark.parametrize("name", ["task", "name", "n"])
    def test_task(self, trace: Trace, name: str) -> None:
        assert rows(trace, name, sort=name) == {"ip": 72, "sh": 48}

    def test_pid_is_sorted_as_a_number(self, trace: Trace) -> None:
        assert rows(trace, "p", sort="pid") == {7: 72, 101: 16, 102: 32}
        assert list(rows(trace, "pid", sort="-p")) == [102, 101, 7]

    def test_request(self, trace: Trace) -> None:
        assert rows(trace, "gfp") == {"GFP_ATOMIC": 64, "GFP_KERNEL": 56}
        assert rows(trace, "atomic,size", sort="txt") == {
            (False, 8): 8, (False, 16): 16, (False, 32): 32, (True, 64): 64
        }  # fmt: skip

    def test_sort_by_stack_means_call_sites_where_rows_have_no_stack(self, trace: Trace) -> None:
        assert list(rows(trace, "site", sort="st")) == [
            f"{MANY}+0x27", "mm_init+0x2bf", "percpu_ref_init+0x1b"
        ]  # fmt: skip
        by_stack = list(rows(trace, "site,stacktrace", sort="-st"))
        assert [stack for _, stack in by_stack] == [*sorted(trace.stacks, reverse=True), ""]

    def test_unknown_task_is_last_both_ways(self, tmp_path: Path) -> None:
        """The first line is one without a head."""
        bare = alloc(9, "x-1", 4, "f").partition(": ")[2]
        (tmp_path / "t").write_text(bare + STACKS)
        trace = Trace.load(tmp_path / "t")
        assert list(rows(trace, "pid", sort="pid")) == [7, 101, 102, None]
        assert list(rows(trace, "pid", sort="-pid")) == [102, 101, 7, None]

    @pytest.mark.parametrize(
        ("cull", "words"),
        [
            ("stacktrace", "no stacks; record them: `percpu-ffi record --stacks`"),
            ("task", "no tasks; recordings of ftrace and perf have them"),
            ("pid", "no ids of tasks; recordings"),
            ("gfp", "no gfp flags; kernels before 5.19 do not print them"),
            ("site,atomic", "no flags of allocations, whether they are atomic; files"),
        ],
    )
    def test_what_a_trace_lacks_is_named(self, cull: str, words: str) -> None:
        trace = Trace.from_ops([("alloc", "a", 8, 8)])
        if "atomic" in cull:
            trace._data.flags_known = False  # as in files of old versions
        with pytest.raises(ConfigError, match=f"--cull {cull}: the trace has {words}"):
            who(trace, cull)


@pytest.mark.parametrize("tool", ["ftrace", "perf_script", "perf_trace", "trace_cmd"])
def test_stacks_of_real_tools(tool: str) -> None:
    """The same kernel, recorded by each tool; perf trace prints addresses as call sites."""
    trace = Trace.load(CASES / f"{tool}_stacks.txt.xz")
    (site,) = {
        row.key[0] for row in who(trace, "site,caller").rows if row.key[1] == "ip6_route_net_init"
    }
    assert (
        site == "0xffffffff81c3c137"
        if tool == "perf_trace"
        else str(site).startswith(f"{MANY}+0x27")
    )
    many = {str(row.key[0]) for row in who(trace, "caller", sites=[str(site)]).rows}
    assert many == {"mm_init", "ip6_route_net_init", "xfrm4_net_init", "xfrm6_net_init"}
    every = {str(row.key[0]) for row in who(trace, "caller").rows}
    assert {"ipv4_mib_init_net", "register_netdevice", "xfrm_net_init"} <= every
    assert not [name for name in every if UNKNOWN in name or "percpu" in name]


class TestSelection:
    @pytest.mark.parametrize(
        ("chosen", "found"),
        [
            ({"pids": [101]}, [16]),
            ({"pids": [7, 102]}, [8, 32, 64]),
            ({"names": ["sh"]}, [16, 32]),
            ({"names": ["?p", "none"]}, [8, 64]),
            ({"names": ["*"], "pids": [7], "sites": [MANY]}, [64]),
        ],
    )
    def test_by_task(self, trace: Trace, chosen: Any, found: list[int]) -> None:
        result = who(trace, "size", sort="size", **chosen)
        assert [row.key[0] for row in result.rows] == found
        assert result.peak.bytes == 120  # that of the whole trace
        lines = folded(trace, Selection(**chosen))
        assert sum(int(line.split()[-1]) for line in lines) == sum(found)

    def test_names_may_have_characters_of_patterns(self, tmp_path: Path) -> None:
        (tmp_path / "t").write_text(alloc(1, "[x]-1", 4, "f") + alloc(2, "x-2", 8, "f"))
        assert rows(Trace.load(tmp_path / "t"), "task", names=["[x]"]) == {"[x]": 4, "x": 8}
        (tmp_path / "t").write_text(alloc(1, "[x-1", 4, "f") + alloc(2, "x-2", 8, "f"))
        assert rows(Trace.load(tmp_path / "t"), "task", names=["[x"]) == {"[x": 4}

    @pytest.mark.parametrize(
        ("chosen", "words"),
        [
            ({"pids": [1]}, "--pid 1: no task matches an allocation$"),
            (
                {"names": ["a", "b"]},
                "--name a,b: no task matches an allocation; a recorded name has",
            ),
            ({"sites": ["f"]}, "--site f: no call site matches an allocation$"),
            ({"pids": ["7"]}, "pid='7': an int is needed"),
            ({"names": [7]}, "name=7: a str is needed"),
            ({"names": 7}, "names=7: a sequence of str is needed"),
            ({"pids": 7}, "pids=7: a sequence of int is needed"),
            ({"sites": [None]}, "site=None: a str is needed"),
        ],
    )
    def test_nothing_is_included(self, trace: Trace, chosen: Any, words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            who(trace, **chosen)
        with pytest.raises(ConfigError, match=words):
            folded(trace, Selection(**chosen))

    @pytest.mark.parametrize(
        ("helpers", "words"),
        [(7, "^helpers=7: a sequence of str is needed"), ([7], "^helper=7: a str is needed")],
    )
    def test_helpers_of_a_wrong_type(self, trace: Trace, helpers: Any, words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            who(trace, "caller", helpers=helpers)

    def test_trace_without_tasks(self) -> None:
        trace = Trace.from_ops([("alloc", "a", 8, 8)])
        for chosen in ({"pids": [1]}, {"names": ["a"]}):
            with pytest.raises(ConfigError, match="the trace has no tasks"):
                who(trace, **chosen)


class TestText:
    def test_stacks_are_below_the_table(
        self, path: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        options = ["--cull", "st,pid,atomic", "--sort=-bytes", "--limit", "2"]
        assert main(["who", path, *options]) == 0
        out = capsys.readouterr().out
        head, *lines = out[out.index("stacktrace") :].splitlines()
        assert head.split()[:3] == ["stacktrace", "pid", "atomic"]
        assert [line.split()[:4] for line in lines[:2]] == [
            ["#1", "7", "yes", "64"], ["#2", "102", "no", "32"]
        ]  # fmt: skip
        assert lines[4:] == [
            "", "  #1", "    pcpu_alloc_noprof", f"    {MANY}", "    dst_init",
            "", "  #2", "    pcpu_alloc_noprof", f"    {MANY}", "    mm_init", "    copy_process",
        ]  # fmt: skip

    def test_ids_have_no_commas(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "t").write_text(alloc(1, "sh-24673", 2048, "f"))
        assert main(["who", str(tmp_path / "t"), "--cull", "pid,size"]) == 0
        assert capsys.readouterr().out.splitlines()[-2].split()[:2] == ["24673", "2,048"]

    def test_csv_has_a_stack_in_one_cell(
        self, path: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["who", path, "--cull", "st,atomic", "--csv"]) == 0
        _, row, *_ = capsys.readouterr().out.splitlines()
        assert row.startswith(f"pcpu_alloc_noprof;{MANY};dst_init,True,64,")

    def test_json(self, path: str, capsys: pytest.CaptureFixture[str]) -> None:
        options = ["--cull", "caller,task,pid,gfp,atomic,st", "--json", "--pid", "102"]
        assert main(["who", path, *options]) == 0
        (row,) = json.loads(capsys.readouterr().out)["rows"]
        assert [row[key] for key in options[1].replace("st", "stacktrace").split(",")] == [
            "mm_init", "sh", 102, "GFP_KERNEL", False,
            f"pcpu_alloc_noprof\n{MANY}\nmm_init\ncopy_process",
        ]  # fmt: skip

    @pytest.mark.parametrize("key", ["site", "function", "caller"])
    @pytest.mark.parametrize(
        "site", ["-2127210481", "18446744071582341135", "0xffffffff8135580f"]
    )  # of perf trace, of a recording with [FAILED TO PARSE], of a kernel without kallsyms
    def test_addresses(
        self, key: str, site: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "t").write_text(alloc(1, "sh-1", 8, site))
        options = ["--cull", key, "--site", "0xffffffff8135*"]
        assert main(["who", str(tmp_path / "t"), *options]) == 0
        out = capsys.readouterr().out
        assert "\n  0xffffffff8135580f " in out
        assert "that begin with 0x are addresses, not names" in out
        assert main(["who", str(tmp_path / "t"), "--folded"]) == 0
        assert capsys.readouterr().out == "sh;0xffffffff8135580f 8\n"

    @pytest.mark.parametrize(
        ("cull", "site"), [("site", "f0x1+0x1f"), ("task", "-1"), ("site", "1-2")]
    )
    def test_names_are_no_addresses(
        self, cull: str, site: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "t").write_text(alloc(1, "sh-1", 8, site))
        assert main(["who", str(tmp_path / "t"), "--cull", cull]) == 0
        out = capsys.readouterr().out
        assert "addresses" not in out
        assert (f"\n  {site} " in out) == (cull == "site")

    def test_stacks_of_a_kernel_without_call_sites(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = alloc(1, "sh-1", 8, "x", "pcpu_alloc mm_init").replace("call_site=x ", "")
        (tmp_path / "t").write_text(text)
        for cull, missed in (("caller", False), ("site", True)):
            assert main(["who", str(tmp_path / "t"), "--cull", cull]) == 0
            assert ("the trace has no call sites" in capsys.readouterr().out) == missed


class TestFolded:
    """The format of flame graphs: frames with semicolons, the outermost first, then bytes."""

    def test_stacks_and_what_has_none(self, path: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["who", path, "--folded"]) == 0
        assert capsys.readouterr().out == (
            f"copy_process;mm_init;{MANY};pcpu_alloc_noprof 32\n"
            "copy_process;mm_init;pcpu_alloc_noprof 16\n"
            f"dst_init;{MANY};pcpu_alloc_noprof 64\n"
            "ip;percpu_ref_init+0x1b 8\n"
        )

    def test_bytes_are_those_at_the_peak(self) -> None:
        ops = [("alloc", "a", 8, 8), ("free", "a"), ("alloc", "b", 16, 8), ("alloc", "d", -1, 4),
               ("alloc", "c", 4, 4)]  # fmt: skip
        trace = Trace.from_ops(ops)
        trace.kinds[:] = [kind._replace(site=f"f{kind.size}") for kind in trace.kinds]
        assert folded(trace) == ["(unknown);f16 16", "(unknown);f4 4"]
        assert folded(trace, copies=3) == ["(unknown);f16 48", "(unknown);f4 12"]

    def test_equal_stacks_are_added_up(self, tmp_path: Path) -> None:
        """Offsets and tasks do not matter, only the names of functions."""
        one = alloc(1, "sh-1", 8, "f+0x1", "pcpu_alloc+0x1/0x9 f+0x1/0x8")
        two = alloc(2, "ip-2", 4, "f+0x2", "pcpu_alloc+0x1/0x9 f+0x2/0x8")
        (tmp_path / "t").write_text(one + two)
        assert folded(Trace.load(tmp_path / "t")) == ["f;pcpu_alloc 12"]

    def test_separators_in_names_are_replaced(self) -> None:
        trace = Trace.from_ops([("alloc", "a", 8, 8)])
        trace.kinds[:] = [kind._replace(site="a;b\x1b\n") for kind in trace.kinds]
        assert folded(trace) == ["(unknown);a:b?? 8"]

    def test_no_allocations(self) -> None:
        assert folded(Trace.from_ops([("free", "a")])) == []

    @pytest.mark.parametrize("other", ["--json", "--csv"])
    def test_is_a_format_of_its_own(
        self, path: str, capsys: pytest.CaptureFixture[str], other: str
    ) -> None:
        with pytest.raises(SystemExit):
            main(["who", path, "--folded", other])
        assert "not allowed with argument" in capsys.readouterr().err
