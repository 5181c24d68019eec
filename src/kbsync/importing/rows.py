"""One record of an export as its system wrote it, before any mapping. Imports nothing but records.

Invariant: a reader yields every record of its file as a `Row` or a `Rejected`; what it cannot reach any more
after damage is one rejection that says so.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from kbsync.importing.records import Rejected

MAX_RECORD_CHARACTERS = 16 * 1024 * 1024
"""Well over DynamoDB's largest item (400 KB), so that a broken file cannot fill the memory."""

MAX_LEVELS = 100
"""Of nesting in a record of an export; Jira's deepest documents have about thirty."""

UNDECODED = "\ufdd0"
"""Stands where bytes were that the encoding does not know: a code point that no text holds."""

NOT_DECODED = (
    "holds bytes that are not in the file's encoding: name it in `encoding` of a mapping of your own"
)


class Shape(StrEnum):
    """What an export is written in."""

    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    XML = "xml"


@dataclass(frozen=True, slots=True)
class Row:
    """One record; `number` is its line in CSV and JSON Lines, else its place in the file, counted from 1.

    `kind` is the name of the list or the element that it stood in; `names` leads from folded names to those
    of a table's columns.
    """

    number: int
    fields: Mapping[str, object]
    kind: str = ""
    names: Mapping[str, str] = field(default_factory=dict)


Rows = Iterator[Row | Rejected]
OpenRows = Generator[Row | Rejected, None, None]
"""Rows of an open file: whoever stops before their end closes them."""


def is_filled(value: object) -> bool:
    """Tell whether a value of an export says anything; an object of empty members does not."""
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, dict):
        return any(part not in (None, "", [], {}) for part in value.values())
    return value is not None and value != []


def has_undecoded(value: object) -> bool:
    """Tell whether a value holds, anywhere, bytes that could not be decoded."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, str):
            if not current.isascii() and UNDECODED in current:
                return True
        elif isinstance(current, dict):
            waiting += current
            waiting += current.values()
        elif isinstance(current, list):
            waiting += current
    return False
