"""Failures: count attempts once it is known whose fault they were, quarantine, say so on the incident.

Invariant: throttles, outages, conflicts and failures that hit more than half of a run cost nobody an attempt.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from kbsync.model import (
    Stage,
    State,
    SyncRecord,
    SyncStatus,
)
from kbsync.pipeline.mark import moved, queued, save_records, settled
from kbsync.pipeline.plan import holds_document
from kbsync.pipeline.run import Run

SYSTEMIC_FROM = 5
"""More than half of at least this many documents failing is no incident's fault (DESIGN.md, section 3)."""
MAX_BACKOFF_SECONDS = 86_400.0


def is_systemic(failed: int, tried: int) -> bool:
    """Whether so many failures among those tried point at us or at a service, not at the incidents."""
    total = failed + tried
    return total >= SYSTEMIC_FROM and failed * 2 > total


def settle_failures(run: Run, *, succeeded: int) -> None:
    """Count one attempt for each incident that failed in a step, unless the step failed as a whole."""
    failed, size = run.failures, run.engine.policy.page_size
    if is_systemic(len(failed), succeeded):
        run.systemic = True
        run.say(f"{len(failed)} of {len(failed) + succeeded} documents failed: no incident is blamed for it")
    for start in range(0, len(failed), size):
        _settle_page(run, failed[start : start + size])
    run.failures = []


def hold_against(run: Run, incident_ids: Sequence[str], reason: str) -> None:
    """Count one attempt at once: an incident that kills the process would never reach the end of a run."""
    records = run.engine.ledger.records(incident_ids)
    noted = []
    for record in records.values():
        run.fail(record.incident_id, reason)
        blamed = moved(record, State.PENDING, reason, run_id=run.run_id, at=run.engine.now())
        noted.append((replace(blamed, refused=False), record.due))
    save_records(run, noted)
    _settle_page(run, list(records))
    run.failures = [each for each in run.failures if each not in records]


def _settle_page(run: Run, incident_ids: Sequence[str]) -> None:
    run.lease.ensure()
    records = run.engine.ledger.records(incident_ids)
    incidents = run.engine.incidents.read(incident_ids)
    changes, notes = [], []
    for record in records.values():
        counted = record if run.systemic else replace(record, attempts=record.attempts + 1)
        changes.append((_next_step(run, counted), record.due))
        stored = incidents.get(record.incident_id)
        if stored is not None:
            notes.append((stored, _note(run, counted)))
    # Where an incident changed meanwhile, the note is not written: the next look will say what is so then.
    run.engine.incidents.write_sync_statuses(notes)
    save_records(run, changes)


def _next_step(run: Run, record: SyncRecord) -> SyncRecord:
    """Back off, or quarantine after the last attempt; what the knowledge base refused is withdrawn first."""
    policy, now = run.engine.policy, run.engine.now()
    if record.attempts >= policy.max_attempts and not run.systemic:
        run.count(quarantined=1)
        run.quarantined.append(record.incident_id)
        if record.refused and holds_document(record):
            record = moved(record, State.WITHDRAWING, record.reason, run_id=run.run_id, at=now)
            record = replace(record, target=State.QUARANTINED, fingerprint="")
            return queued(record, Stage.PUBLISH, at=run.later(), shards=policy.shards)
        return settled(moved(record, State.QUARANTINED, record.reason, run_id=run.run_id, at=now))
    run.waiting += 1
    wait = min(policy.backoff_seconds * 2 ** max(record.attempts - 1, 0), MAX_BACKOFF_SECONDS)
    return queued(record, Stage.PUBLISH, at=run.later() + timedelta(seconds=wait), shards=policy.shards)


def _note(run: Run, record: SyncRecord) -> SyncStatus:
    """Return what the incident's own map says of a failure."""
    return SyncStatus(
        synced=False,
        sync_attempts=record.attempts,
        last_sync_attempt=run.engine.now(),
        last_sync_error=record.reason,
    )
