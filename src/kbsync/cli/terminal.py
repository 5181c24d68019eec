"""Incident text on a terminal, and values as JSON. Imports rich and the standard library only.

Invariant: no character of an incident reaches a terminal that could move its cursor, colour it or answer for
the user; markup of rich is never made from incident text.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from rich import box
from rich.table import Table
from rich.text import Text

STATE_STYLES = {
    "indexed": "green",
    "published": "cyan",
    "pending": "yellow",
    "withdrawing": "yellow",
    "quarantined": "red",
    "ok": "green",
    "degraded": "yellow",
    "failed": "red",
    "running": "cyan",
}

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]P^_X](?:[^\x07\x1b]*(?:\x07|\x1b\\))?|[ -/]*[0-~])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""All but tab and line feed; writing-direction marks can make a text read as another."""


def plain(text: str) -> str:
    """Return the text without escape sequences, control characters and half characters."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def one_line(text: object) -> str:
    """Return a value as one clean line."""
    return " ".join(plain(str(text)).split())


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody sits at the other end of a standard stream."""
    return stream.isatty()


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, in English."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def print_json(value: object) -> None:
    """Print one JSON value in ASCII: any terminal, pipe and encoding takes it."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def state_text(state: object) -> Text:
    """Return a state in its colour."""
    return Text(one_line(state), style=STATE_STYLES.get(str(state), ""))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table; cells that are no Text are cleaned, numbers stand on the right."""
    listed = [list(row) for row in rows]
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        is_number = bool(listed) and all(isinstance(row[number], int | float) for row in listed)
        made.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in listed:
        made.add_row(*(cell if isinstance(cell, Text) else Text(one_line(cell)) for cell in row))
    return made


def pairs(values: Mapping[str, object]) -> Table:
    """Return names and values below one another; empty values are left out."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in values.items():
        if value not in (None, "", [], {}):
            made.add_row(name, value if isinstance(value, Text) else Text(plain(str(value))))
    return made


def duration_text(seconds: float | None) -> str:
    """Return a duration as people say it: 12 s, 3 min, 4 h, 5 d."""
    if seconds is None:
        return "-"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 or seconds == 0 else f"{seconds:.1f} s"  # noqa: PLR2004 - one decimal while it matters
