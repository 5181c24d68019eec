"""`incident-kb-batch-sync`: the hourly batch, and the tick between two of them.

The event is `{"trigger": "schedule"}` or `{"trigger": "tick"}`; both are the same `sync_once`, the tick over
the queue alone. Any other event, also that of a plain schedule or of a call by hand, is a batch. Invariant: a
run that failed as a whole raises, so that Lambda, its queue and the alarms see it.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from kbsync.engine import Engine
from kbsync.errors import BusyError, RetriableError
from kbsync.lambda_handlers.runtime import (
    NAMESPACE,
    SERVICE,
    LambdaContext,
    deadline,
    engine,
    logger,
    metrics,
    reports,
    tracer,
    when_free,
)
from kbsync.pipeline.sync import sync_once
from kbsync.run_report import RunReport
from kbsync.views.report import View, report_view

SCHEDULE = "schedule"
TICK = "tick"
SHORTEST_BATCH = timedelta(seconds=60)
"""Less than this is not worth starting after a wait: it would pass for a batch that had looked."""


class RunFailedError(Exception):
    """Everything that the run tried failed; the log holds the report."""


@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(capture_cold_start_metric=False)
@logger.inject_lambda_context(clear_state=True)
def handler(event: Mapping[str, object] | None, context: LambdaContext) -> View:
    """Run once and return the report, with the original's four members beside ours.

    A second delivery of the same event finds the other run active, or nothing left to do.

    Raises:
        RunFailedError: nothing that was tried succeeded.
        KbSyncError: the run could not go on; what was done stands in the ledger.
    """
    metrics.add_metric(name="RunsStarted", unit=MetricUnit.Count, value=1)
    trigger = TICK if (event or {}).get("trigger") == TICK else SCHEDULE
    built = engine()
    if trigger == TICK:
        built = replace(built, policy=replace(built.policy, discovery="queue"))
    try:
        report = run_when_free(built, trigger, deadline(context, built.now()))
    except BusyError as error:
        reports.info("run.busy", extra={"reason": str(error)})
        metrics.add_metric(name="RunsBusy", unit=MetricUnit.Count, value=1)
        return {"status": "busy", "total_found": 0, "successfully_synced": 0, "failed": 0, "errors": []}
    emit(built, report)
    view = {**report_view(report), **original_members(report)}
    reports.info("run.ended", extra={"report": view})
    if report.status == "failed":
        raise RunFailedError(f"run {report.run_id}: {report.failed} failed, none succeeded")
    return view


def run_when_free(built: Engine, trigger: str, until: datetime) -> RunReport:
    """Run once; a batch that meets a tick waits for it, as both are due at the same minute of every hour.

    A batch alone looks for incidents that nobody marked: one that gave way each time would never look.

    Raises:
        BusyError: another run was active, for a batch until too little time was left; nothing was written.
    """
    give_up_at = until - SHORTEST_BATCH if trigger != TICK else built.now()
    return when_free(built, lambda: sync_once(built, trigger=trigger, deadline=until), give_up_at=give_up_at)


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
        "WithdrawalsWithheld": report.withheld,
        "ProbesMade": report.probed,
        "ProbesFailed": report.probes_failed,
        "RunsSucceeded": int(report.status == "ok"),
        "RunsDegraded": int(report.status == "degraded"),
    }
    if report.trigger != TICK:
        counts["BatchesSucceeded"] = int(report.status == "ok")
    for name, count in counts.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
    metrics.add_metric(
        name="SyncDuration", unit=MetricUnit.Milliseconds, value=round(report.duration_seconds * 1000)
    )
    _emit_waits(report)
    _emit_backlog(built)


def _emit_waits(report: RunReport) -> None:
    """Write from closed to searchable: all together under the service, each severity under its own name."""
    for times in report.searchable:
        values = {
            "ClosedToSearchableP50": times.p50,
            "ClosedToSearchableP95": times.p95,
            "ClosedToSearchableMax": times.longest,
        }
        for name, seconds in values.items():
            if not times.severity:
                metrics.add_metric(name=name, unit=MetricUnit.Seconds, value=seconds)
                continue
            with single_metric(
                name=name, unit=MetricUnit.Seconds, value=seconds, namespace=NAMESPACE,
                default_dimensions={"service": SERVICE},
            ) as metric:  # fmt: skip
                metric.add_dimension(name="severity", value=times.severity)
    late = sum(times.late for times in report.searchable if not times.severity)
    metrics.add_metric(name="SearchableLate", unit=MetricUnit.Count, value=late)


def _emit_backlog(built: Engine) -> None:
    """Write how long the oldest entry waits; a run is not failed by a count that could not be read."""
    try:
        oldest = built.ledger.oldest_pending()
    except RetriableError as error:
        logger.warning("backlog.unknown", extra={"reason": str(error)})
        return
    waits = (built.now() - oldest).total_seconds() if oldest else 0.0
    metrics.add_metric(name="OldestPendingSeconds", unit=MetricUnit.Seconds, value=max(waits, 0.0))
