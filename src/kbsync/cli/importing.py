"""The command that reads incidents from files: our own form, or a ticket system's export through a mapping.

Imports importing and the pipeline. Invariant: memory holds one page of incidents, whatever the file's size;
what was read before a fault is imported, and importing again goes on.
"""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import typer
from rich.text import Text

from kbsync.cli.command import COULD_NOT_RUN, OK, SOME_FAILED, Call
from kbsync.cli.exports import Export, export_lines, mappings_for
from kbsync.cli.incidents import NEXT_RUN
from kbsync.cli.progress import progress_bars
from kbsync.cli.terminal import table
from kbsync.engine import Engine
from kbsync.errors import UsageError
from kbsync.importing.csv_table import read_csv
from kbsync.importing.json_lines import read_json_lines
from kbsync.importing.mapping import System, shipped_text
from kbsync.importing.mapping_report import MappingReport
from kbsync.importing.records import Accepted, Line, Rejected
from kbsync.importing.rows import Shape
from kbsync.model import Attributes
from kbsync.pipeline.changes import Upsert, upsert_incidents

MOST_REJECTED_NAMED = 10_000
REJECTED_SHOWN = 20
FIELDS_SHOWN = 20
STANDARD_STREAM = "-"


class From(StrEnum):
    """What `--from` can say: a `System`, or whichever is recognised."""

    AUTO = "auto"
    SERVICENOW = "servicenow"
    JIRA = "jira"
    PAGERDUTY = "pagerduty"
    GITHUB = "github"
    STATUSPAGE = "statuspage"


_SUFFIXES = {
    ".jsonl": Shape.JSONL,
    ".ndjson": Shape.JSONL,
    ".json": Shape.JSON,
    ".csv": Shape.CSV,
    ".xml": Shape.XML,
}
_READERS: dict[Shape, Callable[[BinaryIO], Iterator[Line]]] = {
    Shape.CSV: read_csv,
    Shape.JSON: read_json_lines,
    Shape.JSONL: read_json_lines,
}
"""For our own form, of which `.json` files hold one incident a line."""


@dataclass
class Tally:
    """What an import has done so far."""

    counts: dict[Upsert, int] = field(default_factory=lambda: dict.fromkeys(Upsert, 0))
    rejected: list[Rejected] = field(default_factory=list)
    rejected_count: int = 0
    mapping: MappingReport | None = None

    def reject(self, line: Rejected) -> None:
        """Count a rejected line; the first ones are kept by name."""
        self.rejected_count += 1
        if len(self.rejected) < MOST_REJECTED_NAMED:
            self.rejected.append(line)


def import_file(
    call: Call,
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="JSON Lines, CSV, JSON, XML, also .gz; - for stdin."),
    ] = None,
    format_: Annotated[
        Shape | None, typer.Option("--format", help="Where the file's name does not tell.")
    ] = None,
    from_: Annotated[From | None, typer.Option("--from", help="The system that the export is from.")] = None,
    mapping: Annotated[
        str | None, typer.Option("--mapping", metavar="FILE", help="A mapping of your own (TOML).")
    ] = None,
    show_mapping: Annotated[
        System | None, typer.Option("--show-mapping", help="Print a system's mapping, to copy and change.")
    ] = None,
) -> int:
    """Add incidents from a file, or replace those with the same id. An absent line is never a deletion.

    With --from, an export of a ticket system: ServiceNow, Jira, PagerDuty, GitHub or Statuspage. A line that
    cannot be taken is rejected with its reason; the rest goes on. Importing again is harmless.
    """
    if show_mapping is not None:
        return _show_mapping(call, show_mapping)
    if file is None:
        raise UsageError("name a file to import", hint="for example `kbsync import incidents.jsonl`")
    source = _source(file)
    mappings = mappings_for(from_, mapping)
    written_in = format_ or _shape_of(file, is_export=bool(mappings))
    tally = Tally()
    with ExitStack() as stack:
        raw = stack.enter_context(source.open("rb")) if source else sys.stdin.buffer
        engine = call.engine(create=True)
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if file.lower().endswith(".gz") else raw
        size = source.stat().st_size if source else 0
        show = stack.enter_context(progress_bars(call.err, shown=call.shows_progress and size > 0))
        try:
            if mappings:
                export = Export(stream, source, written_in, mappings)
                lines, tally.mapping = stack.enter_context(
                    export_lines(export, call.settings, engine.policy.closed_statuses[0])
                )
            else:
                lines = _own_lines(stream, written_in)
            _write(engine, lines, tally, lambda: show("import", raw.tell() if source else 0, size))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UsageError(
                f"{file} is not a whole gzip file", hint="what was read before the damage is imported"
            ) from error
    _report_import(call, tally)
    if tally.rejected_count and not sum(tally.counts.values()):
        return COULD_NOT_RUN
    return SOME_FAILED if tally.rejected_count else OK


def _show_mapping(call: Call, system: System) -> int:
    text = shipped_text(system)
    call.answer({"system": str(system), "mapping": text}, lambda: print(text, end=""))  # noqa: T201 - to copy: as it is
    return OK


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


def _shape_of(file: str, *, is_export: bool) -> Shape | None:
    """Return what the file's name tells of its format; an export's content may tell it instead."""
    suffix = Path(file.lower().removesuffix(".gz")).suffix
    if is_export:
        return _SUFFIXES.get(suffix)
    if file == STANDARD_STREAM:
        return Shape.JSONL
    if suffix not in _SUFFIXES:
        raise UsageError(
            f"the name {file} does not tell its format", hint="add --format jsonl or --format csv"
        )
    return _SUFFIXES[suffix]


def _own_lines(stream: BinaryIO, shape: Shape | None) -> Iterator[Line]:
    if shape not in _READERS:
        raise UsageError("XML is read from ticket systems only", hint="name the system, or --from auto")
    return _READERS[shape](stream)


def _write(engine: Engine, lines: Iterator[Line], tally: Tally, show: Callable[[], None]) -> None:
    for page in _pages(lines, tally, engine.policy.page_size):
        for outcome in upsert_incidents(engine, page):
            tally.counts[outcome] += 1
        show()


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
        if tally.mapping:
            _show_report(call, tally.mapping)
        call.hint(f"next: {NEXT_RUN}")

    rejected = [{"line": each.line, "reason": each.reason} for each in tally.rejected]
    view = {**counts, "rejected": rejected, "rejected_count": tally.rejected_count}
    call.answer({**view, "mapping": tally.mapping.view()} if tally.mapping else view, show)


def _show_report(call: Call, report: MappingReport) -> None:
    """Show what the mapping did: what came of the records, and what was left out of them."""
    skipped = sum(report.skipped.values())
    call.out.print(
        Text(
            f"{report.system}: {report.records} records = {report.mapped} mapped + {report.rejected} rejected"
            f" + {skipped} skipped."
        )
    )
    attributes: dict[str, int] = {}
    for (name, _), count in report.attributes.items():
        attributes[name] = attributes.get(name, 0) + count
    unknown = [(word, count) for (word, ours), count in report.statuses.most_common() if not ours]
    for title, rows in (
        ("attribute", sorted(attributes.items())),
        ("skipped because", report.skipped.most_common()),
        ("status without a meaning", unknown),
        ("date that cannot be read", report.unreadable.most_common()),
        ("text that was shortened", report.shortened.most_common()),
        ("field left out", report.dropped.most_common()),
    ):
        if rows:
            call.out.print(table([title, "records"], rows[:FIELDS_SHOWN]))
        if len(rows) > FIELDS_SHOWN:
            call.hint(f"{len(rows) - FIELDS_SHOWN} more; --json names them")
    if report.unreadable:
        call.hint("dates: `date_order` and `timezone` of a mapping of your own say how they are written")
