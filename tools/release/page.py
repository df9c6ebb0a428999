# SPDX-License-Identifier: GPL-2.0-only
"""Check the page of the index, as its own renderer makes it: no link is dead."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

from index_page import ELSEWHERE, index_page

if TYPE_CHECKING:
    from .packages import Packages

HOME = "https://example.org/owner/percpu_ffi"  # any


def page(packages: Packages) -> Iterator[str]:
    """Check the page of the wheel, and README.md with and without the address of a repository."""
    readme = Path("README.md").read_text("utf-8")
    pages = {
        "the page of the wheel": packages.page(),
        "the page without a repository": index_page(readme, packages.version),
        "the page with a repository": index_page(readme, packages.version, HOME),
    }
    for name, text in pages.items():
        for link in dead_links(render(text)):
            yield f"{name} links to {link}, which is not there: see tools/index_page.py"


def render(markdown: str) -> str:
    """Return the HTML that an index shows."""
    command = [sys.executable, "-m", "readme_renderer", "--format", "md", "/dev/stdin"]
    return subprocess.run(
        command, input=markdown, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src"):
                self.links.append(value or "")
            elif name == "id":
                self.places.add(f"#{value}")


def dead_links(html: str) -> list[str]:
    """Return the links and pictures that are neither addresses nor places of this page."""
    found = _Page()
    found.feed(html)
    return [
        link
        for link in found.links
        if not ELSEWHERE.match(link) or (link.startswith("#") and link not in found.places)
    ]
