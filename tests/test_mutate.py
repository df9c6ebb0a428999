# SPDX-License-Identifier: GPL-2.0-only
"""tools/mutate: which mutants a source file has, and which of them a sample has.

That they are compiled, run and killed is what `make mutate` itself shows.
"""

import importlib
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module("mutate.mutants")


def changes(tool: ModuleType, path: Path, line: str) -> set[str]:
    """Return what the mutants make of a line in a function."""
    path.write_text("static void f(void)\n{\n" + line + "\n}\n")
    return {mutant.key()[2] for mutant in tool.mutants_of(str(path))}


@pytest.mark.parametrize(
    ("line", "mutants"),
    [
        ("a = b + 2;", {";", "a = b - 2;", "a = b + 3;", "a = b + 1;", "a = b + 0;"}),
        ("if (a < b)", {"if (a <= b)", "if (a >= b)"}),
        ("if (a)", {"if (!(a))"}),
        ("f(a, b);", {";", "f(b, a);"}),
        ("return a + b;", {";", "return 0;", "return a - b;"}),
        (
            "return -PCPU_E_SIZE;",
            {";", "return 0;", "return PCPU_E_SIZE;", "return -PCPU_E_ALIGN;"},
        ),
        ("int a = sizeof(b);", {"int a = (sizeof(b) - 1);"}),
        ('g = "x";', {";", 'g = "";'}),
        ("c = 'a';", {";", "c = 'b';"}),
        ("struct s s = { .a = b };", {"struct s s = { .a = 0 };"}),
        ('__asm__("nop" : : "r"(1 + 2));', set()),
        ("(void)a;", set()),
        ("/* 1 + 2 */", set()),
    ],
)
def test_what_a_line_becomes(
    tool: ModuleType, tmp_path: Path, line: str, mutants: set[str]
) -> None:
    assert changes(tool, tmp_path / "x.c", line) == mutants


def test_macros_and_tables_are_changed_too(tool: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "x.c"
    path.write_text("#define MOST 8\nstatic const int table[] = {\n\t5,\n};\n")
    after = {mutant.key()[2] for mutant in tool.mutants_of(str(path))}
    assert after == {"#define MOST 9", "#define MOST 7", "#define MOST 0", "6,", "4,", "0,"}


def test_a_sample_is_spread_over_the_files_and_repeatable(tool: ModuleType) -> None:
    main = importlib.import_module("mutate.__main__")
    every = [mutant for file in main.FILES[::5] for mutant in tool.mutants_of(file)]
    sample = main.shuffled(every, 7)[:300]
    assert sample == main.shuffled(every, 7)[:300]
    assert sample != main.shuffled(every, 8)[:300]
    of_file, in_sample = (Counter(m.file for m in some) for some in (every, sample))
    # one share holds for all files, to the nearest mutant
    least = max((in_sample[file] - 0.5) / n for file, n in of_file.items())
    assert least <= min((in_sample[file] + 0.5) / n for file, n in of_file.items())
