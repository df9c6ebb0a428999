# SPDX-License-Identifier: GPL-2.0-only
"""Which chunk of one dump is which of another: the order of chunks changes all the time.

A chunk has no name, so its figures identify it: chunks are paired so that the sum of the
distances is the smallest.  The first and the reserved chunk have a mark of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from math import inf

from percpu_ffi.stats.dump import OWN_MARKS, Chunk

Pair = tuple[Chunk | None, Chunk | None]

MARK = 0.5  # distance of two marks
WEIGHTS = {"max_alloc_size": 4}  # it never falls in a chunk's life, and often stays; others: 1
# chunks to be compared with each other; more are split by size, as the time grows with the cube
MOST = 100


def paired(a: Sequence[Chunk], b: Sequence[Chunk]) -> list[Pair]:
    """Return the chunks in pairs, in the order of the first dump.

    Those that only the first dump has are with None, then follow those that only the second has.
    """
    left, right = dict(enumerate(a)), dict(enumerate(b))
    partner: dict[int, int] = {}
    for key in (_own_mark, _identity):
        partner |= _take_equal(left, right, key)
    lefts, rights = _ranked(left), _ranked(right)
    for start in range(0, len(lefts), MOST):
        some, others = lefts[start : start + MOST], rights[start : start + MOST]
        found = closest([[distance(a[i], b[j]) for j in others] for i in some])
        partner |= {some[row]: others[column] for row, column in found.items()}
    known = {*partner.values()}
    return [
        *((chunk, b[partner[i]] if i in partner else None) for i, chunk in enumerate(a)),
        *((None, chunk) for j, chunk in enumerate(b) if j not in known),
    ]


def distance(a: Chunk, b: Chunk) -> float:
    """Return how different two chunks are: the sum for all figures, and for the marks.

    That is 0 for two equal figures, up to their weight for others, and all of it for one that a
    chunk lacks.
    """
    total = MARK * (a.mark != b.mark)
    for name in a.fields.keys() | b.fields.keys():
        x, y = a.fields.get(name), b.fields.get(name)
        if x is None or y is None:
            total += WEIGHTS.get(name, 1)
        elif x != y:
            change = min(abs(x - y) / max(abs(x), abs(y)), 1)
            total += WEIGHTS.get(name, 1) * (1 + change) / 2
    return total


def closest(distances: Sequence[Sequence[float]]) -> dict[int, int]:
    """Return a column for each row, or a row for each column, with the smallest sum.

    Source: H. W. Kuhn, "The Hungarian Method for the Assignment Problem", 1955, with shortest
    augmenting paths (R. Jonker, A. Volgenant, 1987).

    Returns: row -> column.

    """
    if not distances:
        return {}
    columns = len(distances[0])
    if len(distances) > columns:
        transposed = [[row[column] for row in distances] for column in range(columns)]
        return {row: column for column, row in closest(transposed).items()}
    row_of = [-1] * columns
    row_price, price = [0.0] * len(distances), [0.0] * columns
    for start in range(len(distances)):
        # the shortest path from the new row to a column without a row
        row, visited = start, dict[int, None]()
        short, before = [inf] * columns, dict[int, int]()
        last = -1
        while row >= 0:
            for column in range(columns):
                if column not in visited:
                    length = distances[row][column] - row_price[row] - price[column]
                    if length < short[column]:
                        short[column], before[column] = length, last
            last = min((j for j in range(columns) if j not in visited), key=short.__getitem__)
            step = short[last]
            row_price[start] += step
            for column in visited:
                row_price[row_of[column]] += step
                price[column] -= step
            short = [length - step for length in short]
            visited[last] = None
            row = row_of[last]
        while last >= 0:
            previous = before[last]
            row_of[last] = start if previous < 0 else row_of[previous]
            last = previous
    return {row: column for column, row in enumerate(row_of) if row >= 0}


def _take_equal(
    left: dict[int, Chunk], right: dict[int, Chunk], key: Callable[[Chunk], Hashable]
) -> dict[int, int]:
    """Remove the chunks with equal keys from both sides, in order, and return their pairs."""
    waiting = defaultdict[Hashable, list[int]](list)
    for j, chunk in reversed(right.items()):
        waiting[key(chunk)].append(j)
    found = {
        i: waiting[key(chunk)].pop()
        for i, chunk in left.items()
        if key(chunk) and waiting[key(chunk)]
    }
    for i, j in found.items():
        del left[i], right[j]
    return found


def _own_mark(chunk: Chunk) -> str:
    return chunk.mark if chunk.mark in OWN_MARKS else ""


def _identity(chunk: Chunk) -> Hashable:
    return chunk.mark, frozenset(chunk.fields.items())


def _ranked(chunks: dict[int, Chunk]) -> list[int]:
    """Return their numbers, sorted by what changes little in a chunk's life."""
    names = ("max_alloc_size", "nr_alloc", "free_bytes")
    return sorted(chunks, key=lambda i: [chunks[i].fields.get(name, 0) for name in names])
