"""CSV with a header line, read one row at a time; and the cell rules that our own export follows too.

Imports errors and importing alone. Invariant: every row that is not blank is yielded, accepted or rejected.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from kbsync.errors import UsageError
from kbsync.importing.decoding import MAX_LINE_CHARACTERS, decoded, is_undecoded
from kbsync.importing.records import Line, Rejected, check, parse_number

if TYPE_CHECKING:
    from _csv import Reader as _Reader

LIST_COLUMNS = frozenset({"tags", "affected_systems"})
JSON_LIST_COLUMNS = LIST_COLUMNS | {"cline_work.solution.steps", "cline_work.solution.code_changes"}
"""Columns whose cell may hold a JSON list: what our export writes where a plain list would not come back."""

_KNOWN_COLUMNS = (
    "incident_id", "sk", "status", "title", "description", "category", "severity", "priority", "external_id",
    "source_system", "source_url", "created_at", "updated_at", "resolved_at", "environment", "error_message",
    "language", "resolution", "cline_work", *LIST_COLUMNS,
)  # fmt: skip
"""The original's attributes: their names are also understood as `Incident ID` or `STATUS`."""

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # noqa: RUF001 - full-width signs start formulas too
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?")
_DELIMITERS = ",;\t|"
_EXCEL_DELIMITER = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)


def neutralise(text: str) -> str:
    """Return a cell that no spreadsheet runs as a formula: an apostrophe before all but numbers.

    `restore` undoes exactly this.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def restore(cell: str) -> str:
    """Return what `neutralise` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


class _Lines:
    """The lines of a text for the CSV reader; `ended` tells that it has asked for one after the last."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._first: list[str] = []
        self.read_count = 0
        self.ended = False

    def read_header(self) -> str:
        """Return the first line that says something, and give it to the CSV reader as its first."""
        line = self._line()
        while line and not line.strip("\ufeff\r\n"):
            line = self._line()
        self._first.append(line)
        return line

    def drop_header(self) -> None:
        self._first.clear()

    def __iter__(self) -> Iterator[str]:
        yield from self._first
        while line := self._line():
            yield line
        self.ended = True

    def _line(self) -> str:
        line = self._text.readline(MAX_LINE_CHARACTERS + 1)
        self.read_count += 1
        if len(line) > MAX_LINE_CHARACTERS:
            raise csv.Error(f"a line is longer than {MAX_LINE_CHARACTERS} characters")
        return line


@dataclass(frozen=True, slots=True)
class Cells:
    """One row of a table, and the number of its first line counted from 1."""

    line: int
    cells: list[str]


Table = tuple[list[str], Iterator[Cells | Rejected]]


@contextmanager
def open_table(stream: BinaryIO, *, encoding: str = "utf-8-sig") -> Iterator[Table]:
    """Open a CSV: its header, and every row below it that is not blank.

    The delimiter is the one that the header uses most, or the one that a first line `sep=;` names.
    A quotation mark that is never closed costs the rows after it, which is told as a rejection.

    Raises:
        UsageError: the header cannot be read.
    """
    csv.field_size_limit(MAX_LINE_CHARACTERS)
    with decoded(stream, newline="", encoding=encoding) as text:
        lines = _Lines(text)
        try:
            skipped, delimiter = _start(lines)
            rows = csv.reader(iter(lines), delimiter=delimiter)
            header = next(rows, [])
        except csv.Error as error:
            raise UsageError(f"the header cannot be read as CSV: {error}") from error
        yield header, _rows(lines, rows, skipped)


def _rows(lines: _Lines, rows: "_Reader", skipped: int) -> Iterator[Cells | Rejected]:
    line = rows.line_num + skipped + 1
    try:
        for cells in rows:
            if any(cell.strip() for cell in cells):
                yield _unclosed(line) if lines.ended else Cells(line, cells)
            line = rows.line_num + skipped + 1
    except csv.Error as error:
        yield Rejected(line, f"the rest of the file cannot be read as CSV: {error}")


def read_csv(stream: BinaryIO) -> Iterator[Line]:
    """Yield every row below the header, accepted or rejected, with the number of its line counted from 1.

    Raises:
        UsageError: the header cannot be an incident's.
    """
    with open_table(stream) as (cells, rows):
        header = _header(cells)
        for row in rows:
            yield row if isinstance(row, Rejected) else _read_row(row.line, header, row.cells)


def _start(lines: _Lines) -> tuple[int, str]:
    """Return how many lines stand before the header, and the delimiter."""
    header = lines.read_header()
    if named := _EXCEL_DELIMITER.fullmatch(header):
        lines.drop_header()
        lines.read_header()
        return lines.read_count - 1, named[1]
    unquoted = re.sub(r'"[^"]*"', "", header)
    return lines.read_count - 1, max(_DELIMITERS, key=unquoted.count)


def _unclosed(line: int) -> Rejected:
    return Rejected(line, "a quotation mark is never closed: the rest of the file was taken for this row")


def _header(cells: Sequence[str]) -> list[str]:
    written = [restore(cell.strip()) for cell in cells]
    names = [_known_name(name, written) for name in written]
    missing = [name for name in ("incident_id", "status") if name not in names]
    if missing:
        raise UsageError(
            f"the CSV header has no column {' and no column '.join(missing)}",
            hint="name the columns as the attributes: incident_id, status, title, resolution.description ... "
            "or, for an export of a ticket system, add --from auto",
        )
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        raise UsageError("the CSV header names a column twice", hint="give every column a name of its own")
    return names


def _known_name(name: str, written: Sequence[str]) -> str:
    """Return the attribute's own name where a column is another spelling of it and none has that name."""
    top, dot, rest = name.partition(".")
    plain = re.sub(r"[\s-]+", "_", top.strip()).lower()
    known = plain + dot + rest
    return known if plain in _KNOWN_COLUMNS and known not in written else name


def _read_row(line: int, header: Sequence[str], cells: Sequence[str]) -> Line:
    if any(cell.strip() for cell in cells[len(header) :]):
        return Rejected(line, f"{len(cells)} cells under {len(header)} column names")
    if any(map(is_undecoded, cells)):
        return Rejected(line, "not UTF-8: save the file as CSV UTF-8")
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
    within[last] = _value(name, restore(cell))
    return True


def _value(name: str, text: str) -> object:
    if name in JSON_LIST_COLUMNS and text.startswith("["):
        try:
            parsed = json.loads(text, parse_float=parse_number, parse_int=parse_number)
        except (ValueError, RecursionError):
            parsed = None
        if isinstance(parsed, list):
            return parsed
    return split_list(text) if name in LIST_COLUMNS else text


def split_list(value: str) -> list[str]:
    """Return the parts of a list cell: split at `;`, else at `|`, else at `,`."""
    sign = next((candidate for candidate in ";|" if candidate in value), ",")
    return [part.strip() for part in value.split(sign) if part.strip()]
