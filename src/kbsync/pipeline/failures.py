"""Failures: count attempts once it is known whose fault they were, quarantine, say so on the incident.

Invariant: throttles, outages, conflicts and failures that hit more than half of a run cost nobody an attempt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
MAX_SYSTEMIC_BACKOFF_SECONDS = 3_600.0
"""What failed as a whole is tried again at least hourly: nobody knows when it is over."""
SYSTEMIC_RUNS = "systemic_runs"


@dataclass(frozen=True, slots=True)
class Blame:
    """Whose fault the failures of a step are; `episodes` counts the runs in a row that failed as a whole."""

    own: bool = True
    episodes: int = 0


def is_systemic(failed: int, tried: int) -> bool:
    """Whether so many failures among those tried point at us or at a service, not at the incidents."""
    total = failed + tried
    return total >= SYSTEMIC_FROM and failed * 2 > total


def settle_failures(run: Run, step: Stage, *, succeeded: int, job_failed: bool = False) -> None:
    """Count one attempt for each incident that failed in a step, unless the step failed as a whole."""
    failed, size = run.failures, run.engine.policy.page_size
    if not failed:
        if succeeded:
            _episodes(run, step, systemic=False)
        return
    systemic = is_systemic(len(failed), succeeded)
    if systemic:
        run.systemic = True
        run.say(f"{len(failed)} of {len(failed) + succeeded} documents failed: no incident is blamed for it")
    as_a_whole = systemic or job_failed
    blame = Blame(own=not as_a_whole, episodes=_episodes(run, step, systemic=as_a_whole))
    for start in range(0, len(failed), size):
        _settle_page(run, failed[start : start + size], blame)
    run.failures = []


def _episodes(run: Run, step: Stage, *, systemic: bool) -> int:
    """Return in how many runs in a row this step failed as a whole, this one included, and remember it.

    Each step has its own count: documents that are put well and refused afterwards are no end of the refusal.
    """
    ledger, name = run.engine.ledger, f"{SYSTEMIC_RUNS}:{step}"
    known = int(ledger.read_value(name) or 0)
    episodes = known + 1 if systemic else 0
    if episodes != known:
        ledger.write_value(name, str(episodes) if episodes else "")
    return episodes


def hold_against(run: Run, incident_ids: Sequence[str], reason: str) -> None:
    """Count one attempt at once: an incident that kills the process would never reach the end of a run.

    It is held against this very content under these rules: once quarantined, it is not rendered again.
    """
    records = run.engine.ledger.records(incident_ids)
    incidents = run.engine.incidents.read(incident_ids)
    transform, noted = run.engine.transform, []
    for record in records.values():
        run.fail(record.incident_id, reason)
        state = State.WITHDRAWING if record.state is State.WITHDRAWING else State.PENDING
        blamed = moved(record, state, reason, run_id=run.run_id, at=run.engine.now())
        stored = incidents.get(record.incident_id)
        version = transform.source_version(stored.attributes) if stored is not None else ""
        if (record.source_version, record.rendered_by) != (version, transform.rendered_by):
            blamed = replace(blamed, attempts=0)
        blamed = replace(blamed, source_version=version, rendered_by=transform.rendered_by)
        noted.append((replace(blamed, refused=False), record.due))
    save_records(run, noted)
    _settle_page(run, list(records), Blame())
    run.failures = [each for each in run.failures if each not in records]


def _settle_page(run: Run, incident_ids: Sequence[str], blame: Blame) -> None:
    run.lease.ensure()
    records = run.engine.ledger.records(incident_ids)
    incidents = run.engine.incidents.read(incident_ids)
    changes, notes = [], []
    for record in records.values():
        counted = replace(record, attempts=record.attempts + 1) if blame.own else record
        changes.append((_next_step(run, counted, blame), record.due))
        stored = incidents.get(record.incident_id)
        if stored is not None:
            notes.append((stored, _note(run, counted)))
    # Where an incident changed meanwhile, the note is not written: the next look will say what is so then.
    run.engine.incidents.write_sync_statuses(notes)
    save_records(run, changes)


def _next_step(run: Run, record: SyncRecord, blame: Blame) -> SyncRecord:
    """Back off, or quarantine after the last attempt; what the knowledge base refused is withdrawn first.

    A withdrawal is never given up.
    """
    policy, now = run.engine.policy, run.engine.now()
    if blame.own and record.attempts >= policy.max_attempts and record.state is not State.WITHDRAWING:
        run.count(quarantined=1)
        run.quarantined.append(record.incident_id)
        if record.refused and holds_document(record):
            record = moved(record, State.WITHDRAWING, record.reason, run_id=run.run_id, at=now)
            record = replace(record, target=State.QUARANTINED, fingerprint="")
            return queued(record, Stage.PUBLISH, at=run.later(), shards=policy.shards)
        return settled(moved(record, State.QUARANTINED, record.reason, run_id=run.run_id, at=now))
    run.waiting += 1
    if blame.own:
        wait = min(policy.backoff_seconds * 2 ** max(record.attempts - 1, 0), MAX_BACKOFF_SECONDS)
    else:
        wait = min(policy.backoff_seconds * 2 ** max(blame.episodes - 1, 0), MAX_SYSTEMIC_BACKOFF_SECONDS)
    return queued(record, Stage.PUBLISH, at=run.later() + timedelta(seconds=wait), shards=policy.shards)


def _note(run: Run, record: SyncRecord) -> SyncStatus:
    """Return what the incident's own map says of a failure."""
    return SyncStatus(
        synced=False,
        sync_attempts=record.attempts,
        last_sync_attempt=run.engine.now(),
        last_sync_error=record.reason,
    )
