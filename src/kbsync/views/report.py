"""Runs as plain values. Imports the model, ports and queueing only; every value fits JSON."""

from datetime import datetime

from kbsync.engine import Engine
from kbsync.queueing import utc_text
from kbsync.run_report import RunReport

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
        "objects_written": report.objects_written,
        "objects_deleted": report.objects_deleted,
        "job_id": report.job_id,
        "errors": [{"incident_id": each.incident_id, "error": each.error} for each in report.errors],
        "messages": list(report.messages),
    }


def runs_view(engine: Engine, *, limit: int) -> View:
    """Return the newest runs, newest first."""
    return {"runs": [report_view(each) for each in engine.ledger.runs(limit=limit)]}
