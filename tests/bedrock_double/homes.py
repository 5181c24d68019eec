"""The whole engine over S3 and the double, for tests of the pipeline on the AWS adapters."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bedrock_double.double import Double
from bedrock_double.subjects import BedrockSubject
from kbsync.aws.document_store import S3DocumentStore
from kbsync.engine import Engine, Policy
from kbsync.local.alerts import LocalAlerts
from kbsync.local.database import LocalDatabase
from kbsync.local.incident_store import LocalIncidentStore
from kbsync.local.ledger import LocalLedger
from kbsync.model import ObjectHead, PutReply, SyncRecord
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.pipeline.transform.transform import IncidentTransform


class ShiftedClock:
    """The real time plus what was slept: S3's clock is real, and nobody waits."""

    def __init__(self) -> None:
        self.shift = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.shift

    def sleep(self, seconds: float) -> None:
        self.shift += timedelta(seconds=seconds)


class MovedStore(S3DocumentStore):
    """S3 whose clock moves when the test's does: time that was slept has passed there as well."""

    def __init__(self, subject: BedrockSubject, clock: ShiftedClock) -> None:
        super().__init__(subject.clients, subject.bucket, "", now=clock)
        self._clock = clock

    def put(self, key: str, content: bytes, *, fingerprint: str, incident_id: str, if_etag: str) -> PutReply:
        reply = super().put(key, content, fingerprint=fingerprint, incident_id=incident_id, if_etag=if_etag)
        return replace(reply, published_at=reply.published_at + self._clock.shift)

    def delete(self, key: str, *, if_etag: str) -> datetime | None:
        at = super().delete(key, if_etag=if_etag)
        return at + self._clock.shift if at is not None else None

    def head(self, key: str) -> ObjectHead | None:
        head = super().head(key)
        return replace(head, modified_at=head.modified_at + self._clock.shift) if head else None


class AwsHome:
    """One engine: S3 and Bedrock behind their ports, incidents and ledger in SQLite."""

    def __init__(self, subject: BedrockSubject, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.clock = ShiftedClock()
        self.subject = subject
        self.folder = folder
        self.double = subject.double = Double(subject.double.s3, subject.double.place, now=self.clock)
        subject.server.double = self.double
        self.ledger = LocalLedger(LocalDatabase(folder / "kbsync.db"), folder / "leases", 1)
        self.documents = MovedStore(subject, self.clock)
        self.knowledge_base = subject.open()
        self.engine = Engine(
            incidents=LocalIncidentStore(LocalDatabase(folder / "kbsync.db"), 1),
            ledger=self.ledger,
            documents=self.documents,
            knowledge_base=self.knowledge_base,
            alerts=LocalAlerts(folder / "alerts.jsonl"),
            transform=IncidentTransform(TransformRules()),
            policy=Policy(),
            now=self.clock,
            sleep=self.clock.sleep,
        )

    def alerts(self) -> list[str]:
        """Return the alerts so far, one text each."""
        path = self.folder / "alerts.jsonl"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def keys(self) -> set[str]:
        """Return the keys of everything in the bucket."""
        return {head.key for head in self.documents.list(begins="", cursor="", limit=1_000).items}

    def record(self, incident_id: str = "INC-1001") -> SyncRecord:
        """Return an incident's row in the ledger."""
        return self.ledger.records([incident_id])[incident_id]

    def synced(self, incident_id: str = "INC-1001") -> bool:
        """Return what the incident itself says."""
        status = self.engine.incidents.read([incident_id])[incident_id].attributes["kb_sync_status"]
        assert isinstance(status, dict)
        return bool(status["synced"])
