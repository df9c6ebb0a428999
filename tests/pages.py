# SPDX-License-Identifier: GPL-2.0-only
"""What the tests of pages share: a parser of HTML, hostile names of call sites, contrast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from percpu_ffi import Trace

OWNED = "document.title = 'owned'"
LONG = "b" * 10_000
NAMES = (
    f"</script><script>{OWNED}</script>",
    f'"><img src="x" onerror="{OWNED}">',
    f"a\"b'c`${{{OWNED}}}`\\n\\",
    LONG,
    "\N{RIGHT-TO-LEFT OVERRIDE}x\N{ZERO WIDTH SPACE}\N{HEBREW LETTER ALEF} 5\N{LINE SEPARATOR}",
    "{{ title }} $$x$$ @size &lt;b&amp; ]]>--><!--",
    "\ud800https://cdn.example.org/x.js",
)


def rename_sites(trace: Trace, names: tuple[str, ...] = NAMES) -> None:
    """Replace the first call sites of a trace, in the order of names, by hostile ones."""
    old = sorted({kind.site for kind in trace.kinds})
    new = dict(zip(old, names, strict=False))
    trace.kinds[:] = [kind._replace(site=new.get(kind.site, kind.site)) for kind in trace.kinds]


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2, from 1 to 21."""
    low, high = sorted(
        0.05
        + sum(
            weight * (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
            for weight, i in ((0.2126, 1), (0.7152, 3), (0.0722, 5))
            for part in [int(colour[i : i + 2], 16) / 255]
        )
        for colour in (one, other)
    )
    return high / low


@dataclass(eq=False)
class Element:
    """An element of HTML."""

    tag: str
    attributes: dict[str, str]
    parents: tuple[Element, ...]
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its text, with that of all elements inside, without surrounding blanks."""
        return " ".join("".join(self.texts).split())

    def inside(self, tag: str) -> Element | None:
        """Return the nearest parent with a tag."""
        return next((parent for parent in reversed(self.parents) if parent.tag == tag), None)


VOID = {"meta", "link", "input", "img", "br"}


class Page(HTMLParser):
    """The elements of a page; all that are not closed are errors."""

    def __init__(self, text: str) -> None:
        """Parse a page."""
        super().__init__()
        self.elements: list[Element] = []
        self.open: list[Element] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {n: value or "" for n, value in attrs}, tuple(self.open))
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.texts.append(data)

    def all(self, *tags: str, **attributes: str) -> list[Element]:
        """Return the elements with one of the tags, or any, and with all attributes."""
        return [
            e
            for e in self.elements
            if (not tags or e.tag in tags)
            and all(e.attributes.get(name) == value for name, value in attributes.items())
        ]

    def table(self, table: Element) -> Iterator[list[str]]:
        """Yield the cells of each row of a table."""
        for row in self.all("tr"):
            if table in row.parents:
                yield [cell.text for cell in self.all("th", "td") if cell.parents[-1] is row]
