"""What the ledger says of runs, queue and pause: the same for every backend.

Imports ports, the pipeline's names of its values, and findings. Invariant: reads only.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

from kbsync.doctor.finding import Code, Finding, warning, well
from kbsync.pipeline.brake_memory import BRAKE, brake_of
from kbsync.pipeline.discover import MARKING
from kbsync.pipeline.pause import PAUSE
from kbsync.ports import Ledger

RUN_AGE = timedelta(hours=3)
"""As the deployed stack's alarm for missing runs."""
QUEUE_AGE = timedelta(minutes=65)
"""The objective from closed to searchable (DESIGN.md, section 7)."""

_RUNS_LOOKED_AT = 50
_WORKED = ("ok", "degraded")
_SUBJECT = "runs"


def check_runs(ledger: Ledger, now: datetime) -> Iterator[Finding]:
    """Judge when a run last worked, and how the newest one ended."""
    ended = [run for run in ledger.runs(limit=_RUNS_LOOKED_AT) if run.status != "running" and not run.dry_run]
    worked = next((run for run in ended if run.status in _WORKED), None)
    if ended and ended[0].status not in _WORKED:
        yield warning(
            Code.RUN_FAILED,
            _SUBJECT,
            f"the newest run, {ended[0].run_id}, ended as {ended[0].status}",
            "`kbsync runs` shows its messages; `kbsync explain ID` an incident's story",
        )
    if worked is None:
        yield warning(Code.RUN_OLD, _SUBJECT, "no run has worked yet", "`kbsync sync`, and then regularly")
        return
    age = now - (worked.ended_at or worked.started_at)
    seen = f"the last one that worked, {worked.run_id}, was {_hours(age)} ago"
    if age > RUN_AGE:
        remedy = "run it regularly: `kbsync watch --every 1h`, cron, or the stack's schedules (ENABLED?)"
        yield warning(Code.RUN_OLD, _SUBJECT, seen, remedy)
    else:
        yield well(Code.RUNS, _SUBJECT, seen)


def check_queue(ledger: Ledger, now: datetime) -> Iterator[Finding]:
    """Judge how long the oldest entry of the queue has been waiting."""
    oldest = ledger.oldest_pending()
    if oldest is None:
        yield well(Code.QUEUE, "queue", "nothing waits")
        return
    age = now - oldest
    if age > QUEUE_AGE:
        remedy = (
            "`kbsync sync`; where runs work, `kbsync status` and `kbsync explain ID` say what they wait for"
        )
        yield warning(Code.QUEUE_OLD, "queue", f"the oldest entry waits for {_hours(age)}", remedy)
    else:
        yield well(Code.QUEUE, "queue", f"the oldest entry waits for {_hours(age)}")


def check_pause(ledger: Ledger) -> Iterator[Finding]:
    """Say that runs are paused, where they are."""
    value = ledger.read_value(PAUSE)
    if value:
        stored = json.loads(value)
        seen = f"paused since {datetime.fromisoformat(stored['at']):%Y-%m-%d %H:%M} UTC: {stored['reason']}"
        yield warning(Code.PAUSED, _SUBJECT, seen, "`kbsync resume` lets runs work again")


def check_brake(ledger: Ledger) -> Iterator[Finding]:
    """Say that withdrawals wait for a person, where they do."""
    brake = brake_of(ledger.read_value(BRAKE))
    if brake.waiting:
        causes = ", ".join(f"{count} {cause}" for cause, count in brake.causes.items())
        yield warning(
            Code.WITHDRAWALS_HELD,
            _SUBJECT,
            f"{brake.waiting} withdrawals wait for a person ({causes})",
            "`kbsync approve` lists them; mend the table or the setting, or approve the plan",
        )


def _hours(age: timedelta) -> str:
    minutes = max(round(age.total_seconds() / 60), 0)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"  # noqa: PLR2004 - two hours


def marking_is_complete(ledger: Ledger) -> bool:
    """Whether writers mark and a full pass has finished since, so that runs read the queue alone."""
    marking = json.loads(ledger.read_value(MARKING) or "{}")
    return bool(marking.get("on") and marking.get("passed"))
