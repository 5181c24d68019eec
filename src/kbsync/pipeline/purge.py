"""Purge: remove every trace that kbsync keeps of some incidents, and prove it. Knows the ports.

    hold      each record is marked purged: it wants no document from now on, whatever becomes of the incident
    withdraw  the usual run: deleted, and confirmed gone by the knowledge base
    remove    every version of its objects; records, run records and messages that name it are rewritten
    forget    whoever keeps more than its port shows (freed pages, caches) writes its files anew
    look      what is gone is looked for once more, and only what was seen to be gone is certified

Killed anywhere, a repeat goes on. Invariant: the customer's own item is not touched, but for our map on it.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from kbsync.engine import Engine
from kbsync.errors import UnknownIncidentError
from kbsync.knowledge import DocumentStatus
from kbsync.model import (
    SYNC_STATUS,
    Mark,
    Save,
    State,
    StoredIncident,
    SyncRecord,
    SyncStatus,
    Transition,
    sidecar_key,
)
from kbsync.paging import each_of
from kbsync.pipeline.lease import PublisherLease, holding_lease
from kbsync.pipeline.plan import UNTIL_RELEASED
from kbsync.pipeline.purge_certificate import Certificate, Gone, keep_certificate
from kbsync.pipeline.purge_texts import forget_texts
from kbsync.ports import ObjectVersion
from kbsync.shards import before_marking
from kbsync.traces import Forgetful, Traces, no_text

ROUNDS = 4
"""Runs made until all is confirmed gone: where a late call could still put something back, that takes two."""
PAGE = 50
VERSIONS_PAGE = 1_000
_REASON = f"{UNTIL_RELEASED.reason}: {UNTIL_RELEASED.detail}"
_AT_REST = (State.EXCLUDED, State.WITHDRAWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a person wants purged: incidents by id, and what they were found by."""

    incident_ids: tuple[str, ...]
    matches: Callable[[str], bool] = no_text
    patterns: int = 0
    patterns_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What is there of one incident now; `versions` counts those of all its objects, markers included."""

    incident_id: str
    document_key: str
    state: State | None
    in_table: bool
    versions: int
    listed: bool

    @property
    def is_known(self) -> bool:
        """Whether there is anything to purge."""
        return self.state is not None or self.in_table or self.versions > 0


def look_at(engine: Engine, incident_ids: Sequence[str]) -> Iterator[Found]:
    """Yield what is there of each incident; reads only, a page at a time.

    Raises:
        UnknownIncidentError: neither table, ledger nor document store knows one of them.
    """
    for ids in pages(dict.fromkeys(incident_ids)):
        records, incidents = engine.ledger.records(ids), engine.incidents.read(ids)
        keys = {each: keys_of(engine, each, records.get(each)) for each in ids}
        listed = _listed(engine, [keys[each][0] for each in ids])
        for each in ids:
            record = records.get(each)
            count = sum(1 for _ in _versions(engine, keys[each]))
            state = record.state if record else None
            found = Found(each, keys[each][0], state, each in incidents, count, keys[each][0] in listed)
            if not found.is_known:
                raise UnknownIncidentError(
                    f"nothing is known of {each}", hint="ids are compared letter by letter"
                )
            yield found


def purge(engine: Engine, order: Order, *, run: Callable[[], object]) -> tuple[Certificate, tuple[str, ...]]:
    """Remove all traces of the incidents, and hold them back until released; returns who must still wait.

    Each `run` is one sync. What could not be confirmed gone in a few of them is left out of the certificate:
    the same call, later, goes on with it. Equal calls give one more certificate each.

    Raises:
        BusyError: a run is active; what is marked stays marked, and the next run withdraws it.
    """
    ids = tuple(dict.fromkeys(order.incident_ids))
    hold(engine, ids)
    late = engine.documents.late_effects
    pause_seconds = engine.policy.lease_seconds if late else engine.knowledge_base.poll_seconds
    run()
    for _ in range(ROUNDS - 1):
        if all(_is_gone(engine, each) for each in ids):
            break
        engine.sleep(pause_seconds)
        run()
    waiting = tuple(each for each in ids if not _is_gone(engine, each))
    gone = tuple(each for each in ids if each not in set(waiting))
    return _remove(engine, replace(order, incident_ids=gone)), waiting


def pages(incident_ids: Iterable[str]) -> Iterator[list[str]]:
    """Yield the ids in lists of one page."""
    ids = list(incident_ids)
    for start in range(0, len(ids), PAGE):
        yield ids[start : start + PAGE]


def hold(engine: Engine, incident_ids: Sequence[str]) -> None:
    """Mark incidents as purged: search leaves them out at once, and the next run withdraws them."""
    before_marking(engine)
    for ids in pages(incident_ids):
        engine.ledger.mark([Mark(each, engine.now(), purge=True) for each in ids])


def release(engine: Engine, incident_ids: Sequence[str]) -> None:
    """Take purges back: the next run publishes what is closed and eligible. Harmless to repeat.

    Raises:
        UnknownIncidentError: one of them is not purged; nothing was released.
    """
    records = engine.ledger.records(incident_ids)
    for each in incident_ids:
        if each not in records or not records[each].purged_at:
            raise UnknownIncidentError(f"{each} is not purged", hint="`kbsync explain ID` tells its story")
    engine.ledger.mark([Mark(each, engine.now(), create=False, purge=False) for each in incident_ids])


def keys_of(engine: Engine, incident_id: str, record: SyncRecord | None) -> tuple[str, ...]:
    """Return the keys of all objects that we have put for an incident, the document's first."""
    now = engine.transform.document_key(incident_id)
    known = record.document_key if record and record.document_key else now
    documents = tuple(dict.fromkeys((known, now)))
    json_keys = (record.json_key if record else "", engine.transform.json_key(incident_id))
    return (*documents, *map(sidecar_key, documents), *dict.fromkeys(filter(None, json_keys)))


def _is_gone(engine: Engine, incident_id: str) -> bool:
    record = engine.ledger.records([incident_id]).get(incident_id)
    return record is not None and record.state in _AT_REST and not record.queue


def _remove(engine: Engine, order: Order) -> Certificate:
    """Remove what a withdrawal leaves, under the publisher's lease, then look, and certify what was seen."""
    at = engine.now()
    certificate = Certificate(
        certificate_id=f"purge-{at:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}",
        at=at,
        patterns=order.patterns,
        patterns_sha256=order.patterns_sha256,
    )
    ids, removed, keys = order.incident_ids, dict[str, int](), list[str]()
    with holding_lease(engine, certificate.certificate_id) as lease:
        for page in pages(ids):
            for each, (count, its_keys) in _remove_page(engine, lease, page).items():
                removed[each] = count
                keys += its_keys
        lease.ensure()
        _forget(engine, Traces(ids, keys, order.matches))
        gone = tuple(each for page in pages(ids) for each in _look_again(engine, page, removed))
    certificate = replace(certificate, gone=gone, embedded=not engine.documents.late_effects)
    keep_certificate(engine, certificate)
    return certificate


def _remove_page(
    engine: Engine, lease: PublisherLease, ids: Sequence[str]
) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Remove versions and rewrite records; returns how many went, and under which keys, by incident."""
    records = engine.ledger.records(ids)
    keys = {each: keys_of(engine, each, record) for each, record in records.items()}
    removed = {each: (_remove_versions(engine, lease, its_keys), its_keys) for each, its_keys in keys.items()}
    lease.ensure()
    _rewrite_records(engine, lease, records.values())
    _unsay_errors(engine, engine.incidents.read(ids).values())
    return removed


def _forget(engine: Engine, traces: Traces) -> None:
    """Take them out of run records and messages, then have the adapters write their files anew."""
    forget_texts(engine, traces)
    ports: tuple[object, ...] = (
        engine.documents, engine.knowledge_base, engine.ledger, engine.alerts, engine.run_records,
    )  # fmt: skip
    for port in ports:
        if isinstance(port, Forgetful):
            port.forget(traces)


def _look_again(engine: Engine, ids: Sequence[str], removed: Mapping[str, int]) -> Iterator[Gone]:
    """Yield those of which neither an object version nor a document of the knowledge base is left."""
    records, incidents = engine.ledger.records(ids), engine.incidents.read(ids)
    keys = {each: keys_of(engine, each, record) for each, record in records.items()}
    listed = _listed(engine, [its_keys[0] for its_keys in keys.values()])
    for each, its_keys in keys.items():
        if its_keys[0] not in listed and not any(_versions(engine, its_keys)):
            yield Gone(each, its_keys[0], removed[each], in_table=each in incidents)


def _remove_versions(engine: Engine, lease: PublisherLease, keys: Sequence[str]) -> int:
    count = 0
    for version in list(_versions(engine, keys)):
        lease.ensure()
        engine.documents.remove_version(version)
        count += not version.is_marker
    return count


def _versions(engine: Engine, keys: Sequence[str]) -> Iterator[ObjectVersion]:
    for key in keys:
        listing = partial(engine.documents.versions, begins=key, limit=VERSIONS_PAGE)
        yield from (version for version in each_of(listing) if version.key == key)


def _listed(engine: Engine, document_keys: Sequence[str]) -> set[str]:
    """Return which documents the knowledge base still knows; none where nobody ingests for us."""
    if engine.policy.ingestion == "none" or not document_keys:
        return set()
    found = engine.knowledge_base.documents(document_keys)
    return {key for key, info in found.items() if info.status is not DocumentStatus.NOT_FOUND}


def _rewrite_records(engine: Engine, lease: PublisherLease, records: Iterable[SyncRecord]) -> None:
    """Keep of each record that it is purged, and what a later run needs to see that nothing is to be done."""
    saves = []
    for record in records:
        kept = SyncRecord(
            incident_id=record.incident_id,
            target=record.target,
            source_version=record.source_version,
            document_key=record.document_key,
            rendered_by=record.rendered_by,
            incident_exists=record.incident_exists,
            purged_at=record.purged_at,
            generation=lease.generation,
        )
        step = Transition(engine.now(), lease.lease.owner, State.EXCLUDED, _REASON)
        saves.append(Save(kept.with_step(step), record.due))
    engine.ledger.save(saves)


def _unsay_errors(engine: Engine, incidents: Iterable[StoredIncident]) -> None:
    """Take our own last error off the incidents' items."""
    told = []
    for stored in incidents:
        status = stored.attributes.get(SYNC_STATUS)
        if isinstance(status, dict) and status.get("last_sync_error"):
            told.append((stored, SyncStatus(synced=False)))
    if told:
        engine.incidents.write_sync_statuses(told)
