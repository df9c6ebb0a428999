# SPDX-License-Identifier: GPL-2.0-only
"""The C API from the comments of the headers, which have the form of kernel-doc.

``.. kernel-doc:: csrc/percpu.h`` with ``:about:`` shows the comment that opens the file, with
``:from: NAME`` and ``:to: NAME`` the declarations in between, ``NAME()`` for a function.  Sphinx's
C domain parses them: this file only finds each one with its comment, and turns that into reST.

Hawkmoth and linuxdoc are no choice: they skip enumerators, members and macros with a plain
comment at the end of their line, which is what these headers have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from textwrap import dedent, indent
from typing import TYPE_CHECKING, Any, NamedTuple

from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective
from sphinx.util.parsing import nested_parse_to_nodes

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

HEADERS = (
    "csrc/percpu.h",
    "csrc/percpu_hooks.h",
    "csrc/percpu_counter.h",
    "csrc/trace/percpu_trace.h",
)

BEFORE = r"(?:[ \t]*/\*(?P<before>(?:(?!\*/).)*)\*/\n)?[ \t]*"
AFTER = r"(?:[ \t]*/\*(?P<after>(?:(?!\*/).)*)\*/)?"
ABOUT = re.compile(r"^/\*\n \* \w+\.h - (.*?)\*/", flags=re.S | re.M)
DECLARATION = re.compile(
    rf"^{BEFORE}(?:(?P<head>\#define[ ](?P<macro>PCPU_\w+)\s)(?:\\\n|[^\n/])+"
    r"|(?P<kind>enum|struct)[ ](?P<tag>\w+)[ ]\{\n(?P<body>.*?)^\};"
    r"|struct[ ](?P<opaque>\w+);(?=[ \t]*/\*)"
    rf"|(?P<function>[a-z][^;{{}}\#/]*?\b(?P<name>\w+)\([^;{{}}]*\));){AFTER}",
    flags=re.S | re.M,
)
MEMBER = {
    "struct": re.compile(rf"^{BEFORE}(?P<text>[a-z][^;/]*;){AFTER}$", flags=re.S | re.M),
    "enum": re.compile(rf"^{BEFORE}(?P<text>[A-Z]\w+[^,/\n]*),?{AFTER}$", flags=re.S | re.M),
}

NAME = re.compile(r"\(\*(\w+)\)|(\w+)(?:\[\w+\])?(?: = .*)?$")
ARGUMENT = re.compile(r"^@(\w+): (.*(?:\n(?!@|\n).*)*)\n?", flags=re.M)
RETURN = re.compile(r"^Return: (.*(?:\n.+)*)", flags=re.M)
TABLE = re.compile(r"((?:^\t.*\n)+)", flags=re.M)
HEADING = re.compile(r"^(?:enum |struct )?\w+ - ")
# what a comment refers to, and what reST would take for markup
REFERENCE = re.compile(
    r"@(?P<argument>\w+)|(?P<function>\w+)\(\)|(?:struct|enum) (?P<type>pcpu_\w+)"
    r"|(?P<member>\bpcpu_\w+\.\w+)|(?P<constant>\b[A-Z]+_[A-Z0-9_]*[A-Z0-9]\b)"
    r"|(?P<label>\b(?:Threads|Cost):)(?= )|(?P<markup>[\\*`|_]|^[-+](?= ))",
    flags=re.M,
)


class Declaration(NamedTuple):
    """A declaration at the top level of a header, or a member of one."""

    kind: str  # the directive of the C domain
    name: str
    text: str  # as the directive takes it
    comment: str
    body: str = ""  # of an enum or a struct


@cache
def declarations(path: Path) -> list[Declaration]:
    """Return the declarations of a header, in order."""
    found = []
    for match in DECLARATION.finditer(path.read_text(encoding="utf-8")):
        comment = "\n\n".join(clean(match[part]) for part in ("after", "before") if match[part])
        if match["macro"]:
            found.append(Declaration("macro", match["macro"], match["macro"], comment))
        elif match["function"]:
            text = " ".join(match["function"].split())
            found.append(Declaration("function", match["name"], text, comment))
        else:
            name = match["tag"] or match["opaque"]
            kind = match["kind"] or "struct"
            found.append(Declaration(kind, name, name, comment, match["body"] or ""))
    return found


def members(of: Declaration) -> Iterator[Declaration | str]:
    """Yield the members of a struct or enum, and the remarks between them.

    A comment above a member that has its own is a remark on those that follow.  One for several,
    as in percpu_hooks.h, has a line ``@name:`` for each.
    """
    named: dict[str, str] = {}
    kind = {"struct": "member", "enum": "enumerator"}[of.kind]
    for match in MEMBER[of.kind].finditer(of.body):
        text = " ".join(match["text"].rstrip(";").split())
        name = "".join(NAME.findall(text)[0])
        before, after = (clean(match[part] or "") for part in ("before", "after"))
        arguments = dict(ARGUMENT.findall(before))
        named |= arguments
        if before and after:
            yield before
        elif name in arguments:
            after = f"{named[name]}\n{ARGUMENT.sub('', before)}"
        yield Declaration(kind, name, text, after or named.get(name, before))


def clean(comment: str) -> str:
    """Remove the stars and the indentation of a comment."""
    lines = []
    for line in comment.removeprefix("*").split("\n"):
        starred = re.match(r"\s*\*(?: |(?=\t)|$)", line)
        lines.append(line[starred.end() :].rstrip() if starred else line.strip())
    return "\n".join(lines).strip("\n ")


@cache
def roles(root: Path) -> dict[str, str]:
    """Return the role by which reST refers to each name of the headers."""
    return roles_of([item for header in HEADERS for item in declarations(root / header)])


def roles_of(found: list[Declaration]) -> dict[str, str]:
    """Return the role of each name of the declarations."""
    tags = {item.name for item in found if item.kind in MEMBER}
    roles = {}
    for item in found:
        if item.kind == "function":
            roles[f"{item.name}()"] = "ref" if item.name in tags else "c:func"
        else:
            roles[item.name] = f"c:{item.kind}"
        for member in members(item) if item.kind in MEMBER else ():
            if isinstance(member, Declaration):
                prefix = "" if item.kind == "enum" else f"{item.name}."
                roles[prefix + member.name] = f"c:{member.kind}"
    return roles


def to_rest(comment: str, known: dict[str, str]) -> str:
    """Return a comment as reST: tables as they are, references as links."""
    parts = []
    for part in TABLE.split(comment + "\n"):
        if part.startswith("\t"):
            parts.append(f"\n.. code-block:: none\n\n{indent(dedent(part.expandtabs(8)), '   ')}\n")
        else:
            parts.append(REFERENCE.sub(lambda match: reference(match, known), part))
    return "".join(parts)


def reference(match: re.Match[str], known: dict[str, str]) -> str:
    """Return the markup for what a comment refers to."""
    kind, text = match.lastgroup or "", match[0]
    if kind == "markup":
        return f"\\{text}"
    if kind == "label":
        return f"**{text}**"
    if kind == "argument":
        return f"*{match[kind]}*"
    name = text if kind == "function" else match[kind]
    role = known.get(name)
    if not role:
        return f"``{text}``"
    target = name if role == "ref" else name.removesuffix("()")
    return f":{role}:`{text} <{target}>`"


def directive(item: Declaration, known: dict[str, str]) -> str:
    """Return the directive that documents a declaration, with its members."""
    fields = {f"param {name}": text for name, text in ARGUMENT.findall(item.comment)}
    if found := RETURN.search(item.comment):
        fields["returns"] = found[1]
    comment = RETURN.sub("", ARGUMENT.sub("", item.comment))
    if item.kind not in ("member", "enumerator"):
        title, *rest = HEADING.sub("", comment).split("\n\n", 1)
        comment = "\n\n".join([sentence(title), *rest])
    parts = [
        ":no-contents-entry:" * (item.kind in ("member", "enumerator")),
        to_rest(comment, known),
        *(f":{name}: {to_rest(' '.join(text.split()), known)}" for name, text in fields.items()),
    ]
    for member in members(item) if item.kind in MEMBER else ():
        if isinstance(member, Declaration):
            parts.append(directive(member, known))
        else:
            parts.append(to_rest(sentence(member, ":"), known))
    # the domain has one name for a struct and a function, so the function gets a label
    label = f"{item.name}()" if known.get(f"{item.name}()") == "ref" else ""
    head = f".. _{label}:\n\n" if label and item.kind == "function" else ""
    content = indent("\n\n".join(parts), "   ")
    return f"{head}.. c:{item.kind}:: {item.text}\n{content}\n"


def sentence(text: str, end: str = ".") -> str:
    """Return a phrase with a capital letter and an end."""
    return text[:1].upper() + text[1:].rstrip() + end * (text.rstrip()[-1:] not in ".:?!")


class KernelDoc(SphinxDirective):
    """``.. kernel-doc:: HEADER``."""

    required_arguments = 1
    option_spec = {  # noqa: RUF012 - as in docutils
        "about": directives.flag,
        "from": directives.unchanged_required,
        "to": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """Return what Sphinx makes of the directives of a header."""
        root = Path(self.env.srcdir)
        path = root / self.arguments[0]
        self.env.note_dependency(path)
        known = roles(root)
        if "about" in self.options:
            about = ABOUT.search(path.read_text(encoding="utf-8"))
            if not about:
                raise self.error(f"{path.name} does not begin with a comment about the file")
            rest = to_rest(sentence(clean(about[1])), known)
        else:
            found = declarations(path)
            names = [f"{item.name}()" * (item.kind == "function") or item.name for item in found]
            first, last = self.options["from"], self.options["to"]
            if first not in names or last not in names:
                raise self.error(f"{path.name} has no {first!r}, or no {last!r}")
            chosen = found[names.index(first) : names.index(last) + 1]
            rest = "\n".join(directive(item, known) for item in chosen)
        lines = StringList(rest.splitlines(), source=str(path))
        return nested_parse_to_nodes(self.state, lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive to Sphinx."""
    app.add_directive("kernel-doc", KernelDoc)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
