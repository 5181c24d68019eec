"""What the pipeline works with: one of each port, the pure transform, the policy, and the clock.

Imports the ports and the model. Invariant: nothing outside an `Engine` is ever read or written by a run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kbsync.model import Attributes, Clock, Desired, StoredIncident, Symptom
from kbsync.ports import Alerts, DocumentStore, IncidentStore, KnowledgeBase, Ledger, RunRecords


@dataclass(frozen=True, slots=True)
class Place:
    """Where documents stand, and who reads them there; two short texts that are only ever compared."""

    documents: str = ""
    index: str = ""
    """The knowledge base with its data source; empty where nobody ingests for us."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers and names that the pipeline decides by; settings.py builds it and says what each means."""

    closed_statuses: tuple[str, ...] = ("CLOSED",)
    other_statuses: tuple[str, ...] = ()
    page_size: int = 50
    publish_at_once: int = 1
    publish_bytes: int = 32_000_000
    max_attempts: int = 3
    backoff_seconds: float = 0.0
    lease_seconds: float = 120.0
    lease_grace_seconds: float = 60.0
    call_timeout_seconds: float = 20.0
    shards: int = 1
    discovery: str = "auto"
    ingestion: str = "job"
    wait_seconds: float | None = None
    searchable_within_seconds: float = 3_900.0
    """The objective of DESIGN.md section 7: 65 minutes from closed to searchable."""
    probe_sample: int = 0
    place: Place = Place()


class Transform(Protocol):
    """The pure decision what one incident wants; see pipeline/transform."""

    @property
    def rendered_by(self) -> str:
        """Template, rules and schema versions and eligibility settings, as one short text."""
        ...

    @property
    def sections(self) -> Mapping[str, tuple[str, ...]]:
        """The parts of a document by name (problem, resolution), each with its heading in every language."""
        ...

    @property
    def lacking(self) -> str:
        """What redaction has not got, in words; where that is anything, nothing is published."""
        ...

    def desired(self, stored: StoredIncident) -> Desired:
        """Return the document or the reason for none; raise IncidentRejectedError where it cannot be told."""
        ...

    def symptom(self, stored: StoredIncident) -> Symptom:
        """Return what the incident reports, redacted, whatever its status; empty where it is confidential.

        Raises IncidentRejectedError where it cannot be told.
        """
        ...

    def closed_at(self, stored: StoredIncident) -> datetime | None:
        """Return when the incident says that it was closed; None where it names no moment."""
        ...

    def severity(self, stored: StoredIncident) -> str:
        """Return the incident's severity as it may be shown; empty where it has none."""
        ...

    def has_writeup(self, stored: StoredIncident) -> bool:
        """Return whether root cause, resolution or steps are written.

        Raises IncidentRejectedError where it cannot be told.
        """
        ...

    def title(self, stored: StoredIncident) -> str | None:
        """Return the title as it may be shown; None where there is none, or the incident is confidential."""
        ...

    def shown(self, text: str) -> str:
        """Return any text of an incident as it may be shown: one line, redacted."""
        ...

    def document_key(self, incident_id: str) -> str:
        """Return the stable key of an incident's document, derived from its id alone."""
        ...

    def json_key(self, incident_id: str) -> str:
        """Return the key of an incident's JSON record, or an empty text where none are written."""
        ...

    def source_version(self, attributes: Attributes) -> str:
        """Return the hash of every attribute the document is rendered from, plus status and updated_at."""
        ...


@dataclass(frozen=True, slots=True)
class Engine:
    """One of each port, the pure transform, and the clock: all that the pipeline may touch."""

    incidents: IncidentStore
    ledger: Ledger
    documents: DocumentStore
    knowledge_base: KnowledgeBase
    alerts: Alerts
    transform: Transform
    policy: Policy
    now: Clock
    sleep: Callable[[float], None]
    run_records: RunRecords | None = None
    """None: no run leaves one."""
