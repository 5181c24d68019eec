"""What a run with nothing to do costs an embedded home, by how many settled incidents it holds.

    python scripts/measure_idle.py [COUNT ...] [--folder FOLDER]

Incidents and records are written as rows: closed, searchable, nothing owed. Prints statements and steps of
SQLite's machine, which repeat, and milliseconds of a run inside one process (the least of seven) and of
`kbsync sync` from its start to its end, which compare within one table only. EMBEDDER=hash. A million take
2 GB of the folder.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from bench import run

from kbsync.bootstrap import build_engine
from kbsync.engine import Engine
from kbsync.pipeline.sync import sync_once
from kbsync.settings import Settings
from settled import settle

RUNS = 7


def measure(home: Path, count: int) -> str:
    """Return one line of the table."""
    engine = build_engine(Settings(home=home, embedder="hash"))
    sync_once(engine)
    database = engine.ledger._database  # type: ignore[attr-defined] # noqa: SLF001 - rows without marks
    settle(database, count, engine.transform.rendered_by)
    sync_once(engine)
    statements, steps = counted(engine)
    least = min(seconds_of(engine) for _ in range(RUNS))
    whole = run(home, "hash", "sync")
    if whole.answer["found"]:
        raise SystemExit("the run was not idle")
    return f"| {count} | {statements} | {steps} | {least * 1000:.1f} | {whole.seconds * 1000:.0f} |"


def counted(engine: Engine) -> tuple[int, int]:
    """Return how many statements and steps one run takes, on both files."""
    counts = {"statements": 0, "steps": 0}

    def statement(_cursor: object, _sql: str, _bindings: object) -> bool:
        counts["statements"] += 1
        return True

    def step() -> bool:
        counts["steps"] += 1
        return False

    files = (engine.ledger._database, engine.knowledge_base._file)  # type: ignore[attr-defined] # noqa: SLF001
    connections = [file._connection for file in files]  # noqa: SLF001 - no other way to watch them
    for connection in connections:
        connection.exec_trace = statement
        connection.set_progress_handler(step, 1)
    sync_once(engine)
    for connection in connections:
        connection.exec_trace = None
        connection.set_progress_handler(None)
    return counts["statements"], counts["steps"]


def seconds_of(engine: Engine) -> float:
    """Return how long one run takes."""
    begun = time.perf_counter()
    sync_once(engine)
    return time.perf_counter() - begun


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("counts", type=int, nargs="*", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where the homes are made; a temporary folder")
    given = parser.parse_args()
    print(
        "| settled incidents | statements | steps | run, ms | whole command, ms |\n|---:|---:|---:|---:|---:|"
    )
    for count in given.counts:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            print(measure(Path(folder) / "home", count), flush=True)


if __name__ == "__main__":
    main()
