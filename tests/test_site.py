# SPDX-License-Identifier: GPL-2.0-only
"""The documentation site: its checks, the reader of the headers, and what ``make docs`` built."""

from __future__ import annotations

import argparse
import re
import sys
import zlib
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from percpu_ffi.cli import parser

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build/site"
FRONT = "docs/index.html"
HEADERS = ("percpu.h", "percpu_hooks.h", "percpu_counter.h", "trace/percpu_trace.h")

if TYPE_CHECKING:
    import check_site
else:
    sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "docs/_extensions")]
    check_site = pytest.importorskip("check_site", reason="tools/ is not here")


@pytest.fixture(scope="module", name="kernel_doc")
def fixture_kernel_doc() -> Any:
    """Return the reader of the headers."""
    pytest.importorskip("sphinx", reason="Sphinx is not installed: pip install 'percpu_ffi[docs]'")
    return import_module("kernel_doc")


class TestCheck:
    """tools/check_site.py finds each kind of defect."""

    @staticmethod
    def problems(tmp_path: Path, body: str, **files: str) -> list[str]:
        """Return the problems of a site whose front page has ``body`` and a link to each file."""
        names = {name.replace("_", "."): text for name, text in files.items()}
        links = "".join(f'<a href="{name}">{name}</a>' for name in names)
        for name, text in {"index.html": links + body, **names}.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        return list(check_site.problems(tmp_path, check_site.read(tmp_path)))

    def test_links_that_exist_are_none(self, tmp_path: Path) -> None:
        body = """
            <h1 id="top"></h1> <a href="#top"></a> <a href="b.html#x"></a>
            <a href="./b.html"></a> <a href="https://example.org"></a>
            <img src="data:image/gif;base64,AA">
        """
        assert self.problems(tmp_path, body, b_html='<p id="x">', c_css="p { color: red }") == []

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            ('<a href="b.html">', "links to b.html, which does not exist"),
            ('<img src="b.png">', "links to b.png, which does not exist"),
            ('<a href="../index.html">', "links to ../index.html, which does not"),
            ('<a href="#top">', "links to #top, which has no such anchor"),
            ('<a href="index.html#top">', "links to index.html#top, which has no such anchor"),
            ('<script src="https://cdn.org/x.js">', "loads https://cdn.org/x.js"),
            ('<img src="//cdn.org/x.png">', "loads //cdn.org/x.png"),
            ('<link rel="stylesheet" href="https://cdn.org/x.css">', "loads https://cdn.org/x.css"),
            ('<link rel="preconnect" href="https://fonts.org">', "loads https://fonts.org"),
            ('<p style="background: url(http://x.org/a.png)">', "loads http://x.org/a.png"),
        ],
    )
    def test_in_a_page(self, body: str, problem: str, tmp_path: Path) -> None:
        (found,) = self.problems(tmp_path, body)
        assert found.startswith(f"index.html: {problem}")

    @pytest.mark.parametrize(
        "style", ["@font-face { src: url('https://f.org/x') }", '@import "https://f.org/x";']
    )
    def test_in_a_style_sheet(self, style: str, tmp_path: Path) -> None:
        assert self.problems(tmp_path, "", c_css=style) == ["c.css: loads https://f.org/x"]

    def test_a_page_that_no_link_leads_to(self, tmp_path: Path) -> None:
        (tmp_path / "lost.html").write_text("", encoding="utf-8")
        assert self.problems(tmp_path, "") == ["lost.html: no link leads there"]

    def test_status(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.problems(tmp_path, "")
        assert check_site.main(str(tmp_path)) == 0
        assert "1 pages, 0 links, all of them valid" in capsys.readouterr().out
        (tmp_path / "index.html").write_text('<a href="b.html">', encoding="utf-8")
        assert check_site.main(str(tmp_path)) == 1
        assert "does not exist" in capsys.readouterr().err


SAMPLE = """\
/* limits of x_take() */
#define PCPU_MOST	(1 << 3 | \\
			 4)	/* bytes */
#define PCPU_NOTHING

struct pcpu_x;	/* private */
struct pcpu_y;

/**
 * enum pcpu_kind - what it is
 */
enum pcpu_kind {
	PCPU_A = 1,	/* the first,
			   as before */
	PCPU_B		/* see pcpu_z.log */
};

/* a thing */
struct pcpu_z {
	/* for all that follow */
	int a, b;		/* bytes */
	/* receives texts */
	void (*log)(void *arg, const char *text);
	/**
	 * @map: map a page
	 * @unmap: the reverse
	 *
	 * Of one CPU.
	 */
	int (*map)(void *arg);
	void (*unmap)(void *arg);
};

/**
 * pcpu_take - take a struct pcpu_z
 * @z: the thing,
 *	or NULL
 *
 * With PCPU_A it takes @z:
 *
 *	name	size
 *
 * Cost: a_b * 2.
 * Return: 0, or -PCPU_B as pcpu_take() does; not free().
 */
int pcpu_take(struct pcpu_z *z,
	      int n);
"""


class TestHeaders:
    """docs/_extensions/kernel_doc.py, the reader of the headers."""

    @pytest.fixture
    def directives(self, kernel_doc: Any, tmp_path: Path) -> dict[str, str]:
        """Return what the reader makes of each declaration of the sample, without empty lines."""
        header = tmp_path / "x.h"
        header.write_text(SAMPLE, encoding="utf-8")
        found = kernel_doc.declarations(header)
        known = kernel_doc.roles_of(found)
        return {item.name: re.sub("\n+", "\n", kernel_doc.directive(item, known)) for item in found}

    def test_declarations(self, directives: dict[str, str]) -> None:
        assert list(directives) == ["PCPU_MOST", "pcpu_x", "pcpu_kind", "pcpu_z", "pcpu_take"]

    def test_a_macro_has_the_comment_after_it_and_that_before(
        self, directives: dict[str, str]
    ) -> None:
        assert directives["PCPU_MOST"] == (
            ".. c:macro:: PCPU_MOST\n   Bytes.\n   limits of ``x_take()``\n"
        )

    def test_a_struct_may_be_private(self, directives: dict[str, str]) -> None:
        assert directives["pcpu_x"] == ".. c:struct:: pcpu_x\n   Private.\n"

    def test_an_enumerator_has_its_value_and_all_lines_of_its_comment(
        self, directives: dict[str, str]
    ) -> None:
        assert directives["pcpu_kind"].split("\n") == [
            ".. c:enum:: pcpu_kind",
            "   What it is.",
            "   .. c:enumerator:: PCPU_A = 1",
            "      :no-contents-entry:",
            "      the first,",
            "      as before",
            "   .. c:enumerator:: PCPU_B",
            "      :no-contents-entry:",
            "      see :c:member:`pcpu_z.log <pcpu_z.log>`",
            "",
        ]

    def test_a_comment_above_members_is_for_one_of_them_or_for_all(
        self, directives: dict[str, str]
    ) -> None:
        lines = [line.strip() for line in directives["pcpu_z"].split("\n")]
        assert [line for line in lines if line and line != ":no-contents-entry:"] == [
            ".. c:struct:: pcpu_z",
            "A thing.",
            "For all that follow:",
            ".. c:member:: int a, b",
            "bytes",
            ".. c:member:: void (*log)(void *arg, const char *text)",
            "receives texts",
            ".. c:member:: int (*map)(void *arg)",
            "map a page",
            "Of one CPU.",
            ".. c:member:: void (*unmap)(void *arg)",
            "the reverse",
        ]

    def test_a_function_has_arguments_result_table_and_links(
        self, directives: dict[str, str]
    ) -> None:
        assert directives["pcpu_take"].split("\n") == [
            ".. c:function:: int pcpu_take(struct pcpu_z *z, int n)",
            "   Take a :c:struct:`struct pcpu_z <pcpu_z>`.",
            "   With :c:enumerator:`PCPU_A <PCPU_A>` it takes *z*:",
            "   .. code-block:: none",
            "      name    size",
            r"   **Cost:** a\_b \* 2.",
            "   :param z: the thing, or NULL",
            "   :returns: 0, or -:c:enumerator:`PCPU_B <PCPU_B>` as "
            ":c:func:`pcpu_take() <pcpu_take>` does; not ``free()``.",
            "",
        ]


@pytest.fixture(scope="module", name="site")
def fixture_site() -> Path:
    """Return the folder of the site, if ``make docs`` has made it from the files as they are."""
    if not (SITE / "objects.inv").exists():
        pytest.skip("the site is not built: make docs")
    built = (SITE / "objects.inv").stat().st_mtime
    for pattern in ("*.md", "docs/**/*", "csrc/**/*.h", "percpu_ffi/**/*.py"):
        for path in ROOT.glob(pattern):
            if path.is_file() and path.suffix != ".pyc" and path.stat().st_mtime > built:
                pytest.skip(f"{path.relative_to(ROOT)} is newer than the site: make docs")
    return SITE


@pytest.fixture(scope="module", name="pages")
def fixture_pages(site: Path) -> dict[str, check_site.Page]:
    """Return the pages."""
    return check_site.read(site)


@pytest.fixture(scope="module", name="names")
def fixture_names(site: Path) -> dict[str, set[str]]:
    """Return what the site documents, by kind, such as ``c:function``."""
    *_head, packed = (site / "objects.inv").read_bytes().split(b"\n", 4)
    found: dict[str, set[str]] = defaultdict(set)
    for line in zlib.decompress(packed).decode().splitlines():
        name, kind = re.findall(r"^(.+?) (\w+:\w+) ", line)[0]
        found[kind].add(name)
    return found


class TestSite:
    """What ``make docs`` made."""

    def test_is_without_problems(self, site: Path, pages: dict[str, check_site.Page]) -> None:
        assert list(check_site.problems(site, pages)) == []

    def test_who_holds_my_memory_is_three_clicks_away_at_most(
        self, pages: dict[str, check_site.Page]
    ) -> None:
        """In the text: menus and search do not count."""
        away = check_site.clicks(pages, FRONT, content=True)
        assert away["docs/analysis.html#percpu-ffi-who-trace"] <= 3

    @pytest.mark.parametrize(
        "link",
        [
            "hidden-space.html",
            "size-distributions.html",
            "proof.html",
            "traces.html#record-one",
            "api/c.html",
        ],
    )
    def test_front_page_links_to(self, link: str, pages: dict[str, check_site.Page]) -> None:
        assert link in pages[FRONT].content

    @pytest.mark.parametrize(
        "module",
        ["", ".custom", ".embed", ".executors", ".lockstep", ".record", ".stats", ".testing",
         ".trace"],
    )  # fmt: skip
    def test_has_each_public_name_of_python(self, module: str, names: dict[str, set[str]]) -> None:
        documented = set[str]().union(
            *(found for kind, found in names.items() if kind[:3] == "py:")
        )
        last = {name.rpartition(".")[2] for name in documented}
        public = import_module(f"percpu_ffi{module}").__all__
        assert public
        assert [name for name in public if name not in last] == []
        if not module:
            assert [n for n in public if f"percpu_ffi.{n}" not in documented] == []

    @pytest.mark.parametrize("header", HEADERS)
    def test_has_each_name_of_a_header(self, header: str, names: dict[str, set[str]]) -> None:
        text = (ROOT / "csrc" / header).read_text(encoding="utf-8")
        code = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        functions = set(re.findall(r"^[^#\n]*?\b(pcpu_\w+)\(", code, flags=re.M))
        tags = set(re.findall(r"^(?:struct|enum) (pcpu_\w+) \{", code, flags=re.M))
        constants = set(re.findall(r"^(?:\t|#define )(PCPU_\w+)\b", code, flags=re.M))
        of_functions = names["c:function"] | {n.removesuffix("()") for n in names["std:label"]}
        assert functions
        assert functions - of_functions == set()
        assert tags - names["c:struct"] - names["c:enum"] == set()
        assert constants - names["c:macro"] - names["c:enumerator"] - {"PCPU_HIDDEN"} == set()

    def test_has_each_option_of_the_commands(self, pages: dict[str, check_site.Page]) -> None:
        (commands,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
        anchors = pages["docs/commands.html"].anchors
        wanted = {
            f"percpu-ffi-{name}-{option}"
            for name, command in commands.choices.items()
            for action in command._actions
            for option in action.option_strings
        }
        assert len(wanted) > 50
        assert wanted - anchors == set()
