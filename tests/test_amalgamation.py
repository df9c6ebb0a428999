# SPDX-License-Identifier: GPL-2.0-only
"""The C library as two files, written by tools/amalgamate.py.

tools/check-embedding.sh and tools/check-lib.sh check that they compile, and which names they
define; make check-amalgamation checks that they are the library.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def amalgamate(outdir: Path, root: Path = ROOT) -> tuple[str, str]:
    """Run the script; return percpu.h and percpu.c."""
    script = root / "tools" / "amalgamate.py"
    subprocess.run([sys.executable, str(script), str(outdir)], check=True)
    return (outdir / "percpu.h").read_text(), (outdir / "percpu.c").read_text()


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the script and its input, for changes."""
    shutil.copytree(ROOT / "csrc", tmp_path / "csrc")
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "amalgamate.py", tmp_path / "tools")
    return tmp_path


def includes(text: str) -> list[str]:
    return re.findall(r"#include (\S+)", text)


def test_header_includes_system_headers_only(tmp_path: Path) -> None:
    header, _ = amalgamate(tmp_path / "out")

    assert [name for name in includes(header) if name[0] == '"'] == []
    assert "pcpu_trace_feed(" in header


def test_source_includes_each_header_once(tmp_path: Path) -> None:
    _, source = amalgamate(tmp_path / "out")

    names = includes(source)
    assert [name for name in names if name[0] == '"'] == ['"percpu.h"']
    assert len(set(names)) == len(names)


def test_source_has_all_files_except_the_benchmark_and_the_analysis(tmp_path: Path) -> None:
    _, source = amalgamate(tmp_path / "out")

    for file in ROOT.glob("csrc/**/*.c"):
        if file.parent.name not in ("bench", "analysis"):
            assert f" {file.relative_to(ROOT).as_posix()} -" in source
    assert not re.search("csrc/(bench|analysis)", source)


def test_output_is_reproducible(tmp_path: Path) -> None:
    assert amalgamate(tmp_path / "one") == amalgamate(tmp_path / "two")


def test_first_comment_has_the_version(tmp_path: Path, sources: Path) -> None:
    public = sources / "csrc" / "percpu.h"
    public.write_text(
        re.sub(r"(PCPU_VERSION_PATCH\s+)\d+", r"\g<1>77", public.read_text(), count=1)
    )

    for text in amalgamate(tmp_path / "out", sources):
        assert re.search(r"^ \* percpu\.[ch] \d+\.\d+\.77 - ", text, flags=re.M)


def test_header_that_percpu_h_includes_is_public(tmp_path: Path, sources: Path) -> None:
    public = sources / "csrc" / "percpu.h"
    end = "#endif /* PERCPU_H */\n"
    public.write_text(public.read_text().replace(end, '#include "percpu_more.h"\n\n' + end))
    (sources / "csrc" / "percpu_more.h").write_text(
        '#ifndef MORE_H\n#define MORE_H\n\n#include <stdint.h>\n#include "percpu.h"\n\n'
        "int64_t pcpu_more(void);\n\n#endif\n"
    )
    (sources / "csrc" / "more.c").write_text(
        '#include "percpu_more.h"\n\nint64_t pcpu_more(void)\n{\n\treturn 1;\n}\n'
    )

    header, source = amalgamate(tmp_path / "out", sources)

    assert "\nint64_t pcpu_more(void);\n" in header
    assert header.count("#include <stdint.h>") == 1
    assert source.count("pcpu_more(void)") == 1


def test_internal_functions_are_static(tmp_path: Path, sources: Path) -> None:
    (sources / "csrc" / "inner.h").write_text(
        "#ifndef INNER_H\n#define INNER_H\n\n/* not int this(void); */\nstruct inner *\n"
        "pcpu_inner(int a,\n\t   int b);\nstatic inline int pcpu_one(void) { return 1; }\n"
        "\n#endif\n"
    )
    (sources / "csrc" / "inner.c").write_text('#include "inner.h"\n')

    _, source = amalgamate(tmp_path / "out", sources)

    assert "\nstatic struct inner *\npcpu_inner(int a,\n\t   int b);\n" in source
    assert "\nstatic inline int pcpu_one(void)" in source
    assert "static /*" not in source
