"""Worlds that schedules are played in: the embedded backend, and the AWS adapters over their stand-ins.

A world is one deployment. `rival` is another process of it, with engine and lease of its own.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol, cast

from aws_tables import AwsTables
from bedrock_double.double import Double
from bedrock_double.homes import MovedStore, ShiftedClock
from bedrock_double.subjects import BedrockSubject
from builders import TickingClock
from kbsync.aws.incident_store import DynamoIncidentStore
from kbsync.bootstrap import build_engine
from kbsync.engine import Engine, Policy
from kbsync.errors import BusyError
from kbsync.knowledge import DocumentStatus
from kbsync.local.alerts import LocalAlerts
from kbsync.local.faults import LocalFaults
from kbsync.local.knowledge_base import LocalKnowledgeBase
from kbsync.model import State
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.pipeline.transform.transform import IncidentTransform
from kbsync.settings import Settings

IDS = ("INC-1", "INC-2", "INC-3")
QUIET_RUNS = 8
BETWEEN_RUNS = timedelta(minutes=10)
"""Longer than a lease and the wait after it: whoever died or stalls is taken over from."""


class World(Protocol):
    """One deployment with a clock that tests move."""

    engine: Engine
    faults: LocalFaults

    def rival(self) -> Engine:
        """Return the engine of another process over the same deployment."""
        ...

    def move(self, by: timedelta) -> None:
        """Let time pass, or step back."""
        ...

    def embedded(self) -> int:
        """Return how many texts all processes of the deployment have embedded; 0 where nobody can tell."""
        ...


@dataclass
class LocalWorld:
    """An embedded home on a folder in memory; nothing of a test survives a power cut anyway."""

    folder: Path
    faults: LocalFaults = field(default_factory=LocalFaults)
    clock: TickingClock = field(default_factory=TickingClock)

    def __post_init__(self) -> None:
        self.opened: list[LocalKnowledgeBase] = []
        self.engine = self._open(self.faults)

    def _open(self, faults: LocalFaults) -> Engine:
        settings = Settings(home=self.folder, embedder="hash", local_faults=json.dumps(asdict(faults)))
        engine = build_engine(settings, now=self.clock, sleep=self.clock.sleep)
        for opened in (engine.incidents._database, engine.knowledge_base._file):  # type: ignore[attr-defined]
            opened.query("PRAGMA synchronous=OFF")
        self.opened.append(cast("LocalKnowledgeBase", engine.knowledge_base))
        return engine

    def rival(self) -> Engine:
        return self._open(LocalFaults())

    def move(self, by: timedelta) -> None:
        self.clock.at += by

    def embedded(self) -> int:
        return sum(each.embedded for each in self.opened)


@dataclass
class AwsWorld:
    """The AWS adapters: DynamoDB tables, a bucket and a knowledge base that no other schedule uses."""

    subject: BedrockSubject
    faults: LocalFaults = field(default_factory=LocalFaults)
    clock: ShiftedClock = field(default_factory=ShiftedClock)

    def __post_init__(self) -> None:
        self.subject.double = Double(self.subject.double.s3, self.subject.double.place, now=self.clock)
        self.subject.server.double = self.subject.double
        self.tables = AwsTables(clock=self.clock)  # type: ignore[arg-type] # a clock is what tells the time
        self.engine = self._open(self.faults)

    def _open(self, faults: LocalFaults) -> Engine:
        transform = IncidentTransform(TransformRules())
        store = DynamoIncidentStore(self.tables.incidents, self.tables.marks, transform.source_attributes)
        return Engine(
            incidents=store,
            ledger=self.tables.ledger,
            documents=MovedStore(self.subject, self.clock),
            knowledge_base=self.subject.open(faults),
            alerts=LocalAlerts(Path("/dev/null")),
            transform=transform,
            policy=Policy(),
            now=self.clock,
            sleep=self.clock.sleep,
        )

    def rival(self) -> Engine:
        return self._open(LocalFaults())

    def move(self, by: timedelta) -> None:
        self.clock.shift += by

    def embedded(self) -> int:
        return 0  # Bedrock embeds, and tells nobody

    def close(self) -> None:
        """Remove what was made, so that the stand-in stays small."""
        for head in self.engine.documents.list(begins="", cursor="", limit=1_000).items:
            self.subject.remove(head.key.removesuffix(".metadata.json"))
        self.tables.close()


@contextmanager
def a_local_world(folder: Path, faults: LocalFaults) -> Iterator[LocalWorld]:
    """Give a world in this folder and leave nothing of it behind."""
    yield LocalWorld(folder, faults)
    shutil.rmtree(folder)


@contextmanager
def an_aws_world(subject: BedrockSubject, faults: LocalFaults) -> Iterator[AwsWorld]:
    """Give a world on the stand-ins and leave nothing of it behind."""
    world = AwsWorld(subject, faults)
    yield world
    world.close()


MakeWorld = Callable[[LocalFaults], AbstractContextManager[World]]


def quiet(world: World) -> int:
    """Run as the schedule does until nothing is left to do; returns how many runs that took."""
    engine = world.rival()
    for number in range(1, QUIET_RUNS + 1):
        world.move(BETWEEN_RUNS)
        with suppress(BusyError):
            report = sync_once(engine)
            if report.pending == 0 and not world.engine.ledger.read_value("job_owed"):
                return number
    return QUIET_RUNS + 1


def end_state(world: World) -> dict[str, object]:
    """Return what must be equal after any history: what is published, listed, said, owed and held against."""
    engine = world.engine
    records = engine.ledger.records(IDS)
    stored = engine.incidents.read(IDS)
    listed = engine.knowledge_base.list_documents(cursor="", limit=100).items
    return {
        "records": {
            each: (str(record.state), record.fingerprint, record.queue, record.attempts)
            for each, record in records.items()
            if record.queue or record.state is not State.WITHDRAWN  # no record says the same as that one
        },
        "objects": {
            head.key: (head.fingerprint, head.size_bytes)
            for head in engine.documents.list(begins="", cursor="", limit=100).items
        },
        "listed": {info.key for info in listed if info.status is DocumentStatus.INDEXED},
        "synced": {each: synced_of(stored[each].attributes) for each in stored},
        "owed": engine.ledger.read_value("job_owed"),
        "active": engine.ledger.read_value("ingestion_job"),
    }


def synced_of(attributes: object) -> object:
    """Return what an incident says of itself."""
    status = attributes.get("kb_sync_status") if hasattr(attributes, "get") else None
    return status.get("synced") if isinstance(status, dict) else None
