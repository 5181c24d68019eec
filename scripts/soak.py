"""Work against both backends for half an hour as owners, faults and kills do; then be quiet and compare.

    python scripts/soak.py --backend local --minutes 30
    python scripts/soak.py --backend aws --minutes 30       # the stand-ins of the tests, on loopback

Incidents are created, closed, edited, reopened, made confidential and deleted at random, on AWS half of them
by writers that mark nothing. Two workers run `sync_once` and `reconcile` at the same time: one lives as long
as the soak, its memory is written down; the other is killed with SIGKILL at random and started again. The
knowledge base fails calls, jobs and starts. Then runs go on until nothing is left to do, and each incident's
desired document is compared with bucket, listing, ledger and `kb_sync_status`. Exits 1 if anything differs.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from kbsync import build_engine, load_settings, sync_once
from kbsync.engine import Engine
from kbsync.errors import KbSyncError
from kbsync.knowledge import DocumentStatus
from kbsync.model import SYNC_STATUS, Document, State, StoredIncident
from kbsync.paging import each_of
from kbsync.pipeline.changes import (
    close_incident,
    delete_incident,
    reopen_incident,
    update_incident,
    upsert_incidents,
)
from kbsync.pipeline.reconcile import reconcile

MOST_INCIDENTS = 400
QUIET_RUNS = 60
CALM_SECONDS = 5.0
CONFIDENTIAL = "visibility=secret"
TROUBLES = ("unavailable", "throttle", "job_fails", "conflict", "delay_polls", "lost_replies")
"""How the knowledge base fails; the last one needs a network."""
WORDS = (
    "pool",
    "certificate",
    "queue",
    "disco lleno",
    "timeout",
    "réplica",
    "deadlock",
    "caché",
    "token",
    "DNS",
)


@dataclass
class World:
    """One deployment: how to reach it, and what its owner does to it."""

    environment: dict[str, str]
    chance: random.Random
    engine: Engine
    tables: object = None
    double: object = None
    known: set[str] = field(default_factory=set)
    done: Counter[str] = field(default_factory=Counter)
    silent_deletes: int = 0

    def act(self, number: int) -> None:
        """Change one incident, as an owner does; a change that is refused changes nothing."""
        name = self.chance.choice(
            ["create", "create", "close", "close", "edit", "edit", "reopen", "hide", "delete"]
        )
        if name == "create" and len(self.known) >= MOST_INCIDENTS:
            name = "edit"
        if name != "create" and not self.known:
            name = "create"
        incident_id = f"INC-{number}" if name == "create" else self.chance.choice(sorted(self.known))
        if self.tables is not None and self.chance.random() < 0.5:  # noqa: PLR2004 - half of them
            self._write_plainly(name, incident_id)
        else:
            with suppress(KbSyncError):
                self._ask(name, incident_id)
        self.done[name] += 1

    def _ask(self, name: str, incident_id: str) -> None:
        text = f"{self.chance.choice(WORDS)} {self.chance.randrange(10_000)}"
        if name == "create":
            upsert_incidents(self.engine, [self._fresh(incident_id)])
            self.known.add(incident_id)
        elif name == "close":
            close_incident(self.engine, incident_id, resolution={"description": f"Restarted: {text}"})
        elif name == "edit":
            update_incident(self.engine, incident_id, {"description": f"Seen again, {text}."})
        elif name == "reopen":
            reopen_incident(self.engine, incident_id)
        elif name == "hide":
            update_incident(
                self.engine, incident_id, {"visibility": self.chance.choice(["secret", "public"])}
            )
        else:
            delete_incident(self.engine, incident_id)
            self.known.discard(incident_id)

    def _fresh(self, incident_id: str) -> dict[str, object]:
        text = f"{self.chance.choice(WORDS)} {incident_id}"
        return {
            "incident_id": incident_id,
            "sk": "METADATA",
            "status": self.chance.choice(["CLOSED", "CLOSED", "OPEN"]),
            "priority": "P2",
            "severity": self.chance.choice(["high", "low"]),
            "title": f"Trouble with {text}",
            "description": f"It fails: {text}.",
            "resolution": {"description": f"Raised the limit: {text}"},
        }

    def _write_plainly(self, name: str, incident_id: str) -> None:
        """Write as a program does that knows nothing of kbsync; only a full comparison finds all of it."""
        tables = self.tables
        stored = self.engine.incidents.read([incident_id]).get(incident_id)
        if name == "delete":
            if self.silent_deletes < 10:  # noqa: PLR2004 - fewer than the deletion brake asks about
                tables.delete(incident_id)  # type: ignore[attr-defined]
                self.known.discard(incident_id)
                self.silent_deletes += 1
            return
        item = dict(stored.attributes) if stored else self._fresh(incident_id)
        item["status"] = {"reopen": "REOPENED", "close": "CLOSED"}.get(name, item["status"])
        if name == "close":
            item[SYNC_STATUS] = {"synced": False, "sync_attempts": 0}
        if name == "edit":
            item["description"] = f"Silently edited {self.chance.randrange(10_000)}."
        tables.put(item)  # type: ignore[attr-defined]
        self.known.add(incident_id)

    def disturb(self) -> None:
        """Let the knowledge base fail in one of its ways, for a while."""
        if self.double is None:
            return
        switches = self.double.switches  # type: ignore[attr-defined]
        name = self.chance.choice(TROUBLES)
        setattr(switches, name, self.chance.randrange(1, 4))
        self.done[name] += 1

    def calm(self) -> None:
        """Let nothing fail any more."""
        if self.double is not None:
            switches = self.double.switches  # type: ignore[attr-defined]
            for name in TROUBLES:
                setattr(switches, name, 0)


@contextmanager
def a_local_world(folder: Path, chance: random.Random) -> Iterator[World]:
    """An embedded home; its workers are told which faults to meet."""
    environment = {"KBSYNC_HOME": str(folder / "home"), "EMBEDDER": "hash", "CONFIDENTIAL": CONFIDENTIAL}
    yield World(environment, chance, opened(environment))


@contextmanager
def an_aws_world(folder: Path, chance: random.Random) -> Iterator[World]:
    """DynamoDB and S3 at the stand-in, Bedrock at the double, each on a free port of loopback."""
    from aws_servers import ENVIRONMENT, REGION, running_ministack  # noqa: PLC0415 - needs the AWS extra
    from aws_tables import AwsTables  # noqa: PLC0415
    from bedrock_double.double import Double  # noqa: PLC0415
    from bedrock_double.server import running_server  # noqa: PLC0415
    from bedrock_double.subjects import new_bucket, s3_at  # noqa: PLC0415
    from bedrock_double.switches import Place, Switches  # noqa: PLC0415

    with running_ministack(folder / "ministack.log") as address, running_server() as server:
        s3 = s3_at(address)
        bucket = new_bucket(s3)
        double = server.double = Double(s3, Place(bucket=bucket), switches=Switches(job_seconds=1.0))
        environment = {
            **ENVIRONMENT,
            "AWS_ENDPOINT_URL": address,
            "AWS_ENDPOINT_URL_BEDROCK_AGENT": server.address,
            "AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME": server.address,
            "KBSYNC_BACKEND": "aws",
            "KBSYNC_HOME": str(folder / "home"),
            "S3_BUCKET": bucket,
            "KB_ID": double.place.knowledge_base_id,
            "DATA_SOURCE_ID": double.place.data_source_id,
            "CONFIDENTIAL": CONFIDENTIAL,
            "LEASE_SECONDS": "60",
        }
        os.environ.update(environment)
        tables = AwsTables()
        environment |= {"INCIDENTS_TABLE": tables.incidents.name, "KBSYNC_TABLE": tables.records.name}
        assert environment["AWS_REGION"] == REGION  # noqa: S101 - tables and clients of one region
        yield World(environment, chance, opened(environment), tables, double)


def opened(environment: dict[str, str]) -> Engine:
    """Return the engine that such an environment leads to."""
    return build_engine(load_settings({}, environment))


def work(memory: Path | None) -> None:
    """Be a worker: run, and now and then compare everything, until ended; refusals end no worker."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    engine, number = opened(dict(os.environ)), 0
    while True:
        number += 1
        with suppress(KbSyncError):
            sync_once(engine)
            if number % 10 == 0:
                reconcile(engine, repair=True)
        if memory is not None:
            with memory.open("a", encoding="utf-8") as file:
                file.write(f"{time.time():.0f} {resident_kib()}\n")
        time.sleep(0.5)


def resident_kib() -> int:
    """Return how much memory this process holds now, in KiB."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def worker(world: World, memory: Path | None = None) -> "subprocess.Popen[bytes]":
    """Start a worker; the one that will be killed meets faults of the embedded knowledge base as well."""
    environment = {**os.environ, **world.environment}
    if memory is None and world.tables is None:
        name = world.chance.choice(TROUBLES[:-1])
        environment["KBSYNC_LOCAL_FAULTS"] = json.dumps({name: world.chance.randrange(1, 4)})
        world.done[name] += 1
    arguments = [sys.executable, __file__, "--worker", str(memory or "")]
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603 - ourselves


def soak(world: World, seconds: float, memory: Path) -> None:
    """Let everything happen at once for so long; ends with all workers ended."""
    steady, mortal = worker(world, memory), worker(world)
    ends_at, number = time.monotonic() + seconds, 0
    dies_at = time.monotonic() + world.chance.uniform(5, 40)
    try:
        while time.monotonic() < ends_at:
            number += 1
            world.act(number)
            if number % 50 == 0:
                world.disturb()
            if time.monotonic() > dies_at:
                mortal.send_signal(signal.SIGKILL)
                mortal.wait()
                world.done["kill"] += 1
                mortal, dies_at = worker(world), time.monotonic() + world.chance.uniform(5, 40)
            if steady.poll() is not None:
                raise SystemExit(f"the worker ended by itself: {steady.returncode}")
            time.sleep(world.chance.uniform(0, 0.4))
    finally:
        mortal.kill()
        steady.terminate()
        mortal.wait()
        steady.wait()


def quiet(world: World) -> int:
    """Run until nothing is left to do and a full comparison finds nothing; returns how many runs it took."""
    world.calm()
    for number in range(1, QUIET_RUNS + 1):
        with suppress(KbSyncError):
            report = sync_once(world.engine)
            if not report.pending and not world.engine.ledger.read_value("job_owed"):
                survey = reconcile(world.engine, repair=True)
                if survey.ended and not sum(survey.found.values()) and not survey.in_work:
                    return number
        time.sleep(CALM_SECONDS)
    return QUIET_RUNS + 1


def differences(engine: Engine) -> Iterator[str]:
    """Tell what is not as each incident wants it; the knowledge base and the store are listed whole."""
    listed = {
        info.key
        for info in engine.knowledge_base.list_documents(cursor="", limit=100_000).items
        if info.status is DocumentStatus.INDEXED
    }
    objects = {head.key for head in engine.documents.list(cursor="", limit=1_000_000).items}
    wanted: set[str] = set()
    stored = all_incidents(engine)
    for each in stored:
        wish = engine.transform.desired(each)
        record = engine.ledger.records([each.incident_id]).get(each.incident_id)
        note = each.attributes.get(SYNC_STATUS)
        synced = isinstance(note, dict) and note.get("synced") is True
        if synced != isinstance(wish, Document):
            yield f"{each.incident_id} says synced: {synced}"
        if not isinstance(wish, Document):
            if record is not None and (record.queue or record.state not in (State.WITHDRAWN, State.EXCLUDED)):
                yield f"{each.incident_id} wants no document and is {record.state}"
            continue
        wanted |= {wish.key, wish.sidecar_key}
        if record is None or record.state is not State.INDEXED or record.queue or record.attempts:
            yield f"{each.incident_id} is {record.state if record else 'unknown'}"
        if wish.key not in objects or engine.documents.get(wish.key) != wish.body:
            yield f"{wish.key} is not what the incident says"
        if wish.sidecar_key not in objects or engine.documents.get(wish.sidecar_key) != wish.sidecar:
            yield f"{wish.sidecar_key} is not what the incident says"
    yield from (f"object {key} is wanted by nobody" for key in objects - wanted)
    documents = {key for key in wanted if not key.endswith(".metadata.json")}
    yield from (f"{key} is listed and wanted by nobody" for key in listed - documents)
    yield from (f"{key} is not listed" for key in documents - listed)


def all_incidents(engine: Engine) -> list[StoredIncident]:
    """Return every incident of the table."""
    return list(each_of(partial(engine.incidents.scan, limit=100)))


def memory_by_quarter(memory: Path) -> list[float]:
    """Return the median memory of the steady worker in each quarter of its life, in MiB."""
    held = [int(line.split()[1]) / 1024 for line in memory.read_text(encoding="utf-8").splitlines()]
    size = max(len(held) // 4, 1)
    return [round(statistics.median(held[n * size : (n + 1) * size] or held), 1) for n in range(4)]


def main() -> None:
    """Soak one backend and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", choices=["local", "aws"], default="local")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        work(Path(options.worker) if options.worker else None)
    chance = random.Random(options.seed)  # noqa: S311 - a soak's course, no secret
    make = a_local_world if options.backend == "local" else an_aws_world
    with tempfile.TemporaryDirectory() as folder, make(Path(folder), chance) as world:
        memory = Path(folder) / "memory"
        soak(world, options.minutes * 60, memory)
        print(
            f"{options.backend}, {options.minutes} minutes, seed {options.seed}: {dict(world.done)}",
            flush=True,
        )
        runs = quiet(world)
        found = list(differences(world.engine))
        quarters = memory_by_quarter(memory)
        alive = len(all_incidents(world.engine))
        print(f"{alive} incidents, quiet after {runs} runs, {len(found)} differences")
        print(*found[:20], sep="\n")
        print(f"memory of the steady worker by quarter, MiB: {quarters}")
    sys.exit(1 if found or runs > QUIET_RUNS else 0)


if __name__ == "__main__":
    main()
