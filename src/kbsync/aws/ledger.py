"""Ledger on AWS: sync records, queue, leases, values and runs in one DynamoDB table.

Imports the table, its parts, the model and queueing. Keys: `incident#<id>`/`record` (the end of the longest
ids stands behind `record#`), `value#<name>`/`value`, `lease#<name>`/`lease`, `run`/`<start>#<run id>`.
Invariant: every read is strongly consistent but those of the index, whose callers read the record again; what
has expired counts as gone before TTL has deleted it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pydantic import TypeAdapter

from kbsync.aws.attributes import Item, attributes_of, item_of
from kbsync.aws.aws_errors import translated_aws_errors
from kbsync.aws.dynamo_table import DynamoTable
from kbsync.aws.leases import DynamoLeases
from kbsync.aws.record_marks import RecordMarks
from kbsync.aws.record_writes import RecordWrites
from kbsync.aws.sync_records import epoch_seconds, id_of, is_gone, is_record, key_of, record_of
from kbsync.aws.tables import EXPIRES_AT, QUEUE_INDEX
from kbsync.model import Clock, Lease, Mark, QueueEntry, Save, SaveOutcome, State, SyncRecord
from kbsync.ports import Page
from kbsync.queueing import utc_text
from kbsync.run_report import RunReport

RUN_DAYS = 90
_RUN = "run"
_REPORT = TypeAdapter(RunReport)


class DynamoLedger:
    """Implements ports.Ledger over `KBSYNC_TABLE`; `now` tells which items have expired."""

    def __init__(self, table: DynamoTable, shards: int, now: Clock) -> None:
        self._table = table
        self._now = now
        self._marks = RecordMarks(table, shards, now)
        self._writes = RecordWrites(table, now)
        self._leases = DynamoLeases(table)

    def acquire_lease(
        self, name: str, owner: str, *, now: datetime, seconds: float, grace_seconds: float
    ) -> Lease:
        """Take a lease that is free or long expired; else raise BusyError."""
        return self._leases.acquire(name, owner, now=now, seconds=seconds, grace_seconds=grace_seconds)

    def renew_lease(self, lease: Lease, *, now: datetime, seconds: float) -> Lease:
        """Extend a lease that is still ours; raise LeaseLostError where another holder has it."""
        return self._leases.renew(lease, now=now, seconds=seconds)

    def release_lease(self, lease: Lease) -> None:
        """Free the lease if it is still ours; otherwise nothing happens."""
        self._leases.release(lease)

    def records(self, incident_ids: Sequence[str]) -> dict[str, SyncRecord]:
        """Return the records with these ids; ids without one are left out."""
        return self._marks.read(incident_ids)

    def mark(self, marks: Sequence[Mark]) -> None:
        """Put each incident into the publish queue with a due of its own."""
        self._marks.mark(marks)

    def save(self, saves: Sequence[Save]) -> list[SaveOutcome]:
        """Write records, each on its own condition; what was written before an error stays: repeat it."""
        return self._writes.save(saves)

    def drop(self, saves: Sequence[Save]) -> list[SaveOutcome]:
        """Forget the records whose due is still the one read."""
        return self._writes.drop(saves)

    def due(self, queue: str, *, until: str, after: str, limit: int) -> list[QueueEntry]:
        """Return the oldest entries with `after < due <= until`, by due; one query of the sparse index."""
        if not queue or after >= until:
            return []
        bounds = {":queue": queue, ":until": until, ":after": after}
        text = "#queue = :queue AND #due BETWEEN :after AND :until"
        if not after:
            del bounds[":after"]
            text = "#queue = :queue AND #due <= :until"
        with translated_aws_errors(self._table.subject):
            answer = self._table.client.query(
                TableName=self._table.name,
                IndexName=QUEUE_INDEX,
                KeyConditionExpression=text,
                ExpressionAttributeNames={"#queue": "queue", "#due": "due"},
                ExpressionAttributeValues=item_of(bounds),
                Limit=limit + 1,
            )
        entries = [QueueEntry(id_of(item), queue, str(item["due"]["S"])) for item in answer["Items"]]
        return [entry for entry in entries if entry.due > after][:limit]

    def list_records(self, *, state: State | None, cursor: str, limit: int) -> Page[SyncRecord]:
        """Return one page of all records, or of those in one state, in the table's own order.

        A page is full or the last one. Reads the whole table in the end, whatever the state: about an eighth
        of a million read units for a million records.
        """
        if limit < 1:
            raise ValueError("a page holds at least one item")
        found: list[SyncRecord] = []
        now = self._now()
        query = _filter_of(state) if state else {"Limit": limit + 1}
        for item in self._table.scan(query, key_of(cursor) if cursor else None):
            if not is_record(item) or is_gone(item, now):
                continue
            if len(found) == limit:
                return Page(tuple(found), found[-1].incident_id)
            found.append(record_of(item))
        return Page(tuple(found))

    def count_records(self) -> tuple[dict[State, int], int]:
        """Return the number of records of incidents that exist, by state, and the number of tombstones.

        Reads the whole table, like `list_records`.
        """
        names = {
            "#pk": "pk",
            "#sk": "sk",
            "#state": "state",
            "#exists": "incident_exists",
            "#ends": EXPIRES_AT,
        }
        projection = {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
        states: dict[State, int] = {}
        tombstones = 0
        now = self._now()
        for item in self._table.scan(projection):
            if not is_record(item) or is_gone(item, now):
                continue
            if item.get("incident_exists", {}).get("BOOL") is False:
                tombstones += 1
            else:
                state = State(item["state"]["S"])
                states[state] = states.get(state, 0) + 1
        return states, tombstones

    def oldest_pending(self) -> datetime | None:
        """Return the earliest `pending_since` of all queued entries; reads the backlog's index, no record."""
        query = {"IndexName": QUEUE_INDEX, "ConsistentRead": False}
        waiting = (item["pending_since"]["S"] for item in self._table.scan(query) if "pending_since" in item)
        oldest = min(waiting, default="")
        return datetime.fromisoformat(oldest) if oldest else None

    def read_value(self, name: str) -> str:
        """Return a small named value, or an empty string where there is none."""
        with translated_aws_errors(self._table.subject):
            answer = self._table.client.get_item(
                TableName=self._table.name, Key=_value_key(name), ConsistentRead=True
            )
        return str(attributes_of(answer["Item"])["value"]) if "Item" in answer else ""

    def write_value(self, name: str, value: str, *, expected: str | None = None) -> bool:
        """Store a small named value; False where a given `expected` does not stand."""
        condition: dict[str, Any] = {}  # one of three forms, and boto3's types know no union of them
        if expected:
            condition["ConditionExpression"] = "#value = :expected"
            condition["ExpressionAttributeNames"] = {"#value": "value"}
            condition["ExpressionAttributeValues"] = item_of({":expected": expected})
        elif expected is not None:
            condition["ConditionExpression"] = "attribute_not_exists(pk)"
        key, client, table = _value_key(name), self._table.client, self._table.name
        if not value:
            write = partial(client.delete_item, TableName=table, Key=key, **condition)
        else:
            item = {**key, **item_of({"value": value})}
            write = partial(client.put_item, TableName=table, Item=item, **condition)
        return self._table.wrote(write, lambda: self.read_value(name) == value)

    def save_run(self, run: RunReport) -> None:
        """Store a run record; it stays for 90 days."""
        item = {
            **_run_key(run),
            "report": _REPORT.dump_json(run).decode(),
            EXPIRES_AT: epoch_seconds(run.started_at + timedelta(days=RUN_DAYS)),
        }
        with translated_aws_errors(self._table.subject):
            self._table.client.put_item(TableName=self._table.name, Item=item_of(item))

    def runs(self, *, limit: int) -> list[RunReport]:
        """Return the newest run records, newest first."""
        with translated_aws_errors(self._table.subject):
            pages = self._table.client.get_paginator("query").paginate(
                TableName=self._table.name,
                KeyConditionExpression="pk = :run",
                ExpressionAttributeValues=item_of({":run": _RUN}),
                ConsistentRead=True,
                ScanIndexForward=False,
                PaginationConfig={"MaxItems": limit, "PageSize": limit},
            )
            items = [item for page in pages for item in page["Items"]]
        now = self._now()
        return [_REPORT.validate_json(item["report"]["S"]) for item in items if not is_gone(item, now)]


def _filter_of(state: State) -> dict[str, Any]:
    return {
        "FilterExpression": "#state = :state",
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": item_of({":state": str(state)}),
    }


def _value_key(name: str) -> Item:
    return item_of({"pk": f"value#{name}", "sk": "value"})


def _run_key(run: RunReport) -> dict[str, object]:
    return {"pk": _RUN, "sk": f"{utc_text(run.started_at)}#{run.run_id}"}
