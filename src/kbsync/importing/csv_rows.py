"""Rows of a CSV export; a column that stands several times becomes a list. Imports importing alone."""

from collections.abc import Sequence
from typing import BinaryIO

from kbsync.importing.csv_table import Cells, open_table
from kbsync.importing.decoding import is_undecoded
from kbsync.importing.records import Rejected
from kbsync.importing.rows import NOT_DECODED, OpenRows, Row


def read_csv_rows(stream: BinaryIO, encoding: str) -> OpenRows:
    """Yield every row that is not blank, with the number of its line counted from 1.

    Raises:
        UsageError: the header cannot be read.
    """
    with open_table(stream, encoding=encoding) as (header, rows):
        columns = [" ".join(name.split()) for name in header]
        names = {name.casefold(): name for name in reversed(columns) if name}
        for row in rows:
            yield row if isinstance(row, Rejected) else _row_of(row, columns, names)


def _row_of(row: Cells, columns: Sequence[str], names: dict[str, str]) -> Row | Rejected:
    if len(row.cells) < len(columns) or any(cell.strip() for cell in row.cells[len(columns) :]):
        return Rejected(
            row.line,
            f"{len(row.cells)} cells under {len(columns)} column names: cut off, or with stray delimiters",
        )
    if any(map(is_undecoded, row.cells)):
        return Rejected(row.line, NOT_DECODED)
    cells: dict[str, list[object]] = {}
    for name, cell in zip(columns, row.cells, strict=False):
        if name and cell.strip():
            cells.setdefault(name, []).append(cell)
    fields = {name: values[0] if len(values) == 1 else values for name, values in cells.items()}
    return Row(row.line, fields, names=names)
