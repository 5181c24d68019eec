"""Back-fill many incidents of an embedded home from export files, killed half-way and resumed.

    python scripts/measure_backfill.py [COUNT] [--drain]

Made-up incidents of about 2 KB stand in the table without marks, as after a restore, and in 20 export files.
With `--drain` a run publishes them. Prints counts, which repeat, peak memory above that of `kbsync status`,
and seconds, which compare within one run only; fails where not all are marked. EMBEDDER=none.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from bench import COMMAND

from benchmarks.prepared import incident
from exports import write_export
from kbsync.bootstrap import build_engine
from kbsync.local.attributes_codec import encode_attributes
from kbsync.settings import Settings

FILES = 20


def prepare(folder: Path, count: int) -> Path:
    """Fill the table and write the export; returns the export's folder."""
    incidents = [incident(number) for number in range(count)]
    engine = build_engine(Settings(home=folder / "home", embedder="none"))
    database = engine.incidents._database  # type: ignore[attr-defined] # noqa: SLF001 - writes without marks
    with database.transaction():
        for each in incidents:
            row = (each["incident_id"], each["status"], encode_attributes(each))
            database.write("INSERT INTO incidents VALUES (?, ?, ?)", row)
    size = -(-count // FILES)
    return write_export(folder, [incidents[start : start + size] for start in range(0, count, size)])


def started(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start one command of the CLI."""
    environment = {**os.environ, "KBSYNC_HOME": str(home), "EMBEDDER": "none"}
    return subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "--json", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> tuple[dict[str, object], float]:
    """Wait for a command; returns its answer and its peak memory in MiB, or fails with what it said."""
    answer, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"ended with {process.returncode}: {said}")
    return json.loads(answer), int(said.split()[-1]) / 1024


def waiting(home: Path) -> int:
    """Return how many incidents are marked."""
    engine = build_engine(Settings(home=home, embedder="none"))
    return sum(engine.ledger.count_records()[0].values())


def main() -> None:
    """Measure and print one line a stage."""
    parser = argparse.ArgumentParser(description="Back-fill, killed half-way and resumed.")
    parser.add_argument("count", type=int, nargs="?", default=50_000)
    parser.add_argument("--drain", action="store_true", help="publish them as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home, export = Path(folder) / "home", prepare(Path(folder), options.count)
        _, idle_mib = ended(started(home, "status"))
        begun = time.monotonic()
        first = started(home, "backfill", str(export))
        while waiting(home) < options.count // 2:
            time.sleep(0.2)
        first.kill()
        first.communicate()
        killed_at = waiting(home)
        view, peak_mib = ended(started(home, "backfill", str(export)))
        seconds = time.monotonic() - begun
        marked = waiting(home)
        print(f"killed at {killed_at}; marked in the end: {marked} of {options.count}; the second: {view}")
        print(f"{seconds:.0f} s with the kill, {peak_mib - idle_mib:.0f} MiB above idle")
        if marked != options.count:
            raise SystemExit("not every incident is marked")
        if options.drain:
            begun = time.monotonic()
            report, peak_mib = ended(started(home, "sync"))
            print(f"drained: {report['published']} published, {report['indexed']} indexed in ", end="")
            print(f"{time.monotonic() - begun:.0f} s, {peak_mib - idle_mib:.0f} MiB above idle")


if __name__ == "__main__":
    main()
