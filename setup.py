# SPDX-License-Identifier: GPL-2.0-only
"""Build the compiled parts; everything else is in pyproject.toml.

::

    csrc/ --tools/amalgamate.py--> percpu.h, percpu.c --> libpercpu.so.0.2 <-- _core

All except ``_core`` go to ``percpu_ffi/embed/``, where other extensions find them.  Completion of
the shells and the manual page go below ``share`` of where the package is installed.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any, ClassVar

from setuptools import Command, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

# builds do not have them there
sys.path.insert(0, str(Path(__file__).resolve().parent / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from index_page import index_page
from reproducible import NO_FOLDER, set_surroundings, write_archive

from percpu_ffi._version import __version__

set_surroundings()

EMBED = Path("percpu_ffi", "embed")
# the SONAME: another minor version may have another ABI
LIBRARY = f"libpercpu.so.{__version__.rpartition('.')[0]}"

# as in csrc/lib.mk
COMPILE = ["-std=c11", "-O3", "-fvisibility=hidden", "-fno-semantic-interposition", "-pthread"]
LINK = ["-pthread", f"-Wl,-soname,{LIBRARY}", "-Wl,--version-script=csrc/libpercpu.map"]


SHARE = "build/share"
# what tools/command_pages.py makes there
PAGES = (
    ("bash-completion/completions", "percpu-ffi"),
    ("zsh/site-functions", "_percpu-ffi"),
    ("fish/vendor_completions.d", "percpu-ffi.fish"),
    ("man/man1", "percpu-ffi.1"),
)


class BuildExt(build_ext):
    """Build the library, then the extension, which is linked to it."""

    def finalize_options(self) -> None:
        """Rebuild everything: an old extension may be linked to an old library."""
        super().finalize_options()
        self.force = True

    def build_extensions(self) -> None:
        """Put the library where the package is built, and link the extension to it."""
        compiler = self.compiler.compiler[0]
        if not shutil.which(compiler):
            raise SystemExit(f"{compiler} is missing: install a C compiler, or name one in CC")
        embed = Path(self.build_lib, EMBED)
        for old in embed.glob("libpercpu.so*"):
            old.unlink()
        embed.mkdir(parents=True, exist_ok=True)
        self.spawn([sys.executable, "tools/amalgamate.py", str(embed)])

        objects = self.compiler.compile(
            [str(embed / "percpu.c")],
            output_dir=self.build_temp,
            extra_postargs=[*COMPILE, NO_FOLDER],
        )
        library = str(embed / LIBRARY)
        self.compiler.link_shared_object(objects, library, extra_postargs=LINK)
        for extension in self.extensions:
            extension.extra_objects = [library]
            extension.extra_compile_args.append(NO_FOLDER)
        super().build_extensions()

    def get_output_mapping(self) -> dict[str, str]:
        """Return where an editable install keeps each built file; a strict one links to it."""
        names = ("percpu.h", "percpu.c", LIBRARY) if self.inplace else ()
        embed = {str(Path(self.build_lib, EMBED, name)): str(EMBED / name) for name in names}
        return super().get_output_mapping() | embed

    def copy_extensions_to_source(self) -> None:
        """Copy to new files: a process that has loaded the old ones keeps them."""
        for built, source in self.get_output_mapping().items():
            self.copy_file(built, source)


class BuildPages(Command):
    """Ask the parser of the commands, which needs nothing that is compiled."""

    user_options: ClassVar[list[tuple[str, str, str]]] = []

    def initialize_options(self) -> None:
        """Have no options."""

    def finalize_options(self) -> None:
        """Have no options."""

    def run(self) -> None:
        """Make the files of ``PAGES``."""
        self.spawn([sys.executable, "tools/command_pages.py", SHARE])


class Sdist(sdist):
    """An archive with one time, one owner and two modes; setuptools takes those of the files."""

    def make_archive(self, *arguments: Any, **options: Any) -> str:
        """Write the folder that setuptools has filled."""
        name = f"{arguments[0]}.tar.gz"
        write_archive(Path(name), options["base_dir"], int(os.environ["SOURCE_DATE_EPOCH"]))
        return name


# One wheel for CPython 3.11 and newer.  Free-threaded builds have no stable ABI before 3.15: each
# gets a wheel of its own, for which cffi drops the limited API by itself.
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
WHEEL = {} if FREE_THREADED else {"py_limited_api": "cp311"}

build.sub_commands = [*build.sub_commands, ("build_pages", None)]

PROJECT = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
README = Path("README.md").read_text(encoding="utf-8")

setup(
    version=__version__,
    long_description=index_page(README, __version__, PROJECT["urls"].get("Repository")),
    long_description_content_type="text/markdown",
    cmdclass={"build_ext": BuildExt, "build_pages": BuildPages, "sdist": Sdist},
    data_files=[(f"share/{folder}", [f"{SHARE}/{folder}/{name}"]) for folder, name in PAGES],
    cffi_modules=["build_ffi.py:ffibuilder"],
    options={"bdist_wheel": WHEEL},
)
