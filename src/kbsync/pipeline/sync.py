"""The main job: bring the knowledge base up to date with the incidents.

    discover -> drain: read, plan, publish, mark -> ingest -> confirm -> report
     who is      the publish queue,                  one job    searchable,
     due?        page by page                        for all    or gone?

What may kill the process is taken last, when all others are through.
Each step takes its work from the ledger, never from the memory of the step before: killed on any line, run
twice or by two at once, the next run goes on from what is stored. May import the pipeline and the ports only.
"""

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from kbsync.engine import Engine
from kbsync.errors import KbSyncError, RetriableError, ThrottledError
from kbsync.freshness import keep_waits, summaries
from kbsync.model import Stage
from kbsync.pipeline.alerting import alert_on_transitions
from kbsync.pipeline.brake import carry_out_approval
from kbsync.pipeline.confirm import confirm
from kbsync.pipeline.discover import discover_changes
from kbsync.pipeline.drain import drain_publish_queue, drain_suspects
from kbsync.pipeline.failures import settle_failures
from kbsync.pipeline.ingest import ingest
from kbsync.pipeline.lease import holding_lease
from kbsync.pipeline.pause import read_pause
from kbsync.pipeline.place import follow_place
from kbsync.pipeline.probe import probe_finished
from kbsync.pipeline.run import Progress, Run, no_progress, reason_of
from kbsync.queueing import due_until
from kbsync.run_report import RunReport
from kbsync.shards import note_shards
from kbsync.withdrawal import in_force

THROTTLED_WAITS_SECONDS = (1.0, 2.0, 4.0)


def sync_once(
    engine: Engine,
    *,
    trigger: str = "cli",
    progress: Progress = no_progress,
    wait: bool = True,
    deadline: datetime | None = None,
) -> RunReport:
    """Bring the knowledge base up to date with the incidents; safe to repeat or kill.

    Args:
        engine: the ports, the transform and the policy.
        trigger: who asked, for the run record.
        progress: called with a step's name, what is done, and the total where it is known.
        wait: see the ingestion job through, as long as the policy's `wait_seconds` and the deadline allow.
        deadline: stop taking work at this moment (aware UTC); the next run goes on.

    Raises:
        BusyError: another run is active; nothing was written.
        FatalError: the run cannot go on; what was done stands in the ledger.
    """
    engine = in_force(engine)
    started_at = engine.now()
    report = RunReport(run_id=_new_run_id(started_at), trigger=trigger, started_at=started_at)
    paused = read_pause(engine)
    if paused is not None:
        return replace(report, status="ok", ended_at=started_at, messages=(f"paused: {paused.reason}",))
    with holding_lease(engine, report.run_id) as lease:
        run = Run(engine, lease, report, due_until(started_at), progress, wait, deadline)
        try:
            run.shards = note_shards(engine)
            follow_place(run)
            carry_out_approval(run)
            discover_changes(run)
            _see_through(run, drain_publish_queue)
            if run.suspects:
                _see_through(run, drain_suspects)
        except Exception as error:
            _end_by(run, error)
            raise
        return _conclude(run)


def _new_run_id(at: datetime) -> str:
    """Return an id that sorts by time and is unique: it goes into job descriptions and the records' story."""
    return f"{at:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def _see_through(run: Run, drain: Callable[[Run], None]) -> None:
    """Take work up, see it through to the knowledge base, and settle whose fault its failures were."""
    tried, indexed = run.tried, run.report.indexed
    drain(run)
    settle_failures(run, Stage.PUBLISH, succeeded=run.tried - tried)
    _ingest_and_confirm(run)
    settle_failures(run, Stage.CONFIRM, succeeded=run.report.indexed - indexed, job_failed=run.job_failed)


def _ingest_and_confirm(run: Run) -> None:
    """Publishing has ended already: an unavailable knowledge base leaves confirmation to the next run."""
    run.job_failed = False
    for step in (ingest, confirm):
        try:
            _slowly(run, step)
        except RetriableError as error:
            run.systemic = True
            run.say(f"the knowledge base could not be asked: {error}")


def _slowly(run: Run, step: Callable[[Run], None]) -> None:
    """Take a step again, later each time, while the knowledge base asks to slow down and the run may wait."""
    for wait_seconds in THROTTLED_WAITS_SECONDS:
        try:
            step(run)
        except ThrottledError:
            if not run.may_wait:
                raise
            run.engine.sleep(wait_seconds)
        else:
            return
    step(run)


def _end_by(run: Run, error: Exception) -> None:
    """Store and report that an error ended the run: whoever was in hand then is not to blame for a death."""
    run.report = replace(run.report, status="failed", ended_at=run.engine.now(), page=(), isolated=False)
    run.say(f"ended by an error: {reason_of(error)}")
    with suppress(KbSyncError):
        _tell_waits(run)
        _leave_record(run)
        run.engine.ledger.save_run(run.report)
    with suppress(KbSyncError):
        alert_on_transitions(run)


def _conclude(run: Run) -> RunReport:
    """Judge the run, tell people what changed, and store its record."""
    ended_at = run.engine.now()
    run.report = replace(
        run.report,
        status=_status(run),
        ended_at=ended_at,
        pending=run.waiting + run.unconfirmed,
        page=(),
        isolated=False,
        duration_seconds=round((ended_at - run.report.started_at) / timedelta(seconds=1), 3),
    )
    _tell_waits(run)
    probe_finished(run)
    _leave_record(run)
    alert_on_transitions(run)
    run.engine.ledger.save_run(run.report)
    return run.report


def _leave_record(run: Run) -> None:
    """Leave the run's JSON and page, where it did anything or anything is wrong."""
    report, records = run.report, run.engine.run_records
    idle = report.status == "ok" and not (report.found or report.indexed or report.pending or report.messages)
    if records is None or idle:
        return
    try:
        records.leave(report)
    except KbSyncError as error:
        run.say(f"the run's record could not be left: {error}")


def _tell_waits(run: Run) -> None:
    """Put what became searchable into the report, and add it to the day's counts."""
    run.report = replace(run.report, searchable=summaries(run.waits))
    keep_waits(run.engine, run.waits, on=run.report.started_at.date())
    run.waits = {}


def _status(run: Run) -> str:
    report = run.report
    succeeded = report.published + report.metadata_only + report.unchanged + report.withdrawn + report.indexed
    if report.failed and not succeeded:
        return "failed"
    return "degraded" if report.failed or report.withheld or run.systemic else "ok"
