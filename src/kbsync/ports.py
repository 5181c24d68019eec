"""The five ports, and an outlet for run records. Their comments are the contract.

Each port has a local and an AWS adapter; one contract suite (tests/contract) runs over both. Adapters only
translate: they hold no policy, retry nothing that is conditional, and raise the errors of errors.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from kbsync.knowledge import DocumentInfo, Hit, IngestionJob
from kbsync.model import (
    Attributes,
    Lease,
    Mark,
    ObjectHead,
    PutReply,
    QueueEntry,
    Save,
    SaveOutcome,
    State,
    StoredIncident,
    SyncRecord,
    SyncStatus,
)
from kbsync.run_report import RunReport

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a listing; an empty `cursor` means that this was the last one, an empty page does not."""

    items: tuple[T, ...]
    cursor: str = ""


class Noted(StrEnum):
    """What became of one write of `kb_sync_status`."""

    WRITTEN = "written"
    CHANGED = "changed"
    """The item is not what was read, or is gone: nothing was written of it."""
    REFUSED = "refused"
    """The table takes no map on this item, which is too full: only its owner can mend that."""


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """A write of our own API: `attributes` replace the whole item, `None` deletes it.

    `token` is what was read; the write holds only while the item is still that (empty: it must not exist).
    """

    incident_id: str
    attributes: Attributes | None
    token: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of an object, the one that stands included; a marker is the trace of a deletion."""

    key: str
    version_id: str
    is_marker: bool = False


class IncidentStore(Protocol):
    """The customer's incidents table. Only `kb_sync_status` is ours to write on it."""

    def read(self, incident_ids: Sequence[str]) -> dict[str, StoredIncident]:
        """Return the items with these ids, strongly consistent; ids without an item are left out."""
        ...

    def list_by_status(self, status: str, *, cursor: str, limit: int) -> Page[StoredIncident]:
        """Return one page of the status index, in a stable order; it may lag behind `read`.

        `limit` counts items read. The items may lack attributes that the index does not project.
        """
        ...

    def scan(self, *, cursor: str, limit: int, part: int = 0, parts: int = 1) -> Page[StoredIncident]:
        """Return one page of the base table, each item once, in a stable order.

        Where several read side by side, each names its part, from 0, and how many there are: together the
        parts are the table, and no item is in two.
        """
        ...

    def count_by_status(self) -> dict[str, int]:
        """Return how many incidents the table holds by the text of their status (reads all of it on AWS)."""
        ...

    def write_sync_statuses(self, writes: Sequence[tuple[StoredIncident, SyncStatus]]) -> list[Noted]:
        """Replace the whole `kb_sync_status` map of items that still are what was read, in few calls.

        One answer each, in order. What cannot be written creates no item and stops no other. Where an error
        ends it, some may be written: read anew and repeat it.
        """
        ...

    def change(self, changes: Sequence[IncidentChange]) -> list[bool]:
        """Write incidents and their ledger marks, each pair in one transaction.

        False for a change whose token no longer holds: neither item nor mark was written.
        """
        ...


class Ledger(Protocol):
    """What we did and still owe: sync records, the queue, the publisher lease, runs and small values."""

    def acquire_lease(
        self, name: str, owner: str, *, now: datetime, seconds: float, grace_seconds: float
    ) -> Lease:
        """Take a lease that is free, released, or `grace_seconds` past its expiry; else raise BusyError.

        The generation of each new holder is one higher than the last. A holder whose process is proven dead
        is replaced at once (local only).
        """
        ...

    def renew_lease(self, lease: Lease, *, now: datetime, seconds: float) -> Lease:
        """Extend a lease that is still ours; raise LeaseLostError where another holder has it."""
        ...

    def release_lease(self, lease: Lease) -> None:
        """Free the lease if it is still ours; otherwise nothing happens."""
        ...

    def records(self, incident_ids: Sequence[str]) -> dict[str, SyncRecord]:
        """Return the records with these ids, strongly consistent; ids without one are left out."""
        ...

    def mark(self, marks: Sequence[Mark]) -> None:
        """Put each incident into the publish queue with a due of its own; repeat as often as you like.

        State and content attributes stay, but for what the mark itself says (a new record is `pending`). A
        mark also moves an entry out of the confirm queue: the publisher puts it back.
        """
        ...

    def save(self, saves: Sequence[Save]) -> list[SaveOutcome]:
        """Write records, each on its own condition (see SaveOutcome); returns one outcome each, in order."""
        ...

    def drop(self, saves: Sequence[Save]) -> list[SaveOutcome]:
        """Forget the records whose due is still the one read (of which nothing is published)."""
        ...

    def due(self, queue: str, *, until: str, after: str, limit: int) -> list[QueueEntry]:
        """Return the oldest entries with `after < due <= until`, by due; one query, whatever the history.

        The index may lag: read the record before acting on an entry.
        """
        ...

    def list_records(self, *, state: State | None, cursor: str, limit: int) -> Page[SyncRecord]:
        """Return one page of all records, or of those in one state, in a stable order."""
        ...

    def count_records(self) -> tuple[dict[State, int], int]:
        """Return the number of records of incidents that exist, by state, and the number of tombstones."""
        ...

    def oldest_pending(self) -> datetime | None:
        """Return the earliest `pending_since` of all entries in the publish or confirm queue."""
        ...

    def read_value(self, name: str) -> str:
        """Return a small named value, or an empty string where there is none."""
        ...

    def write_value(self, name: str, value: str, *, expected: str | None = None) -> bool:
        """Store a small named value (empty: remove it); False where a given `expected` does not stand."""
        ...

    def save_run(self, run: RunReport) -> None:
        """Store a run record, replacing the one with the same run id."""
        ...

    def runs(self, *, limit: int) -> list[RunReport]:
        """Return the newest run records, newest first."""
        ...


class DocumentStore(Protocol):
    """Documents and sidecars by key. Conditions are ETags; an empty ETag means: the object must not exist."""

    late_effects: bool
    """Whether a call that we gave up on can still take effect later (true for any network)."""

    def put(self, key: str, content: bytes, *, fingerprint: str, incident_id: str, if_etag: str) -> PutReply:
        """Store one object where the condition holds; raise WriteConflictError where it does not.

        UnavailableError may mean that it was stored: `head` tells (our fingerprint is in its user metadata).
        """
        ...

    def delete(self, key: str, *, if_etag: str) -> datetime | None:
        """Delete the object with this ETag; returns the store's time, None where it was already absent."""
        ...

    def head(self, key: str) -> ObjectHead | None:
        """Return what is stored under a key, strongly consistent, or None.

        `modified_at` carries the same clock allowance as `PutReply.published_at`.
        """
        ...

    def get(self, key: str) -> bytes:
        """Return an object's bytes; raise KeyError where there is none."""
        ...

    def list(self, *, begins: str, cursor: str, limit: int) -> Page[ObjectHead]:
        """Return one page of the objects under the prefix whose keys begin so, by key."""
        ...

    def versions(self, *, begins: str, cursor: str, limit: int) -> Page[ObjectVersion]:
        """Return one page of all versions of the objects whose keys begin so: old, standing, and markers."""
        ...

    def version(self, version: ObjectVersion) -> bytes:
        """Return the bytes of one version that is no marker; raise KeyError where it is gone."""
        ...

    def remove_version(self, version: ObjectVersion) -> None:
        """Remove one version or marker for good, the standing one too; an absent one is what is wanted."""
        ...


class KnowledgeBase(Protocol):
    """Asynchronous, partial, eventually truthful: like Bedrock's, also where it is embedded."""

    poll_seconds: float
    """How long to wait between two looks at a job."""

    def start_job(self, *, description: str, client_token: str) -> IngestionJob:
        """Start an ingestion job over all documents; raise JobAlreadyRunningError where one runs.

        A client token used before starts nothing and returns the earlier job.
        """
        ...

    def job(self, job_id: str) -> IngestionJob:
        """Return a job as it stands; raise KeyError for an id that was never given."""
        ...

    def jobs(self, *, limit: int) -> list[IngestionJob]:
        """Return the newest jobs, newest first, without failure reasons."""
        ...

    def documents(self, keys: Sequence[str]) -> dict[str, DocumentInfo]:
        """Return one entry for each key asked, NOT_FOUND included; a key may be missing from the answer."""
        ...

    def list_documents(self, *, cursor: str, limit: int) -> Page[DocumentInfo]:
        """Return one page of all documents that the knowledge base knows."""
        ...

    def retrieve(
        self,
        query: str,
        *,
        limit: int,
        filter: Mapping[str, object] | None = None,  # noqa: A002 - Bedrock's word
    ) -> list[Hit]:
        """Return the best hits, best first; the filter speaks Bedrock's RetrievalFilter vocabulary.

        An empty query with a filter returns documents that match the filter.
        """
        ...


class RunRecords(Protocol):
    """Where people read what a run did: JSON and one page a run. Nothing that kbsync does depends on them."""

    def address(self, run: RunReport) -> str:
        """Return where the run's page will be found, before or after it is left; alerts name it."""
        ...

    def leave(self, run: RunReport) -> None:
        """Leave both, replacing earlier ones of the same run."""
        ...


class Alerts(Protocol):
    """Where people hear of trouble."""

    def send(self, subject: str, body: str) -> None:
        """Deliver one message; the subject is 1 to 99 printable ASCII characters, the first no space."""
        ...
