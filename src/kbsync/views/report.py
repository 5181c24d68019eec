"""Runs as plain values. Imports the model, ports and queueing only; every value fits JSON."""

from collections.abc import Sequence
from datetime import datetime

from kbsync.engine import Engine
from kbsync.queueing import utc_text
from kbsync.run_report import RunReport, SearchableTimes

View = dict[str, object]
"""Names and JSON values; absent values are None, never left out."""


def iso(moment: datetime | None) -> str | None:
    """Return a moment as ISO 8601 in UTC to the second, None for none."""
    return utc_text(moment)[:19] + "Z" if moment else None


def report_view(report: RunReport) -> View:
    """Return a run with its counts first; `errors` is the sample that the report holds, `failed` is whole."""
    return {
        "run_id": report.run_id,
        "status": report.status,
        "trigger": report.trigger,
        "started_at": iso(report.started_at),
        "ended_at": iso(report.ended_at),
        "duration_seconds": report.duration_seconds,
        "found": report.found,
        "published": report.published,
        "metadata_only": report.metadata_only,
        "unchanged": report.unchanged,
        "withdrawn": report.withdrawn,
        "indexed": report.indexed,
        "failed": report.failed,
        "quarantined": report.quarantined,
        "excluded": report.excluded,
        "pending": report.pending,
        "withheld": report.withheld,
        "probed": report.probed,
        "probes_failed": report.probes_failed,
        "objects_written": report.objects_written,
        "objects_deleted": report.objects_deleted,
        "job_id": report.job_id,
        "closed_to_searchable_seconds": times_view(report.searchable),
        "errors": [{"incident_id": each.incident_id, "error": each.error} for each in report.errors],
        "messages": list(report.messages),
    }


def times_view(times: Sequence[SearchableTimes]) -> View:
    """Return the times of all together, and of each severity; None where nothing was counted."""
    whole = next((each for each in times if not each.severity), None)
    return {
        **_times(whole or SearchableTimes("", 0, 0, 0.0, 0.0, 0.0)),
        "by_severity": {each.severity: _times(each) for each in times if each.severity},
    }


def _times(times: SearchableTimes) -> View:
    counted = times.count > 0
    return {
        "count": times.count,
        "late": times.late,
        "p50": times.p50 if counted else None,
        "p95": times.p95 if counted else None,
        "max": times.longest if counted else None,
    }


def runs_view(engine: Engine, *, limit: int) -> View:
    """Return the newest runs, newest first."""
    return {"runs": [report_view(each) for each in engine.ledger.runs(limit=limit)]}
