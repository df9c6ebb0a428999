# SPDX-License-Identifier: GPL-2.0-only
"""How the compiled parts come to be; everything else is in pyproject.toml.

::

    csrc/ --tools/amalgamate.py--> percpu.h, percpu.c --> libpercpu.so.0.1 <-- _core

All but ``_core`` lie in ``percpu_ffi/embed/``, for other extensions to build on.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext

EMBED = Path("percpu_ffi", "embed")
HEADER = Path("csrc", "percpu.h")

# its own calls of public functions need no detour: nobody is to replace these
COMPILE = ["-std=c11", "-O3", "-fvisibility=hidden", "-fno-semantic-interposition", "-pthread"]


def library_name() -> str:
    """Name the library as loaders know it: another minor version is another library."""
    header = HEADER.read_text(encoding="utf-8")
    version = re.findall(r"^#define PCPU_VERSION_(?:MAJOR|MINOR)\s+(\d+)$", header, re.M)
    return ".".join(["libpercpu.so", *version])


def link_flags() -> list[str]:
    """Tell what the linker is told, the same as in csrc/lib.mk."""
    return ["-pthread", f"-Wl,-soname,{library_name()}", "-Wl,--version-script=csrc/libpercpu.map"]


class BuildExt(build_ext):
    """Builds the library, then the extension, which is linked to it."""

    def finalize_options(self) -> None:
        """Build all anew: an extension that lies there may be linked to another library."""
        super().finalize_options()
        self.force = True

    def build_extensions(self) -> None:
        """Put the library where the package is built, and hand it to the extension."""
        embed = Path(self.build_lib, EMBED)
        for old in embed.glob("libpercpu.so*"):
            old.unlink()
        embed.mkdir(parents=True, exist_ok=True)
        self.spawn([sys.executable, "tools/amalgamate.py", str(embed)])

        objects = self.compiler.compile(
            [str(embed / "percpu.c")], output_dir=self.build_temp, extra_postargs=COMPILE
        )
        library = str(embed / library_name())
        self.compiler.link_shared_object(objects, library, extra_postargs=link_flags())
        for extension in self.extensions:
            extension.extra_objects = [library]
        super().build_extensions()

    def copy_extensions_to_source(self) -> None:
        """For an editable install: the sources are the package."""
        super().copy_extensions_to_source()
        for name in ("percpu.h", "percpu.c", library_name()):
            # a file of its own: whoever has loaded the one that is there keeps that
            self.copy_file(str(Path(self.build_lib, EMBED, name)), str(EMBED / name))


# One wheel for CPython 3.10 and up.  Free-threaded builds have no stable ABI before 3.15: each
# gets a wheel of its own, and cffi leaves the limited API by itself.
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
WHEEL = {} if FREE_THREADED else {"py_limited_api": "cp310"}

setup(
    cmdclass={"build_ext": BuildExt},
    cffi_modules=["build_ffi.py:ffibuilder"],
    options={"bdist_wheel": WHEEL},
)
