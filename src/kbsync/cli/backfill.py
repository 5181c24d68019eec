"""The command `backfill`: have a whole table, or an export, looked at. Imports bootstrap and the pipeline.

Invariant: it writes marks and its own progress; documents are the next run's.
"""

from typing import Annotated

import typer
from rich.text import Text

from kbsync.bootstrap import export_source
from kbsync.cli.command import Call
from kbsync.cli.progress import progress_bars
from kbsync.cli.terminal import counted, one_line, pairs
from kbsync.pipeline.backfill import Backfilled, TableSource
from kbsync.pipeline.backfill import backfill as mark_all

WORKERS = 4
MOST_WORKERS = 64
_MEANINGS = {
    "marked": "marked: the next run looks at them",
    "current": "up to date",
    "waiting": "in the queue already",
    "not_closed": "not closed, nothing published",
    "unreadable": "no incident, or unreadable",
}


def backfill(
    call: Call,
    export: Annotated[
        str,
        typer.Argument(
            metavar="[EXPORT]",
            help="Export: its folder, a file, or s3://.../manifest-files.json; none: the table.",
        ),
    ] = "",
    workers: Annotated[
        int, typer.Option(min=1, max=MOST_WORKERS, help="Files, or parts of the table, read at once.")
    ] = WORKERS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count; write nothing.")] = False,
) -> None:
    """Mark every closed incident that is not searchable with its latest content, from an export or the table.

    Safe to kill: the same command goes on. What an export does not name is left alone, and what it says is
    only a reason to look: the next run reads the incident as it is then.
    """
    engine = call.engine()
    source = export_source(call.settings, export) if export else TableSource(engine, workers)
    if call.settings.backend == "local":
        workers = 1  # one file, one writer: more would only wait for each other
    with progress_bars(call.err, shown=call.shows_progress) as show:
        outcome = mark_all(
            engine, source, workers=workers, dry_run=dry_run, told=lambda count: show("backfill", count, None)
        )
    _answer(call, outcome, dry_run=dry_run)


def _answer(call: Call, outcome: Backfilled, *, dry_run: bool) -> None:
    looked = outcome.counts.total()

    def show() -> None:
        call.out.print(Text(f"{counted(looked, 'item')} of {one_line(outcome.source)} looked at."))
        call.out.print(pairs({_MEANINGS[name]: count for name, count in outcome.counts.items()}))
        if dry_run:
            call.hint("nothing was written; without --dry-run they are marked")
        elif outcome.counts["marked"]:
            call.hint("next: `kbsync sync`")

    view = {"source": outcome.source, "parts": outcome.parts, "dry_run": dry_run, "looked_at": looked}
    call.answer({**view, **outcome.counts}, show)
