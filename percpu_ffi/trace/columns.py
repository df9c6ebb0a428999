# SPDX-License-Identifier: GPL-2.0-only
"""The operations of a trace as named columns, for libraries of data frames."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from percpu_ffi.trace.operations import BALANCE, FAULT, FLAGS, FREE, NO_INDEX

if TYPE_CHECKING:
    from percpu_ffi.trace.operations import Column, Kind, Operations

NO_CODE = -1  # as a code: there is no text
OPERATIONS = ["alloc", "free", "inject", "balance"]
SPECIAL = {FREE: 1, FAULT: 2, BALANCE: 3}  # kinds to indices of OPERATIONS

# columns of a recording: name here -> name in Operations.columns
RECORDED = {"time": "times", "chunk": "chunks", "offset": "offsets", "cpu": "cpus"}


class Columns(Mapping[str, memoryview]):
    """Columns by name; each is contiguous, read only, and has an item for each operation.

    ``kind``, ``key``, ``size``, ``align``; of recordings also ``site``, ``gfp``, ``atomic``,
    ``reserved``, ``bytes_alloc``, ``time``, ``chunk``, ``base``, ``offset``, ``cpu``, ``task``,
    ``pid``, ``stack``, each only if the recording has it.

    Columns of texts have codes: signed 32-bit indices of a list that :meth:`texts` returns, -1
    where there is none, as ``pandas.Categorical.from_codes()`` takes them.  In the others an
    unknown item has all bits set.  A size of 0 is that of an operation that requests none.
    """

    def __init__(self, operations: Operations) -> None:
        """Name the columns of a trace; each is made when it is used for the first time."""
        self._operations = operations
        self._made: dict[str, Column] = {}
        self._texts: dict[str, list[str]] = {}
        self._makers = dict(self._find_makers())

    def __getitem__(self, name: str) -> memoryview:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return memoryview(self._made[name]).toreadonly()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __repr__(self) -> str:
        return f"<Columns of {len(self._operations):,} operations: {', '.join(self)}>"

    def texts(self, name: str) -> list[str]:
        """Return the texts of a column of codes.

        Raises:
            KeyError: there is no such column, or it has no codes.

        """
        self[name]
        return self._texts[name]

    def _find_makers(self) -> Iterator[tuple[str, Callable[[], Column]]]:
        data = self._operations
        kinds, tables = data.tables.kinds, data.tables
        yield "kind", self._kinds
        yield "key", lambda: array("Q", memoryview(data.ops).cast("Q")[::2])
        yield "size", lambda: self._of_requests("q", lambda kind: kind.size)
        yield "align", lambda: self._of_requests("q", lambda kind: kind.align)
        if any(kind.site for kind in kinds):
            yield "site", lambda: self._codes("site", [kind.site for kind in kinds])
        if any(kind.gfp for kind in kinds):
            yield "gfp", lambda: self._codes("gfp", [kind.gfp for kind in kinds])
        if data.flags_known:
            for flag in FLAGS:
                yield flag, partial(self._of_requests, "B", partial(_has, flag))
        if any(kind.bytes_alloc for kind in kinds):
            yield "bytes_alloc", lambda: self._of_requests("q", lambda kind: kind.bytes_alloc)
        for name, recorded in RECORDED.items():
            if recorded in data.columns:
                yield name, partial(self._recorded, recorded)
        if any(tables.bases) and "chunks" in data.columns:
            yield "base", lambda: self._looked_up("Q", "chunks", tables.bases)
        if "tasks" in data.columns:
            yield "task", self._tasks
            yield "pid", lambda: self._looked_up("I", "tasks", [pid for _, pid in tables.tasks])
        if "stacks" in data.columns:
            yield "stack", self._stacks

    def _kind_column(self) -> list[int]:
        return memoryview(self._operations.ops).cast("I")[3::4].tolist()

    def _recorded(self, name: str) -> Column:
        return self._operations.columns[name]

    def _kinds(self) -> array[int]:
        self._texts["kind"] = OPERATIONS
        return array("i", (SPECIAL.get(kind, 0) for kind in self._kind_column()))

    def _of_requests(self, code: str, value_of: Callable[[Kind], int]) -> array[int]:
        """Return a property of the requests, 0 for other operations."""
        values = dict(enumerate(map(value_of, self._operations.tables.kinds)))
        return array(code, (values.get(kind, 0) for kind in self._kind_column()))

    def _codes(self, name: str, texts: list[str]) -> array[int]:
        """Return codes of a text of the requests."""
        codes = dict(enumerate(self._unique(name, texts)))
        return array("i", (codes.get(kind, NO_CODE) for kind in self._kind_column()))

    def _tasks(self) -> array[int]:
        tables = self._operations.tables
        self._texts["task"] = tables.names
        names = {**dict(enumerate(name for name, _ in tables.tasks)), NO_INDEX: NO_CODE}
        return array("i", map(names.__getitem__, self._operations.columns["tasks"]))

    def _stacks(self) -> memoryview:
        self._texts["stack"] = self._operations.tables.stacks
        return memoryview(self._operations.columns["stacks"]).cast("B").cast("i")

    def _unique(self, name: str, texts: Iterable[str]) -> list[int]:
        """Keep the texts of a column, each once, and return the code of each."""
        codes: dict[str, int] = {}
        found = [codes.setdefault(text, len(codes)) if text else NO_CODE for text in texts]
        self._texts[name] = [*codes]
        return found

    def _looked_up(self, code: str, name: str, values: list[int]) -> array[int]:
        """Return values by the indices of a column; unknown ones have all bits set."""
        unknown = (1 << 8 * array(code).itemsize) - 1
        found = {**dict(enumerate(values)), NO_INDEX: unknown}
        return array(code, map(found.__getitem__, self._operations.columns[name]))


def _has(flag: str, kind: Kind) -> bool:
    return flag in kind.flags
