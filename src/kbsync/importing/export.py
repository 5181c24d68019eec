"""Incidents as JSON Lines (lossless) or CSV (for spreadsheets; formulas neutralised).

Imports the model and importing. Invariant: `import` gives back what was written, in CSV as texts and lists.
"""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TextIO

from kbsync.importing.csv_table import LIST_COLUMNS, neutralise, split_list
from kbsync.importing.records import is_encodable
from kbsync.importing.typed import encode, is_plain
from kbsync.model import SYNC_STATUS, Attributes

_FIRST_COLUMNS = ("incident_id", "status", "title")


def json_line(attributes: Attributes) -> str:
    """Return an incident as one line that `import` reads back unchanged, in DynamoDB's JSON if need be.

    Plain characters where UTF-8 can hold them, escapes for a line with an unpaired surrogate.
    """
    item = attributes if is_plain(attributes) else {"Item": encode(attributes)}
    text = _to_json(item, escaped=False)
    return text if is_encodable(text) else _to_json(item, escaped=True)


def _to_json(value: object, *, escaped: bool) -> str:
    if isinstance(value, Mapping):
        parts = (
            f"{json.dumps(name, ensure_ascii=escaped)}: {_to_json(part, escaped=escaped)}"
            for name, part in value.items()
        )
        return "{" + ", ".join(parts) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_to_json(part, escaped=escaped) for part in value) + "]"
    if isinstance(value, Decimal):
        return str(value)
    return json.dumps(value, ensure_ascii=escaped)


def write_csv(read_all: Callable[[], Iterable[Attributes]], out: TextIO) -> int:
    """Write all incidents as CSV and return how many; reads them twice, first for the columns.

    Maps become dotted columns, tags and affected systems lists with `;`, other lists JSON. `kb_sync_status`
    is left out. Open `out` with `newline=""`.
    """
    columns = dict.fromkeys(_FIRST_COLUMNS)
    for attributes in read_all():
        columns |= dict.fromkeys(_flatten(attributes))
    rows = csv.DictWriter(out, list(columns), restval="")
    rows.writerow({name: neutralise(_encodable(name)) for name in columns})
    count = 0
    for attributes in read_all():
        rows.writerow({name: neutralise(_encodable(cell)) for name, cell in _flatten(attributes).items()})
        count += 1
    return count


def _encodable(text: str) -> str:
    return (
        text.encode("utf-8", "surrogatepass").decode("utf-8", "replace") if not is_encodable(text) else text
    )


def _flatten(attributes: Attributes, prefix: str = "") -> dict[str, str]:
    cells: dict[str, str] = {}
    for name, value in attributes.items():
        column = f"{prefix}{name}"
        if column == SYNC_STATUS:
            continue
        if isinstance(value, Mapping):
            cells |= _flatten(value, f"{column}.")
        elif value is not None:
            cells[column] = _cell(column, value)
    return cells


def _cell(column: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if column in LIST_COLUMNS and isinstance(value, list | tuple | set | frozenset):
        members = sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
        joined = ";".join(map(str, members))
        if not joined.startswith("[") and split_list(joined) == members:
            return joined
        value = members
    if is_plain(value):
        return _to_json(value, escaped=False)
    return _to_json(next(iter(encode({"": value}).values())), escaped=False)
