"""Discover: find who is due and mark it in the ledger's queue. Knows the IncidentStore and Ledger ports.

    rules changed   every record rendered by another version is marked once (checkpointed)
    DISCOVERY       queue: nothing to do, writers mark. index: page the status index to its end.
                    auto: the queue alone once marking is on and one full pass begun after that has finished.

Invariant: discovery only marks. What is marked stays due until the publisher has looked at it.
"""

import json
from collections.abc import Callable, Iterable

from kbsync.engine import Engine
from kbsync.errors import RetriableError
from kbsync.model import Mark, Stage, State, StoredIncident, SyncRecord
from kbsync.pipeline.plan import says_synced
from kbsync.pipeline.run import Run
from kbsync.queueing import in_stage, is_closed

RENDERED_BY = "rendered_by"
MARKING = "marking"

_AT_REST = frozenset({State.WITHDRAWN, State.EXCLUDED})


def turn_marking_on(engine: Engine, *, table_is_empty: bool) -> None:
    """Note that every writer marks from now on; an empty table needs no full pass. Harmless to repeat."""
    if not engine.ledger.read_value(MARKING):
        closed = sorted(engine.policy.closed_statuses)
        state = {"on": True, "passed": table_is_empty, "cursor": "", "closed": closed}
        engine.ledger.write_value(MARKING, json.dumps(state), expected="")


def discover_changes(run: Run) -> None:
    """Mark everything that is due and that no writer has marked.

    What is marked already is worked on even where the table cannot be listed: the next run lists it again.
    """
    try:
        queue_outdated(run)
        _look_for_unmarked(run)
    except RetriableError as error:
        run.systemic = True
        run.say(f"the incidents could not be listed: {error}")


def _look_for_unmarked(run: Run) -> None:
    policy = run.engine.policy
    if policy.discovery == "queue":
        return
    marking = json.loads(run.engine.ledger.read_value(MARKING) or "{}")
    if policy.discovery == "auto" and marking.get("on"):
        closed = sorted(policy.closed_statuses)
        if closed != sorted(marking["closed"]):  # a status counts as closed, or as open, that did not before
            marking = {**marking, "passed": False, "cursor": "", "closed": closed}
        if not marking["passed"]:
            _full_pass(run, marking)
        return
    for status in policy.closed_statuses:
        _page_status(run, status, lambda page: _unsynced(run, page))
    for status in policy.other_statuses:
        _page_status(run, status, lambda page: _held(run, page))


def queue_outdated(run: Run) -> None:
    """Mark every record that other rules or another template rendered: one pass, resumed after a kill."""
    ledger, current = run.engine.ledger, run.engine.transform.rendered_by
    stored = json.loads(ledger.read_value(RENDERED_BY) or "{}")
    if stored.get("rendered_by") != current:
        stored = {"rendered_by": current, "cursor": "", "done": False}
    while not stored["done"] and not run.out_of_time:
        run.lease.ensure()
        page = ledger.list_records(state=None, cursor=stored["cursor"], limit=run.engine.policy.page_size)
        _mark(run, (record.incident_id for record in page.items if _is_outdated(record, current)))
        stored = {"rendered_by": current, "cursor": page.cursor, "done": not page.cursor}
        ledger.write_value(RENDERED_BY, json.dumps(stored))


def _is_outdated(record: SyncRecord, current: str) -> bool:
    if in_stage(record, Stage.HELD):  # by rules that are no more
        return True
    waits = bool(record.queue) and not record.rendered_by
    return record.rendered_by != current and not waits and record.state is not State.WITHDRAWN


def _mark(run: Run, incident_ids: Iterable[str]) -> None:
    now = run.report.started_at
    marks = [Mark(incident_id, now) for incident_id in incident_ids]
    if marks:
        run.engine.ledger.mark(marks)


def _full_pass(run: Run, marking: dict[str, object]) -> None:
    """Look at the whole base table once, so that nothing written before marking was on is missed."""
    cursor = str(marking["cursor"])
    while not run.out_of_time:
        run.lease.ensure()
        page = run.engine.incidents.scan(cursor=cursor, limit=run.engine.policy.page_size)
        by_closed: dict[bool, list[StoredIncident]] = {True: [], False: []}
        for each in page.items:
            by_closed[is_closed(each.attributes, run.engine.policy.closed_statuses)].append(each)
        _mark(run, _unsynced(run, by_closed[True]))
        _mark(run, _held(run, by_closed[False]))
        cursor = page.cursor
        state = {**marking, "passed": not cursor, "cursor": cursor}
        run.engine.ledger.write_value(MARKING, json.dumps(state))
        if not cursor:
            return


def _page_status(run: Run, status: str, due: Callable[[tuple[StoredIncident, ...]], Iterable[str]]) -> None:
    """Page one status of the index to its end; a run that stops early goes on from its cursor next time."""
    ledger, name = run.engine.ledger, f"index_cursor:{status}"
    cursor = ledger.read_value(name)
    while not run.out_of_time:
        run.lease.ensure()
        page = run.engine.incidents.list_by_status(status, cursor=cursor, limit=run.engine.policy.page_size)
        _mark(run, due(page.items))
        cursor = page.cursor
        if not cursor:
            break
        ledger.write_value(name, cursor)
    ledger.write_value(name, cursor)


def _unsynced(run: Run, items: Iterable[StoredIncident]) -> list[str]:
    """Return the closed incidents that no record holds, or that do not say `synced: true`."""
    items = list(items)
    records = run.engine.ledger.records([each.incident_id for each in items])
    due = []
    for each in items:
        record = records.get(each.incident_id)
        if record is None or (not record.queue and not _is_at_rest(record, each)):
            due.append(each.incident_id)
    return due


def _is_at_rest(record: SyncRecord, stored: StoredIncident) -> bool:
    """Whether nothing is owed to a closed incident: excluded, or indexed and said so on both sides."""
    return record.state is State.EXCLUDED or (record.state is State.INDEXED and says_synced(stored))


def _held(run: Run, items: Iterable[StoredIncident]) -> list[str]:
    """Return the incidents that are not closed although we hold a document, or a wish for one, of them."""
    records = run.engine.ledger.records([each.incident_id for each in items])
    return [r.incident_id for r in records.values() if not r.queue and r.state not in _AT_REST]
