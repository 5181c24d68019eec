"""Commands that read and write files of incidents: import, export. Imports importing and the pipeline.

Invariant: memory holds one page of incidents, whatever the file's size; a file appears whole or not at all.
"""

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO, TextIO, cast

import typer
from rich.text import Text

from kbsync.cli.command import COULD_NOT_RUN, OK, SOME_FAILED, Call
from kbsync.cli.incidents import NEXT_RUN
from kbsync.cli.progress import progress_bars
from kbsync.cli.terminal import counted, one_line, table
from kbsync.engine import Engine
from kbsync.errors import UsageError
from kbsync.importing.csv_table import read_csv
from kbsync.importing.export import json_line, write_csv
from kbsync.importing.json_lines import read_json_lines
from kbsync.importing.records import Accepted, Line, Rejected
from kbsync.model import Attributes
from kbsync.pipeline.changes import Upsert, upsert_incidents

MOST_REJECTED_NAMED = 10_000
REJECTED_SHOWN = 20
STANDARD_STREAM = "-"


class Format(StrEnum):
    """What a file of incidents is written in."""

    JSONL = "jsonl"
    CSV = "csv"


_SUFFIXES = {".jsonl": Format.JSONL, ".ndjson": Format.JSONL, ".json": Format.JSONL, ".csv": Format.CSV}


@dataclass
class Tally:
    """What an import has done so far."""

    counts: dict[Upsert, int] = field(default_factory=lambda: dict.fromkeys(Upsert, 0))
    rejected: list[Rejected] = field(default_factory=list)
    rejected_count: int = 0

    def reject(self, line: Rejected) -> None:
        """Count a rejected line; the first ones are kept by name."""
        self.rejected_count += 1
        if len(self.rejected) < MOST_REJECTED_NAMED:
            self.rejected.append(line)


def import_file(
    call: Call,
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON Lines or CSV, also .gz; - for stdin.")],
    format_: Annotated[
        Format | None, typer.Option("--format", help="Where the file's name does not tell.")
    ] = None,
) -> int:
    """Add incidents from a file, or replace those with the same id. An absent line is never a deletion.

    A line that cannot be taken is rejected with its reason; the rest goes on. Importing again is harmless.
    """
    source = _source(file)
    written_in = format_ or _format_of(file)
    tally = Tally()
    with ExitStack() as stack:
        raw = stack.enter_context(source.open("rb")) if source else sys.stdin.buffer
        engine = call.engine(create=True)
        size = source.stat().st_size if source else 0
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if file.lower().endswith(".gz") else raw
        show = stack.enter_context(progress_bars(call.err, shown=call.shows_progress and size > 0))
        reader = read_csv if written_in is Format.CSV else read_json_lines
        try:
            for page in _pages(reader(stream), tally, engine.policy.page_size):
                for outcome in upsert_incidents(engine, page):
                    tally.counts[outcome] += 1
                show("import", raw.tell() if source else 0, size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UsageError(
                f"{file} is not a whole gzip file", hint="what was read before the damage is imported"
            ) from error
    _report_import(call, tally)
    if tally.rejected_count and not sum(tally.counts.values()):
        return COULD_NOT_RUN
    return SOME_FAILED if tally.rejected_count else OK


def _source(file: str) -> Path | None:
    """Return the file, None for standard input; raise UsageError where it cannot be read."""
    if file == STANDARD_STREAM:
        return None
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"there is no file {file}", hint="name a JSON Lines or CSV file, or - for stdin")
    try:
        path.open("rb").close()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {type(error).__name__}") from error
    return path


def _format_of(file: str) -> Format:
    if file == STANDARD_STREAM:
        return Format.JSONL
    suffix = Path(file.lower().removesuffix(".gz")).suffix
    if suffix not in _SUFFIXES:
        raise UsageError(
            f"the name {file} does not tell its format", hint="add --format jsonl or --format csv"
        )
    return _SUFFIXES[suffix]


def _pages(lines: Iterator[Line], tally: Tally, size: int) -> Iterator[list[Attributes]]:
    page: list[Attributes] = []
    for line in lines:
        if isinstance(line, Accepted):
            page.append(line.attributes)
        else:
            tally.reject(line)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page


def _report_import(call: Call, tally: Tally) -> None:
    counts = {str(outcome): count for outcome, count in tally.counts.items()}

    def show() -> None:
        said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        call.out.print(Text(f"{said}, {tally.rejected_count} rejected."))
        if tally.rejected:
            shown = tally.rejected[:REJECTED_SHOWN]
            call.out.print(table(["line", "rejected because"], [(r.line, r.reason) for r in shown]))
        if tally.rejected_count > REJECTED_SHOWN:
            call.hint(f"{tally.rejected_count - REJECTED_SHOWN} more; --json names them")
        call.hint(f"next: {NEXT_RUN}")

    rejected = [{"line": each.line, "reason": each.reason} for each in tally.rejected]
    call.answer({**counts, "rejected": rejected, "rejected_count": tally.rejected_count}, show)


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
