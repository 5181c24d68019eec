"""Reconcile, the looking: read the four sides for some incidents, and find whose an object is. Reads only.

Knows the ports. Invariant: what is reported was read by key and id, with the record unchanged before and
after, so neither a lagging listing nor a run that goes on meanwhile makes a difference of its own.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from kbsync.engine import Engine
from kbsync.knowledge import DocumentStatus
from kbsync.model import (
    Document,
    NoDocument,
    State,
    StoredIncident,
    SyncRecord,
    sidecar_key,
)
from kbsync.pipeline.plan import desired_of, holds_document, is_set_aside, says_synced
from kbsync.pipeline.reconcile_judge import Difference, Look, Wish, claims_document, judge

RECORDS_PAGE = 500
"""How many records are read at once while one is searched by its key; each is small."""


def wish_of(
    engine: Engine, incident_id: str, stored: StoredIncident | None, record: SyncRecord | None
) -> Wish:
    """Return what the incident wants, without the bytes of it; what is set aside is not rendered."""
    version = engine.transform.source_version(stored.attributes) if stored is not None else ""
    aside = stored is not None and is_set_aside(engine, record, version)
    desired = None if aside else desired_of(engine, record, stored)
    if isinstance(desired, Document):
        rest, fingerprint = State.INDEXED, desired.fingerprint
    elif isinstance(desired, NoDocument):
        rest, fingerprint = (State.EXCLUDED if desired.reason.is_rule else State.WITHDRAWN), ""
    else:
        rest, fingerprint = State.QUARANTINED, ""
    return Wish(
        incident_id=incident_id,
        rest=rest,
        exists=stored is not None,
        fingerprint=fingerprint,
        source_version=version,
        rendered_by=engine.transform.rendered_by,
        says_synced=says_synced(stored),
    )


def suspects_among(
    engine: Engine, wishes: Sequence[Wish], records: Mapping[str, SyncRecord]
) -> tuple[list[str], int]:
    """Return the ids that seem to differ, and how many are in work; asks the store only where we claim it."""
    looks = _looks(engine, wishes, records, thorough=False)
    in_work = sum(bool(record.queue) for record in records.values())
    return [look.wish.incident_id for look in looks if judge(look) is not None], in_work


def differences_of(engine: Engine, incident_ids: Sequence[str]) -> list[Difference]:
    """Return what differs about these incidents, each side read anew and consistently.

    A record that changed between the first and the last read is left to the next reconcile.
    """
    records = engine.ledger.records(incident_ids)
    incidents = engine.incidents.read(incident_ids)
    wishes = [wish_of(engine, each, incidents.get(each), records.get(each)) for each in incident_ids]
    looks = [look for look in _looks(engine, wishes, records, thorough=True) if judge(look) is not None]
    again = engine.ledger.records([look.wish.incident_id for look in looks]) if looks else {}
    standing = [look for look in looks if again.get(look.wish.incident_id) == look.record]
    return [found for look in standing if (found := judge(look)) is not None]


def _looks(
    engine: Engine, wishes: Sequence[Wish], records: Mapping[str, SyncRecord], *, thorough: bool
) -> list[Look]:
    listed = _listed(engine, records.values())
    looks = []
    for wish in wishes:
        record = records.get(wish.incident_id)
        key = (record.document_key if record else "") or engine.transform.document_key(wish.incident_id)
        look = Look(wish=wish, record=record, document_key=key, listed=listed.get(key))
        in_work = record is not None and bool(record.queue)
        if not in_work and (thorough or claims_document(record)):
            look = _with_objects(engine, look)
        looks.append(look)
    return looks


def _with_objects(engine: Engine, look: Look) -> Look:
    head, record, key = engine.documents.head, look.record, look.document_key
    json_key = (record.json_key if record else "") or engine.transform.json_key(look.wish.incident_id)
    return Look(
        wish=look.wish,
        record=record,
        document_key=key,
        objects_seen=True,
        body=head(key),
        sidecar=head(sidecar_key(key)),
        json_record=head(json_key) if json_key else None,
        listed=look.listed,
    )


def _listed(engine: Engine, records: Iterable[SyncRecord]) -> dict[str, DocumentStatus]:
    """Ask the knowledge base for what it should have: one question for all of them."""
    if engine.policy.ingestion == "none":
        return {}
    keys = [record.document_key for record in records if record.state is State.INDEXED and not record.queue]
    infos = engine.knowledge_base.documents(keys) if keys else {}
    return {key: each.status for key, each in infos.items()}


@dataclass(frozen=True, slots=True)
class Place:
    """Where objects of one kind stand: keys made of an id between a prefix and an ending."""

    key_of: Callable[[str], str]

    @property
    def prefix(self) -> str:
        """What every key here begins with."""
        return self._parts[0]

    @property
    def _parts(self) -> tuple[str, str]:
        prefix, _, ending = self.key_of("A").rpartition("A")
        return prefix, ending

    def holds(self, key: str) -> bool:
        """Whether the key lies here."""
        return key.startswith(self.prefix)

    def id_in(self, key: str) -> str:
        """Return the id that the key is made of, or an empty text where its name does not tell it."""
        prefix, ending = self._parts
        name = key.removeprefix(prefix).removesuffix(ending)
        return name if self.key_of(name) == key else ""


def owner_by_content(engine: Engine, place: Place, key: str, told_by: str) -> str:
    """Return the id that the key's name or the telling object (sidecar, JSON record) says, if it is true."""
    named = place.id_in(key)
    if named:
        return named
    try:
        told = json.loads(engine.documents.get(told_by))
    except (KeyError, ValueError, RecursionError):
        return ""
    attributes = told.get("metadataAttributes", told) if isinstance(told, dict) else {}
    incident_id = attributes.get("incident_id") if isinstance(attributes, dict) else None
    return incident_id if isinstance(incident_id, str) and place.key_of(incident_id) == key else ""


def owners_by_ledger(engine: Engine, keys: Iterable[str]) -> dict[str, str]:
    """Return whose keys these are by our records, which are paged through until all are found."""
    wanted, owners, cursor = set(keys), dict[str, str](), ""
    while wanted:
        page = engine.ledger.list_records(state=None, cursor=cursor, limit=RECORDS_PAGE)
        for record in page.items:
            mine = wanted & {record.document_key, record.json_key}
            owners.update(dict.fromkeys(mine, record.incident_id))
            wanted -= mine
        cursor = page.cursor
        if not cursor:
            break
    return owners


def is_claimed(record: SyncRecord | None, key: str) -> bool:
    """Whether the record answers for what stands under a key: it was judged by that, or is in work."""
    if record is None:
        return False
    return bool(record.queue) or (holds_document(record) and key in (record.document_key, record.json_key))
