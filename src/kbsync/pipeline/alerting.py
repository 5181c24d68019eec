"""Alerts on transitions: once when something starts, once when it is over. Knows the Alerts and Ledger ports.

Invariant: an alert that cannot be delivered never fails or repeats the sync; it shows in the report instead.
"""

import json

from kbsync.alert_subject import subject_line
from kbsync.errors import KbSyncError
from kbsync.model import RunReport
from kbsync.pipeline.brake_memory import read_brake
from kbsync.pipeline.run import Run

MAX_IDS_NAMED = 5
_OVER = {"run": "kbsync: recovered", "brake": "kbsync: no withdrawals wait for approval any more"}


def alert_on_transitions(run: Run) -> None:
    """Send at most one alert for each condition that began, and one notice for each that ended."""
    report = run.report
    trouble = report.failed > 0 or run.systemic or report.status not in ("ok", "degraded")
    _track(run, "run", active=trouble, subject=f"kbsync: the run is {report.status}", body=_body(report))
    _track(
        run,
        "brake",
        active=report.withheld > 0,
        subject=f"kbsync: {report.withheld} withdrawals wait for approval",
        body=_withheld_body(run),
    )
    if run.quarantined:
        named = ", ".join(run.quarantined[:MAX_IDS_NAMED])
        count = len(run.quarantined)
        _send(
            run,
            f"kbsync: {count} incident(s) quarantined",
            f"Run {report.run_id} set {count} incident(s) aside after their last attempt: {named}.\n"
            "See `kbsync quarantine`, then `kbsync retry ID`.",
        )


def _body(report: RunReport) -> str:
    lines = [f"Run {report.run_id}: {report.status}, {report.failed} failed, {report.pending} waiting."]
    lines += report.messages
    lines += [f"{error.incident_id}: {error.error}" for error in report.errors]
    return "\n".join(lines)


def _withheld_body(run: Run) -> str:
    brake = read_brake(run.engine)
    causes = ", ".join(f"{count} {cause}" for cause, count in brake.causes.items())
    return (
        f"More documents would go than may go unasked in a day: {causes}. Either incidents are gone from the "
        "table, or a setting that says which ones are searchable has changed. All else goes on.\n"
        f"Look at them: `kbsync approve`. Let them go: `kbsync approve {brake.plan}`."
    )


def _track(run: Run, name: str, *, active: bool, subject: str, body: str) -> None:
    """Send where the condition differs from the one remembered in the ledger."""
    ledger, key = run.engine.ledger, f"alert:{name}"
    remembered = ledger.read_value(key)
    if active == bool(remembered):
        return
    if not active:
        subject, body = _OVER[name], f"Run {run.run_id}: {run.report.status}."
    if _send(run, subject, body):  # what was not delivered is tried again with the next run
        ledger.write_value(key, json.dumps({"run_id": run.run_id}) if active else "")


def _send(run: Run, subject: str, body: str) -> bool:
    try:
        run.engine.alerts.send(subject_line(subject), body)
    except (KbSyncError, OSError) as error:
        run.say(f"an alert could not be delivered: {type(error).__name__}")
        return False
    return True
