"""CSV with a header line, read one row at a time; and the cell rules that our own export follows too."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from kbsync.errors import UsageError
from kbsync.importing.records import MAX_LINE_BYTES, Line, Rejected, check

LIST_COLUMNS = frozenset({"tags", "affected_systems"})

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?")
_DELIMITERS = ",;\t|"
_HEADER_CHARACTERS = 64 * 1024


def neutralise(text: str) -> str:
    """Return a cell that no spreadsheet runs as a formula: an apostrophe before all but numbers.

    `restore` undoes exactly this.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def restore(cell: str) -> str:
    """Return what `neutralise` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def read_csv(stream: BinaryIO) -> Iterator[Line]:
    """Yield every row below the header, accepted or rejected, with the number of the line it begins on.

    Raises UsageError where the header cannot be an incident's.
    """
    csv.field_size_limit(MAX_LINE_BYTES)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    start = text.readline(_HEADER_CHARACTERS)
    rows = csv.reader(_continue(start, text), delimiter=_delimiter(start))
    header = _header(next(rows, []))
    line = rows.line_num + 1
    try:
        for cells in rows:
            if any(cell.strip() for cell in cells):
                yield _read_row(line, header, cells)
            line = rows.line_num + 1
    except csv.Error as error:
        yield Rejected(line, f"the rest of the file cannot be read as CSV: {error}")
    text.detach()


def _continue(start: str, text: io.TextIOWrapper) -> Iterator[str]:
    yield start
    yield from text


def _delimiter(header: str) -> str:
    unquoted = re.sub(r'"[^"]*"', "", header)
    return max(_DELIMITERS, key=unquoted.count)


def _header(cells: Sequence[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    missing = [name for name in ("incident_id", "status") if name not in names]
    if missing:
        raise UsageError(
            f"the CSV header has no column {' and no column '.join(missing)}",
            hint="name the columns as the attributes: incident_id, status, title, resolution.description ...",
        )
    if len(set(names)) < len(names):
        raise UsageError("the CSV header names a column twice", hint="give every column a name of its own")
    return names


def _read_row(line: int, header: Sequence[str], cells: Sequence[str]) -> Line:
    if len(cells) > len(header):
        return Rejected(line, f"{len(cells)} cells under {len(header)} column names")
    if any("\udc80" <= character <= "\udcff" for cell in cells for character in cell):
        return Rejected(line, "not UTF-8")
    attributes: dict[str, object] = {}
    for name, cell in zip(header, cells, strict=False):
        if name and cell.strip() and not _place(attributes, name, cell):
            return Rejected(line, "a column and its dotted name are both filled")
    return check(line, attributes)


def _place(attributes: dict[str, object], name: str, cell: str) -> bool:
    *parents, last = name.split(".")
    within = attributes
    for parent in parents:
        inner = within.setdefault(parent, {})
        if not isinstance(inner, dict):
            return False
        within = inner
    if last in within:
        return False
    value = restore(cell)
    within[last] = split_list(value) if name in LIST_COLUMNS else value
    return True


def split_list(value: str) -> list[str]:
    """Return the parts of a list cell: split at `;`, else at `|`, else at `,`."""
    sign = next((candidate for candidate in ";|" if candidate in value), ",")
    return [part.strip() for part in value.split(sign) if part.strip()]
