# SPDX-License-Identifier: GPL-2.0-only
"""Make the mutants of a C file in kernel style: each changes one place of its code.

Code are the bodies of functions, the tables of a file, and the values of its macros.  Not changed
are inline assembler, which is no C, and attributes and likely(), which only make code faster.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, permutations
from pathlib import Path

Key = tuple[str, ...]  # see exceptions.py
Replacement = tuple[int, int, str]  # from, to, and the new text
Swaps = dict[str, tuple[str, ...]]

# what a token becomes; a comparison is moved by one, and reversed
PAIRS = ["== !=", "&& ||", "++ --", "<< >>", "+= -=", "true false", "list_move list_move_tail"]
SWAPS: Swaps = {
    **{old: (new,) for pair in PAIRS for old, new in permutations(pair.split())},
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "*=": ("/=",),
    "/=": ("*=",),
    "|=": ("&=",),
    "%": ("/",),
    "^": ("|",),
    "?": ("|| 1 ?", "&& 0 ?"),
    "!": ("",),
    "~": ("",),
}
BINARY: Swaps = {"+": ("-",), "-": ("+",), "*": ("/",), "/": ("*",), "&": ("|",), "|": ("&",)}
UNARY: Swaps = {"-": ("",)}

STRING, CHAR = r'"(?:\\.|[^"\\\n])*"', r"'(?:\\.|[^'\\\n])+'"
DIRECTIVE = r"^[ \t]*#(?:\\\n|[^\n])*"
COMMENT = r"/\*.*?\*/|//[^\n]*"
HIDDEN = re.compile(f"({STRING}|{CHAR})|{COMMENT}|{DIRECTIVE}", re.DOTALL | re.MULTILINE)
COMMENTS = re.compile(f"({STRING}|{CHAR})|{COMMENT}", re.DOTALL)
BODY = re.compile(r"^\{$.*?^\}$", re.DOTALL | re.MULTILINE)  # kernel style: a function's braces
TABLE = re.compile(
    r"^(?:static|const)\b[^;{}()]*(?:\{[^{}]*\}[^;{}()]*)?=(.*?);$", re.DOTALL | re.M
)
# no flags that are only defined or not, no assembler; see the first lines for likely()
NO_MACRO = r"(?:_GNU_SOURCE|(?:un)?likely|PCPU_RSEQ_\w+)\b"
MACRO = re.compile(
    rf"^#define[ \t]+(?!{NO_MACRO})\w+(?:\([^)\n]*\))?"
    r"(?:[ \t]|\\\n)+([^\s\\](?:\\\n|[^\n])*)",
    re.MULTILINE,
)
ENUM = re.compile(r"\benum\s+\w*\s*\{(.*?)\}", re.DOTALL)
TOKEN = re.compile(
    rf"{STRING}|{CHAR}|[A-Za-z_]\w*|0x[0-9a-fA-F]+|\d+\.\d+|\d+"
    r"|<<=|>>=|->|\.\.\.|[-+*/%&|^<>=!]=|&&|\|\||\+\+|--|<<|>>|[^\s\\]"
)
CONTROL = {"if", "for", "while", "switch"}
NO_STATEMENT = CONTROL | {"else", "do", "case", "default", "goto", ";", "{", "}"}
NO_CALL = CONTROL | {"return", "sizeof", "offsetof", "container_of", "list_entry", "memcmp"}
OPEN, CLOSE = "([{", ")]}"
MOVED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
OPERAND_ENDS = {")", "&&", "||", "?", ":", ";", ","}


@dataclass(frozen=True)
class Token:
    """A token and its place in its file."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, order=True)
class Mutant:
    """One replacement in one file."""

    file: str
    start: int
    end: int
    new: str

    def apply(self) -> str:
        """Return the text of the whole file with the replacement made."""
        text = Path(self.file).read_text()
        return text[: self.start] + self.new + text[self.end :]

    def key(self) -> Key:
        """Return the file and the line before and after; several lines become one."""
        text = blank(COMMENTS, Path(self.file).read_text())
        begin = text.rfind("\n", 0, self.start) + 1
        end = text.find("\n", self.end)
        after = text[begin : self.start] + self.new + text[self.end : end]
        return self.file, " ".join(text[begin:end].split()), " ".join(after.split())

    def lines(self) -> range:
        """Return the numbers of the lines that change."""
        text = Path(self.file).read_text()
        first = text.count("\n", 0, self.start) + 1
        return range(first, first + text.count("\n", self.start, self.end) + 1)


def mutants_of(file: str) -> list[Mutant]:
    """Return all mutants of a file, in the order of the source."""
    text = Path(file).read_text()
    code = blank(HIDDEN, text)
    found: set[Replacement] = set()
    for body in BODY.finditer(code):
        tokens = tokens_of(code, *body.span())
        for i in range(1, len(tokens) - 1):
            found.update(token_mutants(tokens, i))
            found.update(condition_mutants(code, tokens, i))
            found.update(call_mutants(code, tokens, i))
            found.update(member_mutants(tokens, i))
        found.update(statement_mutants(tokens))
    for pattern, source in ((TABLE, code), (MACRO, blank(COMMENTS, text))):
        for match in pattern.finditer(source):
            tokens = [Token("=", 0, 0), *tokens_of(source, *match.span(1)), Token(";", 0, 0)]
            for i in range(1, len(tokens) - 1):
                found.update(token_mutants(tokens, i))
    return [Mutant(file, *replacement) for replacement in sorted(found)]


def blank(pattern: re.Pattern[str], text: str) -> str:
    """Return the text with what matches blank, except for group 1."""
    return pattern.sub(lambda m: m[1] or re.sub(r"\S", " ", m[0]), text)


def tokens_of(text: str, start: int, end: int) -> list[Token]:
    """Return the tokens of a part of the text, without attributes and inline assembler."""
    tokens = [Token(m[0], *m.span()) for m in TOKEN.finditer(text, start, end)]
    kept: list[Token] = []
    i = 0
    while i < len(tokens):
        if tokens[i].text in {"__asm__", "__attribute__"}:
            while tokens[i].text != "(":
                i += 1
            i = closing(tokens, i)
        else:
            kept.append(tokens[i])
        i += 1
    return kept


@cache
def enumerators() -> dict[str, str]:
    """Return for each enumerator of csrc/ the next one of its enum, for the last the first."""
    following: dict[str, str] = {}
    for file in sorted(Path("csrc").rglob("*.[ch]")):
        for enum in ENUM.finditer(blank(HIDDEN, file.read_text())):
            names = re.findall(r"(?:^|,)\s*(\w+)", enum[1])
            following.update(pairwise(names))
            following[names[-1]] = names[0]
    return following


def closing(tokens: list[Token], i: int) -> int:
    """Return the index of the bracket that closes the one at i."""
    depth = 0
    for j in range(i, len(tokens)):
        depth += (tokens[j].text in OPEN) - (tokens[j].text in CLOSE)
        if not depth:
            return j
    raise ValueError("a bracket is not closed")


def find(tokens: list[Token], i: int, text: str) -> int:
    """Return the index of the first token from i on with this text, outside parentheses."""
    while tokens[i].text != text:
        i = closing(tokens, i) + 1 if tokens[i].text == "(" else i + 1
    return i


def token_mutants(tokens: list[Token], i: int) -> Iterator[Replacement]:
    """Yield the replacements of one token."""
    token, text = tokens[i], tokens[i].text
    before = tokens[i - 1].text
    is_operand = re.match(r"[\w)\]]", before) and before != "return"
    if text == before == "!":
        return  # as without the first one
    if text == "*" and tokens[i + 1].text in {")", "*"}:
        return  # of a type
    if before == "[" and tokens[max(i - 4, 0)].text == "sizeof":
        return  # the size of any item
    news: Iterable[str] = SWAPS.get(text) or (BINARY if is_operand else UNARY).get(text, ())
    if text in MOVED and is_extreme(tokens, i):
        news = [new for new in news if new != MOVED[text]]
    if text.isdigit():
        number = int(text)
        others = dict.fromkeys((number + 1, number - 1, 0))
        if before in MOVED and tokens[i + 1].text in OPERAND_ENDS:
            # the same as the comparison moved by one
            others.pop(number + 1 if before in {"<", ">="} else number - 1, None)
        news = [str(new) for new in others if new != number]
    elif text.startswith("0x"):
        news = [hex(int(text, 16) + 1)]
    elif text[0] == '"' and len(text) > 2:
        news = ['""']
    elif text[0] == "'":
        news = ["' '" if text[1] == "\\" else f"'{chr(ord(text[1]) + 1)}'"]
    elif text in enumerators() and before != "case":
        news = {enumerators()[text]} - {text}
    for new in news:
        yield token.start, token.end, new


def is_extreme(tokens: list[Token], i: int) -> bool:
    """Return whether a comparison is that of a maximum or minimum: equal values are no case.

    These are `if (a > b) b = a;` and `a > b ? a : b`.
    """
    first, last = i, i + 1
    while tokens[first - 1].text not in {"(", "=", "return", ",", "{", "}", ";"}:
        first -= 1
    while tokens[last].text not in {")", "?", "&&", "||", ";"}:
        last = closing(tokens, last) + 1 if tokens[last].text in OPEN else last + 1
    left, right = ([t.text for t in part] for part in (tokens[first:i], tokens[i + 1 : last]))
    is_choice = tokens[last].text == "?"
    while tokens[last].text in {")", "?", "{"}:
        last += 1
    after = [t.text for t in tokens[last : last + len(left) + len(right) + 1]]
    middle = ":" if is_choice else "="
    return after in ([*left, middle, *right], [*right, middle, *left])


def condition_mutants(text: str, tokens: list[Token], i: int) -> Iterator[Replacement]:
    """Yield a plain condition negated, and the block after an `else` emptied."""
    token, following = tokens[i], tokens[i + 1]
    if token.text == "else" and following.text == "{":
        yield following.start, tokens[closing(tokens, i + 1)].end, "{ }"
    if token.text in {"if", "while"} and following.text == "(":
        last = tokens[closing(tokens, i + 1)]
        inside = text[following.end : last.start]
        # with an operator in it, it is turned round there
        if not re.search("[!<=>]", inside.replace("->", "")):
            yield following.end, last.start, f"!({inside})"


def call_mutants(text: str, tokens: list[Token], i: int) -> Iterator[Replacement]:
    """Yield neighbouring arguments exchanged, one in place of their maximum, a size less 1."""
    name, is_call = tokens[i].text, tokens[i + 1].text == "("
    if not is_call or not re.match(r"[A-Za-z_]", name):
        return
    last = closing(tokens, i + 1)
    if name == "sizeof" and tokens[i - 1].text != "/":
        whole = text[tokens[i].start : tokens[last].end]
        yield tokens[i].start, tokens[last].end, f"({whole} - 1)"
    if name in NO_CALL:
        return
    arguments = list(split(tokens, i + 2, last))
    texts = [text[start:end] for start, end in arguments]
    if name == "max":
        for one in texts:
            yield tokens[i].start, tokens[last].end, one
        return
    for (first, second), (one, other) in zip(pairwise(arguments), pairwise(texts), strict=True):
        between = text[first[1] : second[0]]
        if one != other:
            yield first[0], second[1], other + between + one


def split(tokens: list[Token], i: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each part of tokens[i:end] between commas."""
    first = i
    while i <= end:
        if i == end or tokens[i].text == ",":
            if i > first:
                yield tokens[first].start, tokens[i - 1].end
            first = i + 1
        i = closing(tokens, i) + 1 if i < end and tokens[i].text in OPEN else i + 1


def member_mutants(tokens: list[Token], i: int) -> Iterator[Replacement]:
    """Yield the value of a member left out of an initializer: it is 0 then."""
    if tokens[i].text != "." or tokens[i - 1].text not in "{," or tokens[i + 2].text != "=":
        return
    j = i
    while tokens[j].text not in {",", "}"}:
        j = closing(tokens, j) + 1 if tokens[j].text in OPEN else j + 1
    if j > i + 4 or tokens[i + 3].text not in {"0", "NULL", "false"}:
        yield tokens[i + 3].start, tokens[j - 1].end, "0"


def statement_mutants(tokens: list[Token]) -> Iterator[Replacement]:
    """Yield each statement left out, calls, assignments, jumps; and 0 returned."""
    i = 1
    while i < len(tokens):
        first = tokens[i].text
        if first in CONTROL:
            i = closing(tokens, i + 1) + 1
            continue
        if first in {"case", "default"}:
            i = find(tokens, i, ":")
        if first in NO_STATEMENT:
            i += 1
            continue
        end = find(tokens, i, ";")
        marks_unused = [token.text for token in tokens[i : i + 3]] == ["(", "void", ")"]
        if not is_declaration(tokens, i) and not marks_unused:
            yield tokens[i].start, tokens[end].end, ";"
        if first == "return" and end > i + 2:
            yield tokens[i + 1].start, tokens[end].start, "0"
        i = end + 1


def is_declaration(tokens: list[Token], i: int) -> bool:
    """Return whether a statement begins with `type name` or `type *name`."""
    first, second = tokens[i].text, tokens[i + 1].text
    is_name = re.match(r"[A-Za-z_]", first) is not None
    return is_name and first != "return" and (second == "*" or second[0].isalpha())
