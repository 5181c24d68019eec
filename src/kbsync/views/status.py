"""How things stand, in numbers that add up; and what is set aside. Imports the model and ports only.

    sum(states) + not_closed = incidents

`pending` includes incidents that wait for their first look, and closed ones that no record holds yet;
`not_closed` those with nothing to withdraw, a confirmed withdrawal included; tombstones are apart. `withheld`
counts the documents that the deletion brake keeps, of incidents in whatever state.
Invariant: counts and bounded samples only, whatever the table's size.
"""

from collections import Counter
from datetime import timedelta

from kbsync.engine import Engine
from kbsync.freshness import DAYS_SHOWN, recent_waits, summaries
from kbsync.model import Stage, State, SyncRecord
from kbsync.probing import read_probes
from kbsync.queueing import due_until, shard_queue
from kbsync.shards import count_held, covered_shards
from kbsync.views.report import View, iso, report_view, times_view

_PAGE = 100


def status_view(engine: Engine) -> View:
    """Return the state of everything; reads only, so it may be asked while a run is going on."""
    by_status = engine.incidents.count_by_status()
    records, tombstones = engine.ledger.count_records()
    total = sum(by_status.values())
    closed = sum(count for text, count in by_status.items() if text.strip() in engine.policy.closed_statuses)
    deleted: Counter[State] = Counter()
    if sum(records.values()) - records.get(State.WITHDRAWN, 0) > total:
        deleted = _deleted_since_last_look(engine)
    states = {
        state: records.get(state, 0) - deleted[state] for state in State if state is not State.WITHDRAWN
    }
    rest = max(total - sum(states.values()), 0)
    unrecorded = min(max(closed - sum(states.values()), 0), rest)
    states[State.PENDING] += unrecorded
    oldest = engine.ledger.oldest_pending()
    last, probes = engine.ledger.runs(limit=1), read_probes(engine)
    return {
        "states": {str(state): count for state, count in states.items()},
        "not_closed": rest - unrecorded,
        "incidents": total,
        "withheld": count_held(engine),
        "tombstones": tombstones + sum(deleted.values()),
        "oldest_pending_seconds": round((engine.now() - oldest) / timedelta(seconds=1)) if oldest else None,
        "probes": {
            "last": probes.last or None,
            "failing": [
                {
                    "incident_id": each,
                    "finding": found["finding"],
                    "since": found["since"],
                    "runs": found["times"],
                }
                for each, found in probes.failing.items()
            ],
        },
        "last_run": report_view(last[0]) if last else None,
        "closed_to_searchable_seconds": {
            **times_view(summaries(recent_waits(engine))),
            "days": DAYS_SHOWN,
            "objective": engine.policy.searchable_within_seconds,
        },
    }


def _deleted_since_last_look(engine: Engine) -> Counter[State]:
    """Count, by state, the queued records whose incident was deleted and that no run has looked at yet."""
    deleted: Counter[State] = Counter()
    until = due_until(engine.now())
    for shard in range(covered_shards(engine)):
        queue, after = shard_queue(Stage.PUBLISH, shard), ""
        while entries := engine.ledger.due(queue, until=until, after=after, limit=_PAGE):
            after = entries[-1].due
            ids = [entry.incident_id for entry in entries]
            present = engine.incidents.read(ids)
            held = engine.ledger.records(ids).values()
            deleted.update(r.state for r in held if r.incident_exists and r.incident_id not in present)
    return deleted


def quarantine_view(engine: Engine, *, limit: int) -> View:
    """Return the incidents set aside, each with its reason, and how many there are in all."""
    page = engine.ledger.list_records(state=State.QUARANTINED, cursor="", limit=limit)
    counts, _ = engine.ledger.count_records()
    total = max(counts.get(State.QUARANTINED, 0), len(page.items))
    return {
        "quarantined": [_set_aside(record) for record in page.items],
        "total": total,
        "left_out": total - len(page.items),
    }


def _set_aside(record: SyncRecord) -> View:
    return {
        "incident_id": record.incident_id,
        "reason": record.reason,
        "attempts": record.attempts,
        "since": iso(record.transitions[-1].at) if record.transitions else None,
        "stale_document": bool(record.body_etag),
    }
