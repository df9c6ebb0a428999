# SPDX-License-Identifier: GPL-2.0-only
"""README.md as the page of a package index, which has none of the files that it links to."""

from __future__ import annotations

import re

# what is code is no link
CODE_OR_LINK = re.compile(
    r"""^(?P<fence>```+|~~~+) .*? ^(?P=fence)[ ]*$
      | (?P<ticks>`+)(?!`) .*? (?<!`)(?P=ticks)(?!`)
      | (?P<picture>!?) \[ (?P<text>[^\[\]]*) \] \( (?P<target>[^()\s]+) \)""",
    flags=re.M | re.S | re.X,
)
ELSEWHERE = re.compile(r"[a-z]+:|#")  # an address, or a heading of this page


def index_page(readme: str, version: str, repository: str | None = None) -> str:
    """Return the text of README.md with links that work on an index.

    With the address of a repository they lead to its files at the tag of this version.  Without
    one, their text stays, and pictures go.
    """

    def replace(found: re.Match[str]) -> str:
        picture, text, target = found.group("picture", "text", "target")
        if target is None or ELSEWHERE.match(target):
            return found[0]
        if repository is None:
            return "" if picture else str(text)
        kind = "raw" if picture else "blob"
        address = f"{repository.rstrip('/')}/{kind}/v{version}/{target}"
        return f"{picture}[{text}]({address})"

    return CODE_OR_LINK.sub(replace, readme)
