# SPDX-License-Identifier: GPL-2.0-only
"""check_site.py FOLDER - check the pages of the documentation site.

Each link and anchor inside of the site has to exist, no page or style sheet may load anything from
elsewhere, and links lead from the front page to each page.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

START = "index.html"
LOADED = {"src", "srcset", "poster", "data", "background"}  # a browser follows them by itself
LINKS = {"prev", "next", "index", "search", "genindex", "canonical"}  # <link rel=...> not loaded
IN_STYLE = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


class Page(HTMLParser):
    """The anchors of a page, and what it refers to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []  # those that a reader may follow
        self.content: list[str] = []  # of them, those of the text, without menus
        self.loaded: list[str] = []
        self._depth = 0  # of <article>
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the attributes of an element."""
        values = {name: value or "" for name, value in attrs}
        self._depth += tag == "article"
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        self.loaded += [values[name] for name in LOADED & values.keys() if values[name]]
        self.loaded += re.findall(r"url\(['\"]?([^'\")]+)", values.get("style", ""))
        if tag == "form":
            self.links.append(values.get("action", ""))
        if "href" not in values:
            return
        if tag == "a":
            self.links.append(values["href"])
            if self._depth:
                self.content.append(values["href"])
        elif tag != "link" or values.get("rel") not in LINKS:
            self.loaded.append(values["href"])

    def handle_endtag(self, tag: str) -> None:
        """Leave the text."""
        self._depth -= tag == "article"


def read(site: Path) -> dict[str, Page]:
    """Return the pages by name, relative to the site."""
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


def is_elsewhere(link: str) -> bool:
    """Return whether a link leads out of the site."""
    parts = urlsplit(link)
    return bool(parts.netloc) or parts.scheme not in ("", "data")


def target(page: str, link: str) -> tuple[str, str]:
    """Return the file, relative to the site, and the anchor that a link of a page leads to."""
    path, anchor = urldefrag(link)
    parts = page.split("/")[:-1] if path else [page]
    for part in unquote(urlsplit(path).path).split("/"):
        if part == "..":
            parts = parts[:-1] if parts else [".."]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts), unquote(anchor)


def problems(site: Path, pages: dict[str, Page]) -> Iterator[str]:
    """Yield a sentence for each problem."""
    for name, page in pages.items():
        for link in page.loaded:
            if is_elsewhere(link):
                yield f"{name}: loads {link}"
        for link in page.links + page.loaded:
            if is_elsewhere(link) or link.startswith("data:"):
                continue
            path, anchor = target(name, link)
            if not (site / path).is_file():
                yield f"{name}: links to {link}, which does not exist"
            elif anchor and path in pages and anchor not in pages[path].anchors:
                yield f"{name}: links to {link}, which has no such anchor"
    for style in sorted(site.rglob("*.css")):
        for found in IN_STYLE.findall(style.read_text(encoding="utf-8")):
            if is_elsewhere("".join(found)):
                yield f"{style.relative_to(site)}: loads {''.join(found)}"
    reached = clicks(pages, START)
    yield from (f"{name}: no link leads there" for name in pages if name not in reached)


def clicks(pages: dict[str, Page], start: str, content: bool = False) -> dict[str, int]:
    """Return for each page the clicks that it is away; ``content``: without the menus.

    A page with an anchor that links name is counted, too: ``docs/a.html#b``.
    """
    away = {start: 0}
    queue = [start]
    for name in queue:
        page = pages[name]
        for link in page.content if content else page.links:
            if is_elsewhere(link):
                continue
            path, anchor = target(name, link)
            away.setdefault(f"{path}#{anchor}", away[name] + 1)
            if path in pages and path not in away:
                away[path] = away[name] + 1
                queue.append(path)
    return away


def main(folder: str) -> int:
    """Print the problems, or what was checked."""
    site = Path(folder)
    pages = read(site)
    found = list(problems(site, pages))
    for problem in found:
        print(problem, file=sys.stderr)
    if not found:
        links = sum(len(page.links) for page in pages.values())
        print(f"{site / START}: {len(pages)} pages, {links:,} links, all of them valid")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
