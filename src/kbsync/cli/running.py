"""Commands that work: sync, watch, retry, pause, resume. Imports the pipeline and the views.

Invariant: the exit code says what the run report says; another active run is no failure.
"""

import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Annotated

import typer
from rich.text import Text

from kbsync.cli.command import COULD_NOT_RUN, OK, SOME_FAILED, Call
from kbsync.cli.planning import show_plan
from kbsync.cli.progress import progress_bars
from kbsync.cli.terminal import counted, duration_text, one_line, pairs, state_text, table
from kbsync.engine import Engine
from kbsync.errors import BusyError, KbSyncError, UsageError
from kbsync.model import Clock, State
from kbsync.pipeline.changes import retry_incidents
from kbsync.pipeline.pause import pause as pause_runs
from kbsync.pipeline.pause import read_pause
from kbsync.pipeline.pause import resume as resume_runs
from kbsync.pipeline.run import reason_of
from kbsync.pipeline.sync import sync_once
from kbsync.run_report import RunReport
from kbsync.views.report import iso, report_view

BUSY = "busy"

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LONGEST_SECONDS = 31 * 86_400


def sync(
    call: Call,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Leave confirmation to the next run.")] = False,
) -> int:
    """Bring the knowledge base up to date with the incidents; safe to repeat or kill.

    Exit codes: 0 nothing failed (also when another run is active), 1 some failed, 3 nothing worked.
    """
    engine = call.engine(create=not dry_run)
    if dry_run:
        show_plan(call, engine)
        return OK
    report = run_once(call, engine, wait=not no_wait)
    call.answer(report_view(report), lambda: _show_report(call, report))
    return exit_code_of(report)


def run_once(call: Call, engine: Engine, *, wait: bool = True) -> RunReport:
    """Return the report of one run with its progress shown; another active run gives one that says `busy`."""
    # Counting reads the whole ledger on AWS, so it is done only where somebody watches.
    expected = engine.ledger.count_records()[0].get(State.PENDING, 0) if call.shows_progress else 0
    try:
        with progress_bars(call.err, shown=call.shows_progress, expected=expected) as show:
            return sync_once(engine, progress=show, wait=wait)
    except BusyError as error:
        now = engine.now()
        message = f"another run is active, so this one did nothing: {error}"
        return RunReport(run_id="", status=BUSY, started_at=now, ended_at=now, messages=(message,))


def exit_code_of(report: RunReport) -> int:
    """Return the exit code of a report; waiting for ingestion and other active runs are no failure."""
    if report.status == "failed":
        return COULD_NOT_RUN
    return SOME_FAILED if report.failed or report.status == "degraded" else OK


def _show_report(call: Call, report: RunReport) -> None:
    if report.run_id and report.status != BUSY:
        took = duration_text(report.duration_seconds)
        call.out.print(
            Text.assemble("Run ", (report.run_id, "bold"), ": ", state_text(report.status), f" in {took}")
        )
    counts = {
        "found": report.found,
        "published": report.published,
        "metadata only": report.metadata_only,
        "unchanged": report.unchanged,
        "withdrawn": report.withdrawn,
        "indexed": report.indexed,
        "excluded": report.excluded,
        "failed": report.failed,
        "quarantined": report.quarantined,
        "pending": report.pending,
        "withheld": report.withheld,
    }
    if report.status != BUSY:
        call.out.print(pairs({name: count for name, count in counts.items() if count or name == "found"}))
    for message in report.messages:
        call.out.print(Text(one_line(message), style="yellow"))
    if report.errors:
        call.out.print(
            table(["incident", "failed because"], [(e.incident_id, e.error) for e in report.errors])
        )
    if report.withheld:
        call.hint("next: `kbsync approve` lists the withdrawals that wait for a person")
    elif report.quarantined:
        call.hint("next: `kbsync quarantine` lists what was set aside, `kbsync explain ID` tells why")
    elif report.failed:
        call.hint("next: `kbsync explain ID` tells its story; the next run tries again")
    elif report.pending:
        call.hint("next: `kbsync sync` goes on with what is pending")
    elif report.indexed:
        call.hint('next: `kbsync search "..."` finds it')


def seconds_of(text: str) -> float:
    """Return the seconds of a duration such as 90s, 5m, 1h or 1d; raise UsageError for anything else."""
    match = re.fullmatch(r"(\d{1,7}(?:\.\d{1,3})?)\s*([smhd]?)", text.strip().lower())
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else 0.0
    if not 1 <= seconds <= _LONGEST_SECONDS:
        raise UsageError(f"{text!r} is no interval", hint="write 30s, 5m, 1h or 1d; at least 1s, at most 31d")
    return seconds


@dataclass(frozen=True)
class Watch:
    """How `watch` goes on: one run, a line about it, then a wait that says whether to stop."""

    run: Callable[[], RunReport]
    tell: Callable[[RunReport], None]
    stopped: Callable[[float], bool]
    now: Clock


def watch_runs(watch: Watch, interval_seconds: float) -> None:
    """Run again and again until told to stop; a run that fails is told, and the next one comes."""
    while True:
        try:
            report = watch.run()
        except Exception as error:  # noqa: BLE001 - one failed run must not end the watch
            report = _failed(error, watch.now())
        watch.tell(report)
        if watch.stopped(interval_seconds):
            return


def _failed(error: Exception, now: datetime) -> RunReport:
    """Return the report of a run that ended without one; no incident text is in it."""
    text = reason_of(error) if isinstance(error, KbSyncError) else f"unexpected {type(error).__name__}"
    return RunReport(run_id="", status="failed", started_at=now, ended_at=now, messages=(text,))


def watch(
    call: Call,
    every: Annotated[str, typer.Option(metavar="TIME", help="Between two runs: 90s, 5m, 1h, 1d.")] = "1h",
) -> int:
    """Sync now and then again after every interval, with one line for each run, until stopped.

    SIGTERM ends it after the run that is going on, a second one or Ctrl-C at once; nothing is lost.
    """
    interval_seconds = seconds_of(every)
    engine = call.engine(create=True)

    with stopping_on_sigterm() as stop:
        watch_runs(
            Watch(lambda: run_once(call, engine), lambda report: _tell(call, report), stop.wait, engine.now),
            interval_seconds,
        )
    return OK


class Stop:
    """A wish to stop that a signal may make at any moment; an Event could deadlock with its own waiter.

    Source: Python Library Reference, `queue.SimpleQueue.put`: reentrant, so that it may interrupt itself.
    """

    def __init__(self) -> None:
        self._wishes: SimpleQueue[bool] = SimpleQueue()
        self._is_set = False

    def is_set(self) -> bool:
        """Whether somebody wished it."""
        return self._is_set

    def set(self) -> None:
        """Wish it; a repeat changes nothing."""
        self._is_set = True
        self._wishes.put(True)

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until somebody wishes it; returns whether somebody does."""
        if not self._is_set:
            with suppress(Empty):
                self._wishes.get(timeout=seconds)
        return self._is_set


@contextmanager
def stopping_on_sigterm() -> Iterator[Stop]:
    """Give a wish that SIGTERM makes; a second SIGTERM interrupts like Ctrl-C. Restores what was there."""
    stop = Stop()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    previous = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, previous)


def _tell(call: Call, report: RunReport) -> None:
    if call.as_json:
        call.out.file.write(json.dumps(report_view(report)) + "\n")
        call.out.file.flush()
        return
    counts = (
        ("published", report.published + report.metadata_only),
        ("withdrawn", report.withdrawn),
        ("indexed", report.indexed),
        ("failed", report.failed),
        ("pending", report.pending),
    )
    said = ", ".join(f"{count} {name}" for name, count in counts if count) or "nothing to do"
    line = Text.assemble(f"{iso(report.started_at)} ", state_text(report.status))
    line.append(f" {'; '.join(map(one_line, report.messages)) if report.messages else said}")
    call.out.print(line, soft_wrap=True)


def retry(
    call: Call,
    incident_ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Incidents to try again.")
    ] = None,
    every_one: Annotated[bool, typer.Option("--all", help="All quarantined incidents.")] = False,
) -> None:
    """Release quarantined incidents and give them their attempts back; the next run tries them again."""
    if bool(incident_ids) == every_one:
        raise UsageError("name incidents or give --all", hint="`kbsync quarantine` lists them")
    released = retry_incidents(call.engine(), None if every_one else incident_ids)

    def show() -> None:
        call.out.print(Text(f"{counted(released, 'incident')} will be tried again by the next run."))
        call.hint("next: `kbsync sync`")

    call.answer({"released": released}, show)


def pause(
    call: Call, reason: Annotated[str, typer.Option(help="Why, for those who wonder.")] = "no reason given"
) -> None:
    """Make every later run end at once without work, until `resume`. A run that is going on finishes."""
    pause_runs(call.engine(), reason=reason)
    _show_pause(
        call, "Runs are paused; changes go on being noted.", "next: `kbsync resume` lets them work again"
    )


def resume(call: Call) -> None:
    """Let runs work again. Nothing happens where none is paused."""
    resume_runs(call.engine())
    _show_pause(call, "Runs work again.", "next: `kbsync sync`")


def _show_pause(call: Call, text: str, hint: str) -> None:
    paused = read_pause(call.engine())

    def show() -> None:
        call.out.print(Text(text))
        call.hint(hint)

    call.answer({"paused": paused is not None, "reason": paused.reason if paused else None}, show)
