"""Kill `sync` at random moments, run it again, and compare with a run that nobody killed.

    python scripts/kill_runs.py incidents.jsonl --limit 600 --kills 20

For each kill: the same states, objects and searchable documents as the unbroken run, sound databases, and no
text embedded again whose vector had been stored. Also starts two runs at once. Exits 1 if anything differs.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kbsync import build_engine, load_settings, sync_once
from kbsync.engine import Engine
from kbsync.local.database import LocalDatabase
from kbsync.local.kb_schema import KnowledgeBaseFile

if TYPE_CHECKING:
    from kbsync.local.knowledge_base import LocalKnowledgeBase

COMMAND = [sys.executable, "-m", "kbsync", "--json"]


def command(home: Path, embedder: str, *arguments: str) -> subprocess.Popen[str]:
    """Start one command of the CLI on a home."""
    environment = {**os.environ, "KBSYNC_HOME": str(home), "EMBEDDER": embedder}
    return subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def finished(process: subprocess.Popen[str]) -> dict[str, object]:
    """Wait for a command and return its answer."""
    answer, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"exit {process.returncode}: {answer}")
    found: dict[str, object] = json.loads(answer)
    return found


def opened(home: Path, embedder: str) -> Engine:
    """Return the engine of a home."""
    return build_engine(load_settings({"home": str(home), "embedder": embedder}, {}))


def end_state(home: Path, embedder: str) -> dict[str, object]:
    """Return all that must be equal after any history."""
    engine, states, cursor = opened(home, embedder), {}, ""
    while True:
        page = engine.ledger.list_records(state=None, cursor=cursor, limit=500)
        states |= {each.incident_id: (str(each.state), each.fingerprint, each.queue) for each in page.items}
        cursor = page.cursor
        if not cursor:
            break
    objects = {head.key: head.etag for head in engine.documents.list(cursor="", limit=1_000_000).items}
    listed = engine.knowledge_base.list_documents(cursor="", limit=1_000_000).items
    synced = Counter(
        str(stored.attributes.get("kb_sync_status", {}).get("synced"))  # type: ignore[attr-defined]
        for stored in engine.incidents.scan(cursor="", limit=1_000_000).items
    )
    indexed = {each.key: str(each.status) for each in listed}
    return {"states": states, "objects": objects, "indexed": indexed, "synced": synced}


def vectors(home: Path) -> int:
    """Return how many vectors are stored."""
    path = home / "knowledge_base.db"
    return int(KnowledgeBaseFile(path).query("SELECT count(*) FROM embeddings")[0][0]) if path.exists() else 0


def broken(home: Path) -> list[str]:
    """Return what is wrong with the databases of a home."""
    kept = KnowledgeBaseFile(home / "knowledge_base.db")
    kept.query("INSERT INTO document_words (document_words) VALUES ('integrity-check')")
    return LocalDatabase(home / "kbsync.db").integrity_check() + kept.integrity_check()


def killed_and_run_again(imported: Path, home: Path, embedder: str, after_seconds: float) -> tuple[int, int]:
    """Kill a sync, then run one to its end; returns the vectors stored then and those made after."""
    shutil.copytree(imported, home)
    process = command(home, embedder, "sync")
    time.sleep(after_seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = vectors(home)
    engine = opened(home, embedder)
    sync_once(engine)
    knowledge_base = cast("LocalKnowledgeBase", engine.knowledge_base)
    running = [job for job in knowledge_base.jobs(limit=100) if not job.status.is_final]
    if running:
        raise SystemExit(f"a job was left running: {running}")
    return before, knowledge_base.embedded


def main() -> None:
    """Run the trials and print one line each."""
    parser = argparse.ArgumentParser(description="Kill sync at random moments and compare the ends.")
    parser.add_argument("file", type=Path, help="JSON Lines, one incident a line")
    parser.add_argument("--limit", type=int, default=600)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--embedder", default="auto")
    options = parser.parse_args()
    chance = random.Random(options.seed)  # noqa: S311 - moments of a test, not secrets
    lines = options.file.read_text(encoding="utf-8").splitlines()[: options.limit]
    print(f"{len(lines)} incidents, embedder {options.embedder}, seed {options.seed}", flush=True)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        imported, unbroken = Path(folder) / "imported", Path(folder) / "unbroken"
        sample = Path(folder) / "sample.jsonl"
        sample.write_text("\n".join(lines), encoding="utf-8")
        finished(command(imported, options.embedder, "import", str(sample)))
        shutil.copytree(imported, unbroken)
        started = time.monotonic()
        finished(command(unbroken, options.embedder, "sync"))
        lasts = time.monotonic() - started
        expected, texts = end_state(unbroken, options.embedder), vectors(unbroken)
        print(f"unbroken: {lasts:.1f} s, {texts} texts embedded", flush=True)
        for n in range(1, options.kills + 1):
            home, moment = Path(folder) / f"{n}", chance.uniform(0, lasts)
            before, made = killed_and_run_again(imported, home, options.embedder, moment)
            same = end_state(home, options.embedder) == expected
            faults = broken(home)
            again = before + made - texts
            wrong += not same or bool(faults) or again != 0
            print(
                f"kill {n} after {moment:.1f} s: {before} vectors stored, {made} embedded afterwards, "
                f"{'same end' if same else 'ANOTHER END'}, {'; '.join(faults) or 'sound'}",
                flush=True,
            )
            shutil.rmtree(home)
        home = Path(folder) / "two"
        shutil.copytree(imported, home)
        both = [command(home, options.embedder, "sync") for _ in range(2)]
        answers = [finished(each) for each in both]
        print("two at once:", [(a["status"], a.get("published"), a.get("indexed")) for a in answers])
        wrong += end_state(home, options.embedder) != expected
        wrong += min(str(a.get("published", 0)) for a in answers) != "0"
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
