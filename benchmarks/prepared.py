"""What the tables hold before a measurement: made-up incidents, pending or settled, alike in every run."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.tables import Item, Tables
from kbsync.aws.attributes import item_of
from kbsync.aws.sync_records import record_item
from kbsync.model import Stage, State, SyncRecord
from kbsync.queueing import shard_queue, utc_text

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_WORDS = [
    "pool",
    "timeout",
    "replica",
    "queue",
    "deploy",
    "certificate",
    "index",
    "cache",
    "retry",
    "cluster",
    "node",
    "disk",
    "latency",
]


def incident(number: int) -> dict[str, object]:
    """Return a closed incident whose document has about two kilobytes."""
    words = " ".join(_WORDS[(number + step * 7) % len(_WORDS)] for step in range(60))
    return {
        "incident_id": f"INC-{number:07}",
        "sk": "METADATA",
        "status": "CLOSED",
        "priority": "P2",
        "severity": "high",
        "category": "database",
        "title": f"Incident {number}: {words[:60]}",
        "description": f"Seen at {number}: {words}",
        "error_message": f"Error {number}: {words[:300]}",
        "created_at": "2025-03-10T08:00:00Z",
        "updated_at": "2025-03-10T09:30:00Z",
        "resolved_at": "2025-03-10T09:30:00Z",
        "tags": ["db", "pool"],
        "resolution": {
            "resolved_at": "2025-03-10T09:30:00Z",
            "resolution_type": "fix",
            "description": f"Raised the limit. {words}",
            "root_cause": f"Leak. {words[:200]}",
        },
    }


def pending(number: int) -> SyncRecord:
    """Return the record that a mark leaves."""
    return SyncRecord(
        incident_id=f"INC-{number:07}",
        state=State.PENDING,
        queue=shard_queue(Stage.PUBLISH, 0),
        due=f"{utc_text(BEGAN + timedelta(seconds=number))}#{number:08x}",
        pending_since=BEGAN,
    )


def prepare(tables: Tables, asked: Mapping[str, Any]) -> None:
    """Store what is asked for: `pending` ones with marks, a `history` of settled ones, edits, reopenings."""
    for number in range(asked.get("pending", 0)):
        tables.store("incidents", item_of(incident(number)))
        tables.store("kbsync", record_item(pending(number)))
    for item in _settled(asked.get("history", 0), asked.get("rendered_by", "")):
        tables.store("kbsync", item)
    for number in range(asked.get("edit", 0)):
        _change(tables, number, {"description": f"Edited {asked['word']}: {number}"})
    for number in range(asked.get("reopen", 0)):
        _change(tables, number, {"status": "REOPENED"})


def _settled(count: int, rendered_by: str) -> Iterator[Item]:
    """Yield whole records of incidents that need nothing; they share equal values, so a million take 1 GB."""
    record = SyncRecord(
        incident_id="OLD",
        state=State.INDEXED,
        source_version="a" * 64,
        fingerprint="b" * 64,
        document_key="incidents/OLD.md",
        body_etag="c" * 32,
        sidecar_etag="d" * 32,
        rendered_by=rendered_by,
        published_at=BEGAN,
        indexed_at=BEGAN,
    )
    like = record_item(record)
    for number in range(count):
        yield {**like, "pk": {"S": f"incident#OLD-{number:07}"}}


def _change(tables: Tables, number: int, change: dict[str, object]) -> None:
    """Change an incident and mark it, as its owner's write and the stream function do."""
    marked = pending(number)
    key = (f"INC-{number:07}", "METADATA")
    tables.items["incidents"][key] = {**tables.items["incidents"][key], **item_of(change)}
    record = tables.items["kbsync"][f"incident#{marked.incident_id}", "record"]
    queue = {"queue": marked.queue, "due": marked.due, "pending_since": utc_text(BEGAN)}
    tables.store("kbsync", {**record, **item_of(queue)})
