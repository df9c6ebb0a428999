# SPDX-License-Identifier: GPL-2.0-only
"""A page for each file or folder of the project that a document links to.

Such a link, as in ``[percpu.h](../csrc/percpu.h)``, works on a code host.  Here it leads to a
page that shows the file, or lists the folder; Sphinx itself offers files for download only.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

LARGEST = 200_000  # bytes of a file that is shown


class FindLinks(SphinxTransform):
    """Turn what MyST makes of a link to a file or folder into a reference of ours."""

    default_priority = 10  # before Sphinx collects files for download

    def apply(self, **_kwargs: Any) -> None:
        """Change the links of one document."""
        root = Path(self.env.srcdir).resolve()
        links = [
            *self.document.findall(addnodes.download_reference),
            *self.document.findall(addnodes.pending_xref),
        ]
        for node in links:
            if node.get("reftype") != "myst" or node.get("refdomain"):
                continue
            path = Path(self.env.relfn2path(node["reftarget"])[1]).resolve()
            if path.exists() and path.is_relative_to(root):
                ours = addnodes.pending_xref("", *node.children, reftype="source", refdomain="")
                ours["reftarget"] = path.relative_to(root).as_posix()
                ours["refdoc"] = self.env.docname
                node.replace_self(ours)


class SourcePages:
    """The files and folders that documents link to."""

    def __init__(self) -> None:
        self.linked: set[str] = set()

    def resolve(
        self,
        app: Sphinx,
        _env: BuildEnvironment,
        node: addnodes.pending_xref,
        content: nodes.TextElement,
    ) -> nodes.reference | None:
        """Link to the page, and note that it is needed."""
        if node["reftype"] != "source":
            return None
        self.linked.add(node["reftarget"])
        uri = app.builder.get_relative_uri(node["refdoc"], node["reftarget"])
        return nodes.reference("", "", content, internal=True, refuri=uri)

    def make(self, app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Yield the page of each, and of the files of a folder."""
        root = Path(app.srcdir)
        for folder in [name for name in self.linked if (root / name).is_dir()]:
            files = filter(is_shown, (root / folder).iterdir())
            self.linked.update(f"{folder}/{path.name}" for path in files)
        for name in sorted(self.linked):
            path = root / name
            body = contents(path) if path.is_dir() else highlighted(app, path)
            title = html.escape(name)
            yield name, {"title": title, "body": f"<h1>{title}</h1>\n{body}"}, "page.html"


def contents(folder: Path) -> str:
    """Return the list of a folder's files; what is no text has no page."""
    rows = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        name = html.escape(path.name)
        link = f'<a href="{html.escape(folder.name)}/{name}.html">{name}</a>'
        rows.append(f"<li>{link if is_shown(path) else name}, {path.stat().st_size:,} bytes</li>")
    return "<ul>\n" + "\n".join(rows) + "\n</ul>"


def is_shown(path: Path) -> bool:
    """Return whether a file is a text of moderate size."""
    if not path.is_file() or path.stat().st_size > LARGEST:
        return False
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def highlighted(app: Sphinx, path: Path) -> str:
    """Return a file's text as HTML, with the numbers of its lines."""
    try:
        language = get_lexer_for_filename(path.name).aliases[0]
    except ClassNotFound:
        language = "text"
    highlighter = app.builder.highlighter  # type: ignore[attr-defined] # of builders of HTML
    text = path.read_text(encoding="utf-8")
    return str(highlighter.highlight_block(text, language, linenos="inline"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the extension to Sphinx."""
    pages = SourcePages()
    app.add_transform(FindLinks)
    app.connect("missing-reference", pages.resolve)
    app.connect("html-collect-pages", pages.make)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
