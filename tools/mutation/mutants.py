# SPDX-License-Identifier: GPL-2.0-only
"""The mutants of a Python file: mutmut's operators, and some that it lacks.

mutmut replaces numbers, operators, comparisons, keywords, values, arguments and machine-readable
strings.  OWN adds conditions negated, statements left out, results dropped, handlers that catch
nothing, slices without a bound, and calls of built-in functions replaced by their opposites.

Not mutated, since no test should depend on it:

- text for people: a string with a blank in it, unless it is raw, and the argument that it is;
  what an f-string computes is mutated.  Of other strings one variant counts, not three;
- types: annotations, aliases, the first argument of cast(), ``if TYPE_CHECKING``;
- imports, ``__all__`` and its like, and the arguments of decorators, as in mutmut;
- what only raises TypeError: the arguments of len() and isinstance(), a positional argument left
  out before the last one, except for functions that take any number;
- zip(strict=...), which like an assertion matters only after another mistake;
- None replaced by "", which mypy rejects.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation import mutators

Key = tuple[str, ...]  # as in exceptions.py
Replacement = tuple[cst.CSTNode, str]  # a node, and the text in its place
Operators = list[tuple[Any, Callable[[Any], Iterator[Replacement]]]]

OPPOSITES = {"min": "max", "max": "min", "any": "all", "all": "any"}
UNWRAPPED = {"sorted": "list", "reversed": "", "abs": ""}
VARIADIC = m.Name("max") | m.Name("min") | m.Name("range") | m.Name("zip")
NEGATED = m.ComparisonTarget(
    operator=m.Equal() | m.NotEqual() | m.Is() | m.IsNot() | m.In() | m.NotIn()
)
PASSED = m.Expr(value=m.Call() | m.Yield()) | m.Raise() | m.Del() | m.Assert()

TYPES = m.Subscript() | m.BinaryOperation(operator=m.BitOr(), right=m.Name() | m.Subscript())
HIDDEN = (
    m.Annotation()
    | m.Decorator()
    | m.Import()
    | m.ImportFrom()
    | m.Expr(value=m.SimpleString())
    | m.Arg(keyword=m.Name("strict"))
    | m.If(test=m.Name("TYPE_CHECKING"))
    | m.Assign(targets=[m.AssignTarget(target=m.Name(value=m.MatchRegex("__.*__")))])
    | m.Assign(value=m.Call(func=m.Name("TypeVar")))
    | m.Arg(keyword=m.Name("strict"))
)


@dataclass(frozen=True)
class Mutant:
    """One replacement in one file."""

    file: str
    number: int  # among the mutants of the file
    start: int  # offset of the replaced text
    end: int
    new: str
    lines: range  # of the statement; a test that runs none of them cannot notice
    function: tuple[str, int] | None  # whose body it is in, and its first line

    def apply(self) -> str:
        """Return the text of the whole file with the replacement made."""
        text = Path(self.file).read_text()
        return text[: self.start] + self.new + text[self.end :]

    def key(self) -> Key:
        """Return the file and the lines before and after, each as one line."""
        old, new = Path(self.file).read_text().splitlines(), self.apply().splitlines()
        first = _common(old, new)
        last = _common(old[:first:-1], new[:first:-1])
        while not old[first : len(old) - last] or not new[first : len(new) - last]:
            first -= 1  # whole lines are gone: with the line before them
        sides = (lines[first : len(lines) - last] for lines in (old, new))
        return self.file, *(" ".join(" ".join(side).split()) for side in sides)

    def line(self) -> int:
        """Return the number of the line."""
        return Path(self.file).read_text().count("\n", 0, self.start) + 1


def _common(one: list[str], other: list[str]) -> int:
    """Return how many lines two texts have in common at their start."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


# --- operators


def _negated(node: cst.If | cst.While | cst.CompIf) -> Iterator[Replacement]:
    test = node.test
    if not m.matches(
        test, m.UnaryOperation(operator=m.Not()) | m.Comparison(comparisons=[NEGATED])
    ):
        yield test, f"not ({_code(test)})"


def _left_out(node: cst.CSTNode) -> Iterator[Replacement]:
    if m.matches(node, PASSED):
        yield node, "pass"


def _no_result(node: cst.Return) -> Iterator[Replacement]:
    if node.value and not m.matches(node.value, m.Name("None")):
        yield node, "return None"


def _catches_nothing(node: cst.ExceptHandler) -> Iterator[Replacement]:
    if node.type:
        yield node.type, "()"


def _no_bound(node: cst.Slice) -> Iterator[Replacement]:
    for bound in (node.lower, node.upper):
        if bound:
            yield bound, ""


def _never_matches(node: cst.MatchCase) -> Iterator[Replacement]:
    if not node.guard:
        yield node.pattern, "-1j"  # equal to nothing; a guard cannot stand inside parentheses


def _other_call(node: cst.Call) -> Iterator[Replacement]:
    if isinstance(node.func, cst.Name) and node.args:
        if node.func.value in OPPOSITES:
            yield node.func, OPPOSITES[node.func.value]
        if node.func.value in UNWRAPPED:
            yield node, f"{UNWRAPPED[node.func.value]}({_code(node.args[0].value)})"


def _arguments(node: cst.Call) -> Iterator[Replacement]:
    """Apply mutmut's operator, except to text, types, and where only a TypeError can follow."""
    if m.matches(node.func, m.Name("len") | m.Name("isinstance")):
        return
    places = [arg for arg in node.args if not arg.keyword]
    for new in mutators.operator_arg_removal(node):
        [touched] = (arg for arg in node.args if arg not in new.args)
        if _is_prose(touched.value) or m.matches(touched, HIDDEN):
            continue
        if m.matches(node.func, m.Name("cast")) and touched is node.args[0]:
            continue
        is_gone = len(new.args) < len(node.args)
        if is_gone and touched in places[:-1] and not m.matches(node.func, VARIADIC):
            continue
        yield node, _code(new, node)


def _assignment(node: cst.Assign | cst.AnnAssign) -> Iterator[Replacement]:
    if not m.matches(node, m.Assign(value=m.Name("None")) | m.AnnAssign(value=m.Name("None"))):
        for new in mutators.operator_assignment(node):
            yield node, _code(new)


def _string(node: cst.SimpleString) -> Iterator[Replacement]:
    if not _is_prose(node):
        for new in itertools.islice(mutators.operator_string(node), 1):
            yield node, _code(new, node)


def _from_mutmut(operator: Any) -> Callable[[Any], Iterator[Replacement]]:
    def replace(node: cst.CSTNode) -> Iterator[Replacement]:
        for new in operator(node):
            yield node, _code(new, node)

    return replace


REPLACED: dict[Any, Callable[[Any], Iterator[Replacement]]] = {
    mutators.operator_arg_removal: _arguments,
    mutators.operator_assignment: _assignment,
    mutators.operator_string: _string,
}
OWN: Operators = [
    (cst.If, _negated),
    (cst.While, _negated),
    (cst.CompIf, _negated),
    (cst.BaseSmallStatement, _left_out),
    (cst.Return, _no_result),
    (cst.ExceptHandler, _catches_nothing),
    (cst.MatchCase, _never_matches),
    (cst.Slice, _no_bound),
    (cst.Call, _other_call),
]
OPERATORS: Operators = [
    *(
        (kind, REPLACED.get(operator) or _from_mutmut(operator))
        for kind, operator in mutators.mutation_operators
        if operator is not mutators.operator_match  # as _never_matches()
    ),
    *OWN,
]


# --- where they apply


def mutants_of(file: str) -> list[Mutant]:
    """Return all mutants of a file, in the order of the source."""
    text = Path(file).read_text()
    wrapper = MetadataWrapper(cst.parse_module(text))
    spans = wrapper.resolve(PositionProvider)
    lines = list(itertools.accumulate(map(len, text.splitlines(keepends=True)), initial=0))
    found: dict[tuple[int, int, str], Mutant] = {}
    for old, new, statement, function in _replacements(wrapper.module, None, None):
        span, whole = spans[old], spans[statement]
        start = lines[span.start.line - 1] + span.start.column
        end = lines[span.end.line - 1] + span.end.column
        blank = " " if text[start].isspace() else ""
        if text[start:end] == blank + new:
            continue
        inside = (function.name.value, _first_line(function, spans)) if function else None
        reach = range(whole.start.line, whole.end.line + 1)
        mutant = Mutant(file, 0, start, end, blank + new, reach, inside)
        found.setdefault((start, end, new), mutant)
    ordered = sorted(found.values(), key=lambda mutant: (mutant.start, mutant.end, mutant.new))
    return [Mutant(**{**vars(mutant), "number": i}) for i, mutant in enumerate(ordered)]


def _replacements(
    node: cst.CSTNode, statement: cst.CSTNode | None, function: cst.FunctionDef | None
) -> Iterator[tuple[cst.CSTNode, str, cst.CSTNode, cst.FunctionDef | None]]:
    """Yield node, text, statement or head of a statement, outermost function around it."""
    if m.matches(node, HIDDEN) or (not function and _is_alias(node)):
        return
    for kind, operator in OPERATORS:
        if isinstance(node, kind):
            for old, new in operator(node):
                yield old, new, statement or old, function
    for child in node.children:
        inner, around = statement, function
        if isinstance(node, cst.BaseSuite | cst.Module | cst.SimpleStatementLine):
            inner = None
        elif inner is None or isinstance(node, cst.BaseCompoundStatement):
            inner = child if isinstance(node, cst.BaseCompoundStatement) else node
        if isinstance(node, cst.FunctionDef) and child is node.body:
            around = function or node
        yield from _replacements(child, inner, around)


def _is_alias(node: cst.CSTNode) -> bool:
    """Return whether a statement gives a type a name."""
    return m.matches(
        node, m.Assign(value=TYPES) | m.AnnAssign(annotation=m.Annotation(m.Name("TypeAlias")))
    )


def _is_prose(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.SimpleString):
        return " " in node.value and "r" not in node.prefix
    if isinstance(node, cst.FormattedString):
        return any(isinstance(p, cst.FormattedStringText) and " " in p.value for p in node.parts)
    return isinstance(node, cst.ConcatenatedString) and (
        _is_prose(node.left) or _is_prose(node.right)
    )


def _first_line(function: cst.FunctionDef, spans: Any) -> int:
    """Return the line that a function's code begins with: that of its first decorator."""
    first = function.decorators[0] if function.decorators else function
    line: int = spans[first].start.line
    return line


def _code(new: cst.CSTNode, old: cst.CSTNode | None = None) -> str:
    """Return the text of a node, without parentheses that the span of the old one excludes."""
    old = old or new
    if isinstance(old, cst.BaseExpression) and old.lpar:
        new = new.with_changes(lpar=[], rpar=[])
    return cst.Module([]).code_for_node(new).strip()
