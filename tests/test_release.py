# SPDX-License-Identifier: GPL-2.0-only
"""What `make release-check` finds, and how packages are made so that it finds nothing.

That the real packages pass is what `make check-package` itself shows.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOME = "https://example.org/owner/percpu_ffi"
Tool = Callable[[str], Any]

needs_git = pytest.mark.skipif(not shutil.which("git"), reason="there is no git")


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Tool:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module


@pytest.fixture
def packages(tool: Tool, tmp_path: Path) -> Any:
    """Packages of version 1.2.3 with a file each, in tmp_path."""
    sdist, wheel = tmp_path / "x-1.2.3.tar.gz", tmp_path / "x-1.2.3-py3-none-any.whl"
    write_sdist(sdist, {"a.py": b"a"})
    write_wheel(wheel, {"a.py": b"a"})
    return tool("release.packages").Packages("1.2.3", sdist, wheel)


def write_sdist(path: Path, files: dict[str, bytes], mode: int = 0o644) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, contents in files.items():
            member = tarfile.TarInfo(f"x-1.2.3/{name}")
            member.size, member.mode = len(contents), mode
            archive.addfile(member, io.BytesIO(contents))


def write_wheel(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, contents in files.items():
            archive.writestr(zipfile.ZipInfo(name), contents)


def one(findings: Iterator[str]) -> str:
    (finding,) = findings
    return finding


class TestSdist:
    """It is compared with the files that git has."""

    def test_same_files(self, tool: Tool) -> None:
        sdist = {"a": b"1", "PKG-INFO": b"", "setup.cfg": b"", "percpu_ffi.egg-info/x": b""}
        clone = {"a": b"1", ".gitignore": b"", ".ci/run": b""}
        assert [*tool("release.contents").differences(sdist, clone)] == []

    @pytest.mark.parametrize(
        ("sdist", "finding"),
        [
            ({"a": b"2"}, "a differs in the sdist: make dist"),
            ({}, "a is not in the sdist: add it to MANIFEST.in, or to release.contents"),
            (
                {"a": b"1", ".ci/x": b""},
                ".ci/x is in the sdist, but not in git: remove it, or exclude it in MANIFEST.in",
            ),
        ],
    )
    def test_other_files(self, tool: Tool, sdist: dict[str, bytes], finding: str) -> None:
        assert one(tool("release.contents").differences(sdist, {"a": b"1"})) == finding

    def test_names_are_those_inside_its_folder(self, tool: Tool, packages: Any) -> None:
        assert tool("release.packages").read_sdist(packages.sdist) == {"a.py": b"a"}


class TestSecondBuild:
    """It has to make the same bytes."""

    @pytest.fixture
    def second(self, packages: Any, tmp_path: Path) -> Any:
        (tmp_path / "second").mkdir()
        files = {name: getattr(packages, name) for name in ("sdist", "wheel")}
        return packages._replace(
            **{name: Path(shutil.copy(path, tmp_path / "second")) for name, path in files.items()}
        )

    def test_same_bytes(self, tool: Tool, packages: Any, second: Any) -> None:
        assert [*tool("release.again").compare(packages, second)] == []

    def test_another_file(self, tool: Tool, packages: Any, second: Any) -> None:
        write_wheel(second.wheel, {"a.py": b"another"})
        finding = one(tool("release.again").compare(packages, second))
        assert finding.startswith(f"{packages.wheel.name} is another one")
        assert ": a.py;" in finding

    def test_another_mode(self, tool: Tool, packages: Any, second: Any) -> None:
        write_sdist(second.sdist, {"a.py": b"a"}, mode=0o600)
        finding = one(tool("release.again").compare(packages, second))
        assert "times, modes or order of the files" in finding


class TestArchive:
    """An sdist does not depend on who writes it, where and when."""

    @staticmethod
    def write(tool: Tool, folder: Path, umask: int, time: int) -> bytes:
        source = folder / "x-1.2.3"
        before = os.umask(umask)
        try:
            source.mkdir(parents=True)
            for name in ("b.py", "a.sh"):
                (source / name).write_text(name)
                os.utime(source / name, (time, time))
            (source / "a.sh").chmod(0o777 & ~umask)
        finally:
            os.umask(before)
        with contextlib.chdir(folder):
            tool("reproducible").write_archive(Path("x.tar.gz"), "x-1.2.3", 1_000_000_000)
        return (folder / "x.tar.gz").read_bytes()

    def test_same_bytes(self, tool: Tool, tmp_path: Path) -> None:
        first = self.write(tool, tmp_path / "first", 0o022, 10**9)
        assert self.write(tool, tmp_path / "second", 0o077, 2 * 10**9) == first

    def test_which_files_can_be_run_is_kept(self, tool: Tool, tmp_path: Path) -> None:
        archive = io.BytesIO(self.write(tool, tmp_path, 0o077, 10**9))
        with tarfile.open(fileobj=archive) as opened:
            modes = {member.name: oct(member.mode) for member in opened}
        assert modes == {"x-1.2.3": "0o755", "x-1.2.3/a.sh": "0o755", "x-1.2.3/b.py": "0o644"}

    def test_time_is_that_of_the_unpacked_files(
        self, tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "pyproject.toml").touch()
        os.utime(tmp_path / "pyproject.toml", (5, 1_234_567))
        monkeypatch.chdir(tmp_path)
        assert tool("reproducible").source_date() == 1_234_567


@needs_git
class TestClone:
    """A folder with a commit of a fixed time."""

    @pytest.fixture(autouse=True)
    def clone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
            monkeypatch.setenv(f"{name}_NAME", "x")
            monkeypatch.setenv(f"{name}_EMAIL", "x@example.org")
            monkeypatch.setenv(f"{name}_DATE", "1234567890 +0000")
        Path("file").touch()
        self.git("init", "--quiet")
        self.git("add", "file")
        self.git("commit", "--quiet", "-m", "first")

    @staticmethod
    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], check=True)

    def test_time_is_that_of_the_last_commit(self, tool: Tool) -> None:
        assert tool("reproducible").source_date() == 1234567890

    def test_no_tag(self, tool: Tool, packages: Any) -> None:
        assert one(tool("release.sources").tag(packages)).startswith("there is no tag v1.2.3: ")

    @pytest.mark.parametrize("kind", [("v1.2.3",), ("-a", "v1.2.3", "-m", "text")])
    def test_tag_is_checked_out(self, tool: Tool, packages: Any, kind: tuple[str, ...]) -> None:
        self.git("tag", *kind)
        assert [*tool("release.sources").tag(packages)] == []

    def test_tag_is_another_commit(self, tool: Tool, packages: Any) -> None:
        self.git("tag", "v1.2.3")
        self.git("commit", "--quiet", "--allow-empty", "-m", "second")
        finding = one(tool("release.sources").tag(packages))
        assert finding.startswith("the tag v1.2.3 is not the commit that is checked out")

    def test_uncommitted_files(self, tool: Tool) -> None:
        clean = tool("release.sources").clean
        assert [*clean(None)] == []
        Path("file").write_text("changed")
        Path("another").touch()
        assert one(clean(None)).startswith("file, another: not committed")


class TestVersion:
    """CHANGELOG.md, CITATION.cff and others name the version that csrc/percpu.h defines."""

    @pytest.fixture(autouse=True)
    def sources(self, tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for file, _ in tool("release.sources").PLACES:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path("CITATION.cff").write_text("version: 1.2.3\ndate-released: 2026-02-28\n")
        Path("examples/percpu_sums/pyproject.toml").write_text('"percpu_ffi==1.2.*"')
        Path("docs/embedding.md").write_text(
            "percpu_ffi==1.2.*, libpercpu.so.1.2.3, `libpercpu.so.1.2`"
        )

    @pytest.mark.parametrize(
        ("title", "findings"),
        [
            ("1.2.3, 2026-02-28", 0),
            ("1.2.3, unreleased", 1),
            ("1.2.3, 2026-02-30", 1),
            ("1.2.2, 2026-02-28", 1),
            ("1.2.3, 2026-02-27", 1),  # not the day of CITATION.cff
        ],
    )
    def test_changelog(self, tool: Tool, packages: Any, title: str, findings: int) -> None:
        Path("CHANGELOG.md").write_text(
            f"# Changelog\n\n## {title}\n\n* x\n\n## 1.0.0, 2020-01-01\n"
        )
        assert len([*tool("release.sources").changelog(packages)]) == findings

    def test_same_everywhere(self, tool: Tool, packages: Any) -> None:
        assert [*tool("release.sources").versions(packages)] == []

    @pytest.mark.parametrize(
        ("file", "text"),
        [
            ("CITATION.cff", "version: 1.2.2\n"),
            ("examples/percpu_sums/pyproject.toml", '"percpu_ffi==1.3.*"'),
            ("docs/embedding.md", "percpu_ffi==1.2.*, libpercpu.so.1.2.4"),
            ("CITATION.cff", ""),  # a check that finds nothing checks nothing
        ],
    )
    def test_another_version(self, tool: Tool, packages: Any, file: str, text: str) -> None:
        Path(file).write_text(text)
        assert one(tool("release.sources").versions(packages)).startswith(file)

    def test_package_of_another_version(self, tool: Tool, packages: Any) -> None:
        old = packages._replace(sdist=Path("percpu_ffi-1.2.2.tar.gz"))
        finding = one(tool("release.sources").versions(old))
        assert finding == "percpu_ffi-1.2.2.tar.gz is not of version 1.2.3: make dist"


class TestIndexPage:
    """An index has none of the files that README.md links to."""

    @pytest.mark.parametrize(
        ("text", "with_home", "without"),
        [
            ("[a b](docs/x.md#y)", f"[a b]({HOME}/blob/v1.2.3/docs/x.md#y)", "a b"),
            ("![a b](docs/x.png)", f"![a b]({HOME}/raw/v1.2.3/docs/x.png)", ""),
            (
                "[`f()`](f.c) `[i](j)`",
                f"[`f()`]({HOME}/blob/v1.2.3/f.c) `[i](j)`",
                "`f()` `[i](j)`",
            ),
        ],
    )
    def test_link(self, tool: Tool, text: str, with_home: str, without: str) -> None:
        page = tool("index_page").index_page
        assert page(text, "1.2.3", HOME) == page(text, "1.2.3", f"{HOME}/") == with_home
        assert page(text, "1.2.3") == without

    @pytest.mark.parametrize(
        "text",
        [
            "[x](https://example.org/)",
            "[x](#heading)",
            "a `[x](y)` and ``a ` [x](y)``",
            "```python\na[x](y)\n```",
            "~~~\n`\n[x](y)\n~~~\n",
        ],
    )
    def test_what_stays(self, tool: Tool, text: str) -> None:
        assert tool("index_page").index_page(text, "1.2.3", HOME) == text
        assert tool("index_page").index_page(text, "1.2.3") == text

    def test_links_that_are_dead(self, tool: Tool) -> None:
        html = '<h1 id="a"></h1><a href="#a"></a><a href="#b"></a><a href="c"></a><img src="d.png">'
        assert tool("release.page").dead_links(html) == ["#b", "c", "d.png"]

    @pytest.mark.parametrize("home", [HOME, None])
    def test_of_this_project(self, tool: Tool, tmp_path: Path, home: str | None) -> None:
        pytest.importorskip("comrak", reason="the renderer is of the extra 'release'")
        pytest.importorskip("twine", reason="it is of the extra 'release'")
        readme = (ROOT / "README.md").read_text("utf-8")
        text = tool("index_page").index_page(readme, "1.2.3", home)
        found = tool("release.page")
        assert len(found.dead_links(found.render(readme))) > 15
        assert found.dead_links(found.render(text)) == []
        head = "Metadata-Version: 2.1\nName: x\nVersion: 1.2.3\n"
        kind = "Description-Content-Type: text/markdown\n\n"
        wheel = tmp_path / "x-1.2.3-py3-none-any.whl"
        write_wheel(wheel, {"x-1.2.3.dist-info/METADATA": f"{head}{kind}{text}".encode()})
        command = [sys.executable, "-m", "twine", "check", "--strict", str(wheel)]
        assert subprocess.run(command, check=False).returncode == 0


LINE = "-" * 30 + "\n"
HEAD = f"{LINE}Checking x.tar.gz\nFound x\n{LINE}"
RATING = f"Final rating: 7/10\nJarlsberg\n{LINE}"


class TestAudit:
    @pytest.mark.parametrize(
        ("output", "findings"),
        [
            (HEAD + RATING, []),
            (f"{HEAD}Your package does not have author data.\n{LINE}{RATING}", []),
            (
                f"{HEAD}Your package does not have author data.\nNo keywords.\n{LINE}{RATING}",
                ["No keywords."],
            ),
        ],
    )
    def test_pyroma(self, tool: Tool, output: str, findings: list[str]) -> None:
        assert tool("release.audit").pyroma_findings(output) == findings

    @pytest.mark.parametrize("output", ["", "Traceback: x\n", HEAD])
    def test_pyroma_that_gives_no_rating(self, tool: Tool, output: str) -> None:
        (finding,) = tool("release.audit").pyroma_findings(output)
        assert finding.startswith("its output is not understood")

    def test_tool_that_fails(self, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
        audit = tool("release.audit")
        assert "No module named" in one(audit._passes("percpu_ffi.no_such_tool", "file"))
        assert [*audit._passes("compileall", "-h")] == []


class TestReport:
    def test_every_finding_is_printed(self, tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
        checks = {
            "one": lambda _: iter(["first", "second"]),
            "two": lambda _: iter(()),
            "three": lambda _: iter(["third"]),
        }
        assert tool("release.__main__").report(checks, None) == 1
        printed = capsys.readouterr()
        assert printed.err == "first\nsecond\nthird\n"
        assert printed.out.startswith("  ok  two (")

    def test_no_finding(self, tool: Tool) -> None:
        assert tool("release.__main__").report({"one": lambda _: iter(())}, None) == 0

    def test_no_package_is_built(self, tool: Tool, tmp_path: Path) -> None:
        with pytest.raises(SystemExit, match="does not hold one sdist and one wheel: make dist"):
            tool("release.packages").find_packages("1.2.3", tmp_path)
