"""The command that writes files of incidents: export. Imports importing.

Invariant: memory holds one page of incidents, whatever the file's size; a file appears whole or not at all.
"""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.text import Text

from kbsync.cli.command import Call
from kbsync.cli.terminal import counted, one_line
from kbsync.engine import Engine
from kbsync.errors import UsageError
from kbsync.importing.export import json_line, write_csv
from kbsync.model import Attributes

STANDARD_STREAM = "-"


def export(
    call: Call,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; - is stdout.")] = STANDARD_STREAM,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="JSON Lines, lossless (the default).")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="CSV for spreadsheets; formulas neutralised.")] = False,
) -> None:
    """Write all incidents to a file or to stdout, one by one. A file is replaced only when it is complete."""
    if jsonl and csv:
        raise UsageError("--jsonl and --csv exclude each other")
    engine = call.engine()
    write = _write_csv if csv else _write_json_lines
    if file == STANDARD_STREAM:
        _to_standard_output(lambda out: write(engine, out))
        return
    target = Path(file)
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as out:
            count = write(engine, out)
        part.replace(target)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    call.answer(
        {"exported": count, "file": str(target)},
        lambda: call.out.print(Text(f"{counted(count, 'incident')} written to {one_line(target)}.")),
    )


def _to_standard_output(write: Callable[[TextIO], int]) -> None:
    sys.stdout.flush()
    out = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
    try:
        write(out)
        out.flush()
    finally:
        out.detach()


def _write_json_lines(engine: Engine, out: TextIO) -> int:
    count = 0
    for attributes in _all_incidents(engine):
        out.write(json_line(attributes) + "\n")
        count += 1
    return count


def _write_csv(engine: Engine, out: TextIO) -> int:
    return write_csv(lambda: _all_incidents(engine), out)


def _all_incidents(engine: Engine) -> Iterator[Attributes]:
    cursor, more = "", True
    while more:
        page = engine.incidents.scan(cursor=cursor, limit=engine.policy.page_size)
        yield from (stored.attributes for stored in page.items)
        cursor, more = page.cursor, bool(page.cursor)
