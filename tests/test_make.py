# SPDX-License-Identifier: GPL-2.0-only
"""The targets that make lists, its messages on missing programs, and its virtual environment."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from percpu_ffi import __version__

ROOT = Path(__file__).resolve().parent.parent
TOOLS = (
    *("awk", "cat", "dirname", "head", "id", "make", "mkdir", "mktemp", "readlink", "rm", "sed"),
    *("sh", "touch", "true"),
)

pytestmark = pytest.mark.skipif(
    not (ROOT / "Makefile").exists() or not all(map(shutil.which, TOOLS)),
    reason="the Makefile or a program that it uses is not here",
)


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make in the project's folder, not as a part of another make."""
    return subprocess.run(
        [shutil.which("make") or "make", "--no-print-directory", *arguments],
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


class TestTargets:
    def test_help_lists_those_that_documents_name(self) -> None:
        listed = set(re.findall(r"^([a-z-]+) ", make("help").stdout, flags=re.M))
        for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
            named = re.findall(r"(?:`|^)make ([a-z][a-z-]*)", path.read_text("utf-8"), flags=re.M)
            assert set(named) <= listed, path
        assert {"run", "help", "check-quick", "fuzz", "install", "sanitize", "clean"} <= listed

    @pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="what make builds is not here")
    def test_check_quick_leaves_out_files_that_exist(self) -> None:
        """Under another name a long test would be run again."""
        ignored = re.findall(r"--ignore=(\S+)", make("-n", "check-quick").stdout)
        assert len(ignored) > 5
        assert all((ROOT / name).exists() for name in ignored), ignored


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for PATH with what the Makefile uses, except for Python and a compiler."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


def add_python(programs: Path, setup: str = "pass", venv: str = "") -> None:
    """Add a Python that runs ``setup`` before a script, and has options for new environments."""
    (programs / "python3").write_text(
        f"""#!/bin/sh
case $1 in
-) exec {sys.executable} -c 'import sys; del sys.argv[0]; {setup}; exec(sys.stdin.read())' "$@" ;;
-m) shift 2; exec {sys.executable} -m venv {venv} "$@" ;;
*) exec {sys.executable} "$@" ;;
esac
"""
    )
    (programs / "python3").chmod(0o755)


class TestMissing:
    """The first output is one sentence on what to install."""

    @staticmethod
    def refusal(programs: Path, target: str, *variables: str) -> str:
        built = [f"VENV={programs}/venv", f"BUILD={programs}/build"]
        done = make(target, *built, *variables, PATH=str(programs))
        assert done.returncode
        assert done.stdout == ""
        sentence, error = done.stderr.splitlines()
        assert error.startswith("make: ***")
        return sentence

    @pytest.mark.parametrize("target", ["run", "lint", "dist", "amalgamation", "mutate"])
    def test_python(self, programs: Path, target: str) -> None:
        assert re.fullmatch(
            "missing or incomplete: python3; .* apt-get install python3( .*)?",
            self.refusal(programs, target, "CC=true", "CSRC="),
        )

    @pytest.mark.parametrize("target", ["test", "check-c", "check-threads", "strict", "coverage"])
    def test_compiler(self, programs: Path, target: str) -> None:
        assert re.fullmatch(
            "missing or incomplete: cc; .* apt-get install gcc libc6-dev",
            self.refusal(programs, target),
        )

    def test_compiler_for_the_extension(self, programs: Path) -> None:
        add_python(programs)
        assert re.fullmatch(
            "missing or incomplete: python3; .* apt-get install gcc libc6-dev",
            self.refusal(programs, "run"),
        )

    @pytest.mark.parametrize(
        ("setup", "sentence"),
        [
            (
                "sys.version_info = (3, 8, 18)",
                r"python3 is Python 3\.8: install Python 3\.11 or newer, .* PYTHON=python3\.11",
            ),
            ('sys.modules["ensurepip"] = None', r".* apt-get install python3\.\d+-venv"),
            ('sys.modules["venv"] = None', r".* apt-get install python3\.\d+-venv"),
            (
                "import sysconfig; sysconfig.get_path = str",
                r".* apt-get install python3\.\d+-dev",
            ),
        ],
    )
    def test_part_of_python(self, programs: Path, setup: str, sentence: str) -> None:
        add_python(programs, setup)
        assert re.fullmatch(sentence, self.refusal(programs, "run", "CC=true"))

    def test_environment_of_a_python_that_is_too_old(self, programs: Path) -> None:
        add_python(programs, "sys.version_info = (3, 8, 18)")
        (programs / "venv" / "bin").mkdir(parents=True)
        (programs / "venv" / "bin" / "python").symlink_to(programs / "python3")
        sentence = self.refusal(programs, "run", "CC=true")
        assert f"is Python 3.8: remove {programs}/venv, install Python 3.11" in sentence


class TestEnvironment:
    """The package is installed again if ``.made`` is newer than the last time."""

    COMPILED = ("_core.abi3.so", "embed/libpercpu.so.0.2", "embed/percpu.c", "embed/percpu.h")

    @pytest.fixture
    def folder(self, programs: Path, tmp_path: Path) -> Path:
        """A folder with a virtual environment and files that replace those of a build."""
        add_python(programs, venv="--without-pip")
        folder = tmp_path / "project"
        for name in self.COMPILED:
            path = folder / "percpu_ffi" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        self.ensure(folder, folder / ".venv")
        (folder / ".venv" / "bin" / "percpu-ffi").touch()
        return folder

    @staticmethod
    def ensure(folder: Path, venv: Path) -> int:
        """Make sure that there is an environment, and return the time of its ``.made``."""
        script, programs = str(ROOT / "tools/environment.sh"), str(venv.parent.parent / "bin")
        environment = {"PATH": programs, "CC": "true"}
        command = [script, str(venv), "python3", str(folder)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        return (venv / ".made").stat().st_mtime_ns

    def test_nothing_changed(self, folder: Path) -> None:
        assert self.ensure(folder, folder / ".venv") == self.ensure(folder, folder / ".venv")

    @pytest.mark.parametrize("name", COMPILED)
    def test_a_compiled_file_is_missing(self, folder: Path, name: str) -> None:
        before = self.ensure(folder, folder / ".venv")
        (folder / "percpu_ffi" / name).unlink()
        assert self.ensure(folder, folder / ".venv") > before

    def test_the_command_is_missing(self, folder: Path) -> None:
        before = self.ensure(folder, folder / ".venv")
        (folder / ".venv" / "bin" / "percpu-ffi").unlink()
        assert self.ensure(folder, folder / ".venv") > before

    def test_the_environment_was_moved(self, folder: Path) -> None:
        """Its programs name the old place: it is made again, without what was in it."""
        before = self.ensure(folder, folder / ".venv")
        (folder / ".venv").rename(folder / "moved")
        assert self.ensure(folder, folder / "moved") > before
        assert not (folder / "moved" / "bin" / "percpu-ffi").exists()
        assert str(folder / "moved") in (folder / "moved" / "bin" / "activate").read_text()

    def test_its_python_is_gone(self, folder: Path) -> None:
        before = self.ensure(folder, folder / ".venv")
        python = folder / ".venv" / "bin" / "python"
        python.unlink()
        python.symlink_to("gone")
        assert self.ensure(folder, folder / ".venv") > before
        assert python.exists()

    def test_the_package_was_moved(self, folder: Path) -> None:
        """The environment stays, and what the user has installed there."""
        before = self.ensure(folder, folder / ".venv")
        shutil.copytree(folder / "percpu_ffi", folder / "another" / "percpu_ffi")
        assert self.ensure(folder / "another", folder / ".venv") > before
        assert (folder / ".venv" / "bin" / "percpu-ffi").exists()


@pytest.mark.skipif(not shutil.which("install"), reason="the program install is not here")
class TestInstall:
    """``make install`` builds the C library only; what it adds was made by ``make run``."""

    PAGE = "share/man/man1/percpu-ffi.1"

    @staticmethod
    def run(folder: Path, target: str) -> str:
        """Make a target with a library that is already built, below a folder."""
        build = folder / "build"
        for name in ("amalgamation/percpu.h", "libpercpu.a", f"libpercpu.so.{__version__}"):
            (build / name).parent.mkdir(parents=True, exist_ok=True)
            (build / name).touch()
        done = make(
            *("-o", "lib", target, "PREFIX=/usr", f"DESTDIR={folder}/root"),
            *(f"BUILD={build}", f"VENV={folder}/venv"),
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def test_with_completion_and_page_of_the_environment(self, tmp_path: Path) -> None:
        page = tmp_path / "venv" / self.PAGE
        page.parent.mkdir(parents=True)
        page.write_text("a page")
        assert "make run" not in self.run(tmp_path, "install")
        installed = tmp_path / "root" / "usr" / self.PAGE
        assert installed.read_text() == "a page"
        assert installed.stat().st_mode & 0o777 == 0o644
        self.run(tmp_path, "uninstall")
        assert not [path for path in (tmp_path / "root").rglob("*") if not path.is_dir()]

    def test_without_them_says_what_makes_them(self, tmp_path: Path) -> None:
        *_, last = self.run(tmp_path, "install").splitlines()
        assert last.startswith("without completion and manual page of percpu-ffi: make run")
        assert not (tmp_path / "root" / "usr" / "share").exists()
        assert (tmp_path / "root" / "usr" / "include" / "percpu.h").exists()
