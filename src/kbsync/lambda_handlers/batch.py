"""`incident-kb-batch-sync`: the hourly run, and the tick between two of them.

The event is `{"trigger": "schedule"}` or `{"trigger": "tick"}`; both are the same `sync_once`, the tick over
the queue alone. Invariant: a run that failed as a whole raises, so that Lambda, its queue and alarms see it.
"""

from collections.abc import Mapping
from dataclasses import replace

from aws_lambda_powertools.metrics import MetricUnit

from kbsync.errors import BusyError
from kbsync.lambda_handlers.runtime import LambdaContext, deadline, engine, logger, metrics, tracer
from kbsync.model import RunReport
from kbsync.pipeline.sync import sync_once
from kbsync.ports import Engine
from kbsync.views.report import View, report_view

TICK = "tick"


class RunFailedError(Exception):
    """Everything that the run tried failed; the report is in the message, without incident text."""


@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(capture_cold_start_metric=False)
@logger.inject_lambda_context(clear_state=True)
def handler(event: Mapping[str, object], context: LambdaContext) -> View:
    """Run once and return the report, with the original's four members beside ours.

    Raises:
        RunFailedError: nothing that was tried succeeded.
        KbSyncError: the run could not go on; what was done stands in the ledger.
    """
    trigger = str(event.get("trigger", "schedule"))
    built = engine()
    if trigger == TICK:
        built = replace(built, policy=replace(built.policy, discovery="queue"))
    try:
        report = sync_once(built, trigger=trigger, deadline=deadline(context, built.now()))
    except BusyError as error:
        logger.info("run.busy", extra={"reason": str(error)})
        return {"status": "busy", "total_found": 0, "successfully_synced": 0, "failed": 0, "errors": []}
    emit(built, report)
    view = {**report_view(report), **original_members(report)}
    logger.info("run.ended", extra={"report": view})
    if report.status == "failed":
        raise RunFailedError(f"run {report.run_id}: {report.failed} failed, none succeeded")
    return view


def original_members(report: RunReport) -> View:
    """Return the result as the original function gave it.

    Source: ORIGINAL_DESIGN.md, `SyncResult`; synced here means confirmed searchable.
    """
    return {
        "total_found": report.found,
        "successfully_synced": report.indexed,
        "failed": report.failed,
        "errors": [{"incident_id": each.incident_id, "error": each.error} for each in report.errors],
    }


def emit(built: Engine, report: RunReport) -> None:
    """Write the run's metrics: the original's three names and ours, in one namespace."""
    counts = {
        "IncidentsSynced": report.indexed,
        "SyncErrors": report.failed,
        "IncidentsPublished": report.published + report.metadata_only,
        "IncidentsWithdrawn": report.withdrawn,
        "IncidentsQuarantined": report.quarantined,
        "IncidentsPending": report.pending,
        "RunsSucceeded": int(report.status == "ok"),
        "RunsDegraded": int(report.status == "degraded"),
    }
    for name, count in counts.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
    metrics.add_metric(
        name="SyncDuration", unit=MetricUnit.Milliseconds, value=round(report.duration_seconds * 1000)
    )
    oldest = built.ledger.oldest_pending()
    waits = (built.now() - oldest).total_seconds() if oldest else 0.0
    metrics.add_metric(name="OldestPendingSeconds", unit=MetricUnit.Seconds, value=max(waits, 0.0))
