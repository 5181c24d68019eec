"""Sync records as items of the ledger table and back: flat, under the record's own names, defaults left out.

Imports the model and queueing. Invariant: a record with the few steps of a usual story takes at most 1,024
bytes, one write unit, whatever its incident holds; only its story grows, to at most twenty steps.
"""

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from kbsync.aws.attributes import Item, attributes_of, item_of
from kbsync.aws.dynamo_table import DynamoTable
from kbsync.aws.tables import EXPIRES_AT
from kbsync.model import State, SyncRecord, Transition
from kbsync.queueing import utc_text

PREFIX = "incident#"
RECORD = "record"
"""What the sort key of every sync record begins with: what else the table holds has another."""
_MOST_KEY_BYTES = 2_048
"""Source: DynamoDB Developer Guide, "Quotas": partition key 2,048 bytes, sort key 1,024. The incidents table
takes ids of that length too, so the end of one that leaves no room for the prefix stands in the sort key."""
_MOMENTS = ("published_at", "indexed_at", "pending_since", "purged_at")
_STATES = ("state", "target")
_JSON = ("redactions", "notes")
_DEFAULTS = SyncRecord(incident_id="")
_ALWAYS = ("state", "generation")
ATTRIBUTES = tuple(field.name for field in fields(SyncRecord) if field.name != "incident_id")
"""Everything of a record that is an attribute; its id stands in the key."""
_values_of = attrgetter(*ATTRIBUTES)
_DEFAULT_VALUES = _values_of(_DEFAULTS)


def key_of(incident_id: str) -> Item:
    """Return the key of an incident's record; two ids never have the same."""
    encoded = f"{PREFIX}{incident_id}".encode("utf-8", "surrogatepass")
    first = encoded[:_MOST_KEY_BYTES].decode("utf-8", "ignore") if len(encoded) > _MOST_KEY_BYTES else ""
    if not first:
        return item_of({"pk": f"{PREFIX}{incident_id}", "sk": RECORD})
    rest = incident_id[len(first) - len(PREFIX) :]
    return item_of({"pk": first, "sk": f"{RECORD}#{rest}"})


def id_of(item: Mapping[str, Any]) -> str:
    """Return the incident id that a record's key holds."""
    rest = str(item["sk"]["S"]).removeprefix(RECORD).removeprefix("#")
    return str(item["pk"]["S"]).removeprefix(PREFIX) + rest


def is_record(item: Mapping[str, Any]) -> bool:
    """Whether an item of the table is a sync record."""
    return str(item["pk"]["S"]).startswith(PREFIX) and str(item["sk"]["S"]).startswith(RECORD)


def record_item(record: SyncRecord) -> Item:
    """Return the record's item, key included; `state` and `generation` are always in it."""
    return {**key_of(record.incident_id), **item_of(record_attributes(record))}


def record_attributes(record: SyncRecord) -> dict[str, object]:
    """Return the attributes that differ from a new record's, as they are stored."""
    values = zip(ATTRIBUTES, _values_of(record), _DEFAULT_VALUES, strict=True)
    return {
        name: _stored(name, value) for name, value, default in values if value != default or name in _ALWAYS
    }


def record_of(item: Mapping[str, Any]) -> SyncRecord:
    """Return the record that an item holds; attributes of a newer release are passed over."""
    stored = attributes_of(item)
    read = {name: _read(name, stored[name]) for name in ATTRIBUTES if name in stored}
    return SyncRecord(incident_id=id_of(item), **read)


def is_gone(item: Mapping[str, Any], now: datetime) -> bool:
    """Whether the item's time has come: TTL deletes it some days later, readers pass over it at once.

    Source: DynamoDB Developer Guide, "Using time to live": expired items may still appear in reads.
    """
    ends = item.get(EXPIRES_AT, {}).get("N")
    return ends is not None and int(ends) <= now.timestamp()


def epoch_seconds(moment: datetime) -> int:
    """Return a moment as TTL wants it, rounded up: nothing goes before its time."""
    return math.ceil(moment.timestamp())


def _stored(name: str, value: Any) -> object:
    if name == EXPIRES_AT:
        return epoch_seconds(value)
    if name == "transitions":
        return _packed(value)
    if name in _MOMENTS:
        return utc_text(value)
    if name in _JSON:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value) if name in _STATES else value


def _read(name: str, value: Any) -> Any:  # attribute values in, the record's own types out
    if name == EXPIRES_AT:
        return datetime.fromtimestamp(int(value), UTC)
    if name == "transitions":
        return _unpacked(value)
    if name in _MOMENTS:
        return datetime.fromisoformat(value)
    if name in _STATES:
        return State(value)
    if name == "redactions":
        return tuple((str(label), int(count)) for label, count in json.loads(value))
    if name == "notes":
        return tuple(map(str, json.loads(value)))
    if name == "searchable_seconds":
        return float(value)
    return int(value) if name in ("attempts", "generation") else value


def _packed(story: tuple[Transition, ...]) -> bytes:
    """Return the story compressed: it is most of a record, and alike from step to step."""
    steps = [[utc_text(step.at), step.run_id, step.state, step.reason] for step in story]
    return zlib.compress(json.dumps(steps, separators=(",", ":")).encode(), 9)


def _unpacked(packed: bytes) -> tuple[Transition, ...]:
    steps = json.loads(zlib.decompress(packed))
    return tuple(
        Transition(datetime.fromisoformat(at), run_id, State(state), reason)
        for at, run_id, state, reason in steps
    )


def read_records(table: DynamoTable, incident_ids: Sequence[str], now: datetime) -> dict[str, SyncRecord]:
    """Return the records with these ids, strongly consistent; absent and expired ones are left out."""
    items = table.get_many([key_of(incident_id) for incident_id in dict.fromkeys(incident_ids)])
    return {id_of(item): record_of(item) for item in items if not is_gone(item, now)}
