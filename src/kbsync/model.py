"""The nouns of kbsync as frozen values: pure data, no effects. Imports nothing of ours.

Times named `_at` are aware UTC datetimes; durations carry their unit in the name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum

Clock = Callable[[], datetime]
Attributes = Mapping[str, object]
"""One raw incident item: the values of a DynamoDB item as Python types (str, bool, None, Decimal or int,
bytes, list, dict, set). Nothing is promised about them: they are what somebody wrote."""


def value_at(attributes: Attributes, path: str) -> object:
    """Return what stands at a path of names with dots between them; None where it leads nowhere."""
    value: object = attributes
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


SYNC_STATUS = "kb_sync_status"
"""The one attribute that kbsync writes on the customer's incident item."""


class State(StrEnum):
    """Where one incident stands between its table and the knowledge base (DESIGN.md, section 3)."""

    PENDING = "pending"
    """A change is known, or an attempt failed: something must be published, or decided."""
    PUBLISHED = "published"
    """The document store holds the document; the knowledge base has not confirmed it yet."""
    INDEXED = "indexed"
    """The knowledge base has confirmed this very content; the incident says `synced: true`."""
    WITHDRAWING = "withdrawing"
    """It must go, and is not yet confirmed gone; search leaves it out already."""
    WITHDRAWN = "withdrawn"
    """Confirmed gone."""
    QUARANTINED = "quarantined"
    """Set aside after its last attempt, with the reason; an edit, a new rule or `retry` releases it."""
    EXCLUDED = "excluded"
    """Closed, and wants no document by a rule that the operator set."""


class Stage(StrEnum):
    """The queues of the ledger; an entry is in one of them or in none."""

    PUBLISH = "publish"
    """Waits to be read, decided and published or withdrawn."""
    CONFIRM = "confirm"
    """Waits for the knowledge base to show it, or to have lost it."""
    HELD = "held"
    """Withdrawals that the deletion brake holds back; none of them is due."""


class WithdrawReason(StrEnum):
    """Why an incident wants no document."""

    NOT_CLOSED = "not_closed"
    """Its status is none of `CLOSED_STATUSES`: open, reopened, cancelled."""
    DELETED = "deleted"
    """It is not in the table any more."""
    EXCLUDED = "excluded"
    """A rule of `EXCLUDE` holds for it."""
    CONFIDENTIAL = "confidential"
    """A rule of `CONFIDENTIAL` holds for it."""
    REJECTED = "rejected"
    """The knowledge base refused the document."""
    WITHDRAWN_ALL = "withdrawn_all"
    """A person said that nothing is to be published."""
    PURGED = "purged"
    """A person had every trace of it removed; it stays out until `kbsync purge --release`."""

    @property
    def is_rule(self) -> bool:
        """Whether the operator's word keeps a closed incident without a document."""
        return self not in (WithdrawReason.NOT_CLOSED, WithdrawReason.DELETED, WithdrawReason.REJECTED)


@dataclass(frozen=True, slots=True)
class StoredIncident:
    """One item of the incidents table as it was read; `token` is the store's proof of what was read."""

    incident_id: str
    attributes: Attributes
    token: str


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """The five original members of `kb_sync_status`; `None` members are left out when written.

    Source: ORIGINAL_DESIGN.md, "Añadir Campo de Sincronización".
    """

    synced: bool
    sync_attempts: int = 0
    synced_at: datetime | None = None
    last_sync_attempt: datetime | None = None
    last_sync_error: str | None = None

    def as_map(self) -> dict[str, object]:
        """Return the attribute as it is stored: ISO 8601 times in UTC with milliseconds, as before us."""
        members = {each.name: getattr(self, each.name) for each in fields(self)}
        members |= {name: _iso(members[name]) for name in ("synced_at", "last_sync_attempt")}
        return {name: value for name, value in members.items() if value is not None}


def _iso(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


@dataclass(frozen=True, slots=True)
class Document:
    """What a closed, eligible incident wants in the document store: a body and its sidecar, byte for byte."""

    key: str
    body: bytes
    sidecar: bytes
    fingerprint: str
    body_hash: str
    sidecar_hash: str
    title: str
    notes: tuple[str, ...] = ()
    redactions: tuple[tuple[str, int], ...] = ()
    json_key: str = ""
    """Key of the optional JSON record, outside the knowledge base's prefix; empty: none is wanted."""
    json_record: bytes = b""
    json_hash: str = ""

    @property
    def sidecar_key(self) -> str:
        """Key of the metadata sidecar (AWS_FACTS.md, section 2)."""
        return sidecar_key(self.key)


def sidecar_key(document_key: str) -> str:
    """Return the sidecar's key: the document's key plus `.metadata.json`."""
    return f"{document_key}.metadata.json"


@dataclass(frozen=True, slots=True)
class Symptom:
    """What an incident reports before anybody knows its cause, redacted; empty where it is confidential."""

    title: str = ""
    error_message: str = ""
    problem: str = ""
    language: str = ""
    """As the incident names it; empty where it names none."""

    @property
    def text(self) -> str:
        """All of it as one query."""
        return "\n".join(filter(None, (self.title, self.error_message, self.problem)))


@dataclass(frozen=True, slots=True)
class NoDocument:
    """An incident that wants no document, with the reason a person sees."""

    reason: WithdrawReason
    detail: str = ""


Desired = Document | NoDocument


MAX_TRANSITIONS = 20
"""How many steps of an incident's story its record keeps (DESIGN.md, section 3)."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of state: when, by which run, to which state, and why."""

    at: datetime
    run_id: str
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRecord:
    """One incident's row in the ledger; what each attribute means stands in ARCHITECTURE.md, "The ledger"."""

    incident_id: str
    state: State = State.PENDING
    target: State = State.WITHDRAWN
    reason: str = ""
    source_version: str = ""
    document_key: str = ""
    fingerprint: str = ""
    body_hash: str = ""
    sidecar_hash: str = ""
    body_etag: str = ""
    sidecar_etag: str = ""
    json_key: str = ""
    json_hash: str = ""
    json_etag: str = ""
    rendered_by: str = ""
    published_at: datetime | None = None
    indexed_at: datetime | None = None
    ingestion_job_id: str = ""
    attempts: int = 0
    refused: bool = False
    """The last failure was the knowledge base's refusal of what is published."""
    queue: str = ""
    due: str = ""
    pending_since: datetime | None = None
    searchable_seconds: float | None = None
    incident_exists: bool = True
    deleted: bool = False
    """Somebody deleted the incident: that it is absent needs no other proof."""
    purged_at: datetime | None = None
    """When a person had it purged: it wants no document until the same person's word is taken back."""
    expires_at: datetime | None = None
    generation: int = 0
    redactions: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    transitions: tuple[Transition, ...] = ()

    def with_step(self, step: Transition) -> "SyncRecord":
        """Return the record in the step's state, with the step at the end of its story."""
        story = (*self.transitions, step)[-MAX_TRANSITIONS:]
        return replace(self, state=step.state, reason=step.reason, transitions=story)


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """One due entry of the ledger's sparse index."""

    incident_id: str
    queue: str
    due: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A wish that the publisher look at one incident; `create` is false where a record must exist already."""

    incident_id: str
    at: datetime
    create: bool = True
    reset: bool = False
    """Give the incident its attempts back, and release it from quarantine."""
    doubt: bool = False
    """Forget the fingerprint: its objects may have changed since the record was written."""
    deleted: bool = False
    """The incident was deleted on purpose, which is more than not being found."""
    purge: bool | None = None
    """True: hold the incident back from now on, whatever becomes of it; False: take that back."""


@dataclass(frozen=True, slots=True)
class Save:
    """A record to write: its queue attributes count only while `read_due` still stands in the ledger."""

    record: SyncRecord
    read_due: str


class SaveOutcome(StrEnum):
    """What became of one `Save`."""

    SAVED = "saved"
    MARKED_MEANWHILE = "marked_meanwhile"
    """Everything but the queue attributes was written: a newer mark stands and will be worked on."""
    FENCED = "fenced"
    """Nothing was written: a newer generation of the publisher lease owns the record."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The time-limited sole right to publish; `generation` rises with each holder and goes into writes."""

    name: str
    owner: str
    generation: int
    expires_at: datetime
    forced: bool = False
    """Taken over from a holder that may still be alive: its late writes must be reckoned with."""


@dataclass(frozen=True, slots=True)
class PutReply:
    """What the document store said of one put; a job must start after `published_at` to be sure to see it."""

    etag: str
    published_at: datetime


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """One stored object without its bytes; `fingerprint` is ours from the user metadata, or empty."""

    key: str
    etag: str
    size_bytes: int
    modified_at: datetime
    fingerprint: str = ""
