"""Builders of test values: an incident like BASE of the case list, a clock, an engine on local adapters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kbsync.engine import Engine, Policy
from kbsync.local.alerts import LocalAlerts
from kbsync.local.database import LocalDatabase
from kbsync.local.document_store import LocalDocumentStore
from kbsync.local.embedder import HashEmbedder
from kbsync.local.faults import LocalFaults
from kbsync.local.incident_store import LocalIncidentStore
from kbsync.local.knowledge_base import LocalKnowledgeBase
from kbsync.local.ledger import LocalLedger
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.pipeline.transform.transform import IncidentTransform

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def an_incident(**changes: object) -> dict[str, object]:
    """Return a closed incident; a change of `None` removes the attribute."""
    base: dict[str, object] = {
        "incident_id": "INC-1001",
        "sk": "METADATA",
        "status": "CLOSED",
        "priority": "P2",
        "severity": "high",
        "category": "database",
        "external_id": "EXT-77",
        "source_system": "servicenow",
        "title": "Pool exhausted on orders-db",
        "description": "Connections time out after 30 s.",
        "created_at": "2025-03-10T08:00:00Z",
        "updated_at": "2025-03-10T09:30:00Z",
        "resolved_at": "2025-03-10T09:30:00Z",
        "tags": ["db", "pool"],
        "resolution": {
            "resolved_by": "user-a",
            "resolved_at": "2025-03-10T09:30:00Z",
            "resolution_type": "fix",
            "description": "Raised the pool size to 40.",
            "root_cause": "Leak in retry path.",
        },
        "kb_sync_status": {"synced": False, "sync_attempts": 0},
    }
    base.update(changes)
    return {name: value for name, value in base.items() if value is not None}


@dataclass
class TickingClock:
    """A clock that moves one millisecond with each look, and further on request."""

    at: datetime = NOON
    tick: timedelta = timedelta(milliseconds=1)
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> datetime:
        self.at += self.tick
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)

    def forward(self, **amount: float) -> None:
        self.at += timedelta(**amount)


@dataclass
class Home:
    """An embedded home folder with its engine, and the adapters as they really are."""

    engine: Engine
    clock: TickingClock
    incidents: LocalIncidentStore
    ledger: LocalLedger
    documents: LocalDocumentStore
    knowledge_base: LocalKnowledgeBase
    folder: Path

    def alerts(self) -> list[str]:
        path = self.folder / "alerts.jsonl"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def keys(self) -> set[str]:
        """Keys of everything in the document store."""
        return {head.key for head in self.documents.list(begins="", cursor="", limit=10_000).items}

    def listed(self) -> set[str]:
        """Keys of everything the knowledge base knows."""
        return {info.key for info in self.knowledge_base.list_documents(cursor="", limit=10_000).items}

    def state(self, incident_id: str = "INC-1001") -> str:
        record = self.ledger.records([incident_id]).get(incident_id)
        return str(record.state) if record else "none"

    def map_of(self, incident_id: str = "INC-1001") -> Mapping[str, object]:
        status = self.incidents.read([incident_id])[incident_id].attributes["kb_sync_status"]
        assert isinstance(status, dict)
        return status

    def found(self, query: str, **filters: object) -> list[str]:
        clauses = [{"equals": {"key": key, "value": value}} for key, value in filters.items()]
        wanted = {"andAll": clauses} if len(clauses) > 1 else (clauses or [None])[0]
        hits = self.knowledge_base.retrieve(query, limit=10, filter=wanted)
        return [str(hit.metadata["incident_id"]) for hit in hits]


def a_home(
    folder: Path,
    *,
    policy: Policy | None = None,
    rules: TransformRules | None = None,
    faults: LocalFaults | None = None,
    clock: TickingClock | None = None,
) -> Home:
    """Open an embedded home as bootstrap does, with a hash embedder and a clock of ours."""
    folder.mkdir(parents=True, exist_ok=True)
    policy = policy or Policy()
    clock = clock or TickingClock()
    database = LocalDatabase(folder / "kbsync.db")
    root = folder / "documents"
    documents = LocalDocumentStore(root, "", clock)
    ledger = LocalLedger(database, folder / "leases", policy.shards)
    incidents = LocalIncidentStore(database, policy.shards)
    knowledge_base = LocalKnowledgeBase(
        folder / "knowledge_base.db", root, "incidents/", HashEmbedder(), clock, faults or LocalFaults()
    )
    engine = Engine(
        incidents=incidents,
        ledger=ledger,
        documents=documents,
        knowledge_base=knowledge_base,
        alerts=LocalAlerts(folder / "alerts.jsonl"),
        transform=IncidentTransform(rules or TransformRules()),
        policy=policy,
        now=clock,
        sleep=clock.sleep,
    )
    return Home(engine, clock, incidents, ledger, documents, knowledge_base, folder)
