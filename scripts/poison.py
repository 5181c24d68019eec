"""One incident that nobody can read among ten thousand: the others are searchable after the same run.

    python scripts/poison.py --incidents 9999

Three runs set the poison aside, one alert tells of it, and an edit brings it back. Exits 1 otherwise.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from kbsync import build_engine, sync_once, update_incident
from kbsync.engine import Engine
from kbsync.model import State
from kbsync.pipeline.changes import upsert_incidents
from kbsync.settings import Settings

POISON = "INC-POISON"
PAGE = 500


def filled(engine: Engine, count: int) -> None:
    """Import so many closed incidents, and in the middle one whose description is no text."""
    for start in range(0, count, PAGE):
        numbers = range(start, min(start + PAGE, count))
        upsert_incidents(
            engine,
            [
                {
                    "incident_id": f"INC-{number}",
                    "sk": "METADATA",
                    "status": "CLOSED",
                    "title": f"Service {number % 97} fails with code {number}",
                    "description": f"Request {number} ends with ERR-{number}.",
                    "resolution": {"description": f"Restarted node {number % 13}."},
                }
                for number in numbers
            ],
        )
        if start <= count // 2 < start + PAGE:
            bad = {"incident_id": POISON, "sk": "METADATA", "status": "CLOSED", "description": {"no": "text"}}
            upsert_incidents(engine, [bad])


def main() -> None:
    """Run until it is set aside, mend it, run once more."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--incidents", type=int, default=9_999)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = build_engine(Settings(home=Path(folder), embedder="hash"))
        filled(engine, options.incidents)
        started = time.monotonic()
        runs = [sync_once(engine) for _ in range(4)]
        for run in runs:
            print(f"{run.status}: {run.indexed} indexed, {run.failed} failed, {run.quarantined} quarantined")
        print(f"{time.monotonic() - started:.0f} s")
        alerts = Path(folder, "alerts.jsonl").read_text(encoding="utf-8").splitlines()
        told = sum("quarantined" in line for line in alerts)
        aside = engine.ledger.records([POISON])[POISON]
        print(f"the poison is {aside.state} after {aside.attempts} attempts; {told} alert of it")
        good = (
            runs[0].indexed == options.incidents
            and [run.failed for run in runs] == [1, 1, 1, 0]
            and (aside.state, aside.attempts, told) == (State.QUARANTINED, 3, 1)
        )
        update_incident(engine, POISON, {"description": "The text it should have had."})
        released = sync_once(engine).indexed
        print(f"edited: {released} indexed")
    sys.exit(0 if good and released == 1 else 1)


if __name__ == "__main__":
    main()
