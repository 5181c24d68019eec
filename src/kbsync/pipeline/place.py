"""Place: where documents stand and who reads them; noticed when it changes. Knows the ports, under the lease.

    another bucket                    nothing of ours is known there: every document is put
    another knowledge base, or        the documents stand: nothing is put, a job is owed, and each one is
    ingestion by jobs from now on     confirmed anew

One checkpointed pass over the records, resumed after a kill. Invariant: when it is through, no record claims
anything of a place that is not the present one; the old place is named and left to a person.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from kbsync.model import Mark, State, SyncRecord
from kbsync.pipeline.ingest import owe_job
from kbsync.pipeline.mark import moved, save_records
from kbsync.pipeline.objects import unsay_synced
from kbsync.pipeline.plan import holds_document
from kbsync.pipeline.run import Run

PLACE = "place"
MOVED = "the documents' place has changed"


def follow_place(run: Run) -> None:
    """Queue every record that tells of another place than the present one; a repeat goes on or does nothing.

    A ledger that knows no place yet is taken to tell of the present one.

    Raises:
        RetriableError: the pass could not go on; nothing was published, the next run goes on with it.
    """
    ledger, current = run.engine.ledger, asdict(run.engine.policy.place)
    text = ledger.read_value(PLACE)
    if not text:
        ledger.write_value(PLACE, json.dumps({**current, "done": True}))
        return
    stored = json.loads(text)
    known = {name: stored[name] for name in current}
    if known != current:
        put_again = known["documents"] != current["documents"] or stored.get("put_again", False)
        stored = {**current, "before": known, "cursor": "", "done": False, "put_again": put_again}
    if not stored["done"]:
        _say_moved(run, stored["before"], current)
        _go_through(run, stored)


def _go_through(run: Run, stored: dict[str, Any]) -> None:  # Any: the JSON that follow_place wrote
    ledger = run.engine.ledger
    while not stored["done"] and not run.out_of_time:
        run.lease.ensure()
        page = ledger.list_records(state=None, cursor=stored["cursor"], limit=run.engine.policy.page_size)
        _follow_page(run, page.items, put_again=stored["put_again"])
        stored |= {"cursor": page.cursor, "done": not page.cursor}
        if stored["done"]:
            stored["put_again"] = False
        ledger.write_value(PLACE, json.dumps(stored))


def _say_moved(run: Run, before: dict[str, str], current: dict[str, str]) -> None:
    changed = [name for name in current if before[name] != current[name]]
    old, new = (" and ".join(place[name] or "nobody" for name in changed) for place in (before, current))
    run.say(
        f"documents went to {old} and now go to {new}: all of them are published anew, and what is left in "
        "the old place is no longer looked after"
    )


def _follow_page(run: Run, records: Iterable[SyncRecord], *, put_again: bool) -> None:
    """Mark first: records that are due are saved many at a time."""
    now = run.engine.now()
    ids = [record.incident_id for record in records if _tells_of_a_place(record)]
    if not ids:
        return
    unsay_synced(run, run.engine.incidents.read(ids).values())
    run.engine.ledger.mark([Mark(each, run.report.started_at, create=False) for each in ids])
    owe_job(run, now)
    marked = run.engine.ledger.records(ids).values()
    save_records(run, [(_at(run, record, now, put_again=put_again), record.due) for record in marked])


def _tells_of_a_place(record: SyncRecord) -> bool:
    return holds_document(record) or record.state in (State.WITHDRAWING, State.QUARANTINED)


def _at(run: Run, record: SyncRecord, now: datetime, *, put_again: bool) -> SyncRecord:
    """Return the record without what it says of the old place; what was refused there may be taken here."""
    if put_again:
        record = replace(record, document_key="", fingerprint="", body_etag="", sidecar_etag="")
        record = replace(record, json_key="", json_hash="", json_etag="", published_at=None)
    else:
        record = replace(record, published_at=now)
    if record.state is State.QUARANTINED and not record.refused:
        return record
    if record.state is State.WITHDRAWING and not put_again:
        return record
    record = moved(record, State.PENDING, MOVED, run_id=run.run_id, at=now)
    return replace(record, attempts=0, refused=False)
