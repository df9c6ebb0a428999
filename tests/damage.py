# SPDX-License-Identifier: GPL-2.0-only
"""Every way to damage a value of JSON in one place, for tests of files that users give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

# each type of JSON, also such values as Python's reader takes and no other, or does not take
TEXTS = (
    "null", "true", "0", "1", "-1", "4294967295", "18446744073709551616", "9" * 5000,
    "1.5", "1e400", "-1e308", "NaN", "-Infinity",
    '""', '"x"', '"\\ud800"', '"\\n\\u0000"', json.dumps("long " * 2000),
    "[]", "[null]", "[[]]", '["x",1]', "{}", '{"x":1}', '{"0":[]}',
    # deeper than the stack of CPython 3.14; others stop at 1,000
    "[" * 100_000 + "]" * 100_000, '{"x":' * 100_000 + "1" + "}" * 100_000,
    "nul", "[1", "",
)  # fmt: skip


def damaged(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield a description and the text of each variant of a value with a single damage.

    A part at any depth is replaced by each of TEXTS, removed, doubled, or one more is added; of
    a list the first and the last item.
    """
    for text in TEXTS:
        yield f"{place or 'all'} = {text[:20]}", text
    if isinstance(value, dict):
        parts = [(f"{json.dumps(key)}:", item) for key, item in value.items()]
        braces, more = "{}", '"more":null'
    elif isinstance(value, list):
        parts = [("", item) for item in value]
        braces, more = "[]", "null"
    else:
        return
    texts = [key + json.dumps(item) for key, item in parts]

    def joined(parts: list[str]) -> str:
        return braces[0] + ",".join(parts) + braces[1]

    yield f"{place} has one more", joined([*texts, more])
    every = range(len(parts))
    for i in every if isinstance(value, dict) else sorted({*every[:1], *every[-1:]}):
        key, item = parts[i]
        here = f"{place}.{key.strip(':') or i}"
        yield f"{here} is missing", joined(texts[:i] + texts[i + 1 :])
        yield f"{here} is there twice", joined([*texts, texts[i]])
        for what, text in damaged(item, here):
            yield what, joined([*texts[:i], key + text, *texts[i + 1 :]])
