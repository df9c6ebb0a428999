# SPDX-License-Identifier: GPL-2.0-only
"""Rows as named columns, as pandas and polars take them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

MOST_EXACT = 1 << 53  # float64 has all integers up to it


class Exact(list[Any]):
    """A column that pandas must not turn into float64, which it does if an integer is unknown."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Return an array, of objects if no type is given; only numpy and its users call this."""
        import numpy as np  # noqa: PLC0415 - no requirement

        return np.array([*self], dtype=dtype)


def columns_of_rows(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    """Return equally long columns by name; None is an unknown value.

    Integers stay integers, except that pandas makes float64 of a column with unknown ones.  If
    float64 does not have all of them, pandas keeps the column as objects.
    """
    values = map(list, zip(*rows, strict=True))
    return {name: _column(next(values, [])) for name in names}


def _column(values: list[Any]) -> list[Any]:
    large = None in values and any(isinstance(v, int) and abs(v) > MOST_EXACT for v in values)
    return Exact(values) if large else values
