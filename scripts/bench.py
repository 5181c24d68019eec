"""Measure the whole main job on a file of incidents: seconds, rates, memory and counts, as a Markdown table.

    python scripts/bench.py incidents.jsonl                    the model that search uses
    python scripts/bench.py incidents.jsonl --embedder hash    everything but the model
    python scripts/bench.py incidents.jsonl --embedder hash --memory    peak memory by number of incidents

Each stage is a process of its own, started as a person starts it, in a fresh folder. Timings compare
within one run only; counts and memory repeat.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

EDITED = 60
MEASURED = """
import atexit, pathlib, resource, sys
from kbsync.cli.main import run

def note():
    # The kernel's high-water mark begins anew with each program; that of rusage begins with its parent's.
    status = pathlib.Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    own = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
    own = own or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss), file=sys.stderr)

atexit.register(note)
run()
"""
COMMAND = [sys.executable, "-c", MEASURED]


@dataclass(frozen=True)
class Stage:
    """What one process did: its answer, how long it took, and the most memory that it, or a child, held."""

    answer: dict[str, object]
    seconds: float
    peak_mib: float


def run(home: Path, embedder: str, *arguments: str) -> Stage:
    """Run one command of the CLI to its end; raise where it fails."""
    environment = {**os.environ, "KBSYNC_HOME": str(home), "EMBEDDER": embedder}
    started = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, "--json", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - started
    if done.returncode:
        raise SystemExit(f"{arguments} ended with {done.returncode}: {done.stderr}")
    return Stage(json.loads(done.stdout), seconds, int(done.stderr.split()[-1]) / 1024)


def edited(lines: Sequence[str]) -> list[str]:
    """Return the first closed incidents with another description."""
    items = [item for item in map(json.loads, lines) if item.get("status") == "CLOSED"][:EDITED]
    return [json.dumps({**item, "description": f"{item.get('description')} Seen again."}) for item in items]


def bench(lines: Sequence[str], embedder: str) -> None:
    """Print one row a stage."""
    print("| stage | seconds | a second | peak MiB | found | published | objects written | indexed |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        home, file = Path(folder) / "home", Path(folder) / "incidents.jsonl"
        file.write_text("\n".join(lines), encoding="utf-8")
        row("import", run(home, embedder, "import", str(file)), len(lines))
        row("first sync", run(home, embedder, "sync"), len(lines))
        row("second sync", run(home, embedder, "sync"), 0)
        changed = edited(lines)
        file.write_text("\n".join(changed), encoding="utf-8")
        row(f"import of {len(changed)} edits", run(home, embedder, "import", str(file)), len(changed))
        row("sync of the edits", run(home, embedder, "sync"), len(changed))


def row(name: str, stage: Stage, count: int) -> None:
    """Print one stage; commands that are no run have no counts."""
    counts = [stage.answer.get(each, "") for each in ("found", "published", "objects_written", "indexed")]
    rate = f"{count / stage.seconds:.0f}" if count else ""
    cells = [name, f"{stage.seconds:.1f}", rate, f"{stage.peak_mib:.0f}", *map(str, counts)]
    print(f"| {' | '.join(cells)} |", flush=True)


def memory(lines: Sequence[str], embedder: str) -> None:
    """Print the peak memory of import, sync and search for a quarter, a half and all of the incidents."""
    print("| incidents | import MiB | first sync MiB | idle sync MiB | search MiB |")
    print("|---:|---:|---:|---:|---:|")
    for count in (len(lines) // 4, len(lines) // 2, len(lines)):
        with tempfile.TemporaryDirectory() as folder:
            home, file = Path(folder) / "home", Path(folder) / "incidents.jsonl"
            file.write_text("\n".join(lines[:count]), encoding="utf-8")
            stages = [
                run(home, embedder, *arguments)
                for arguments in (
                    ("import", str(file)),
                    ("sync",),
                    ("sync",),
                    ("search", "connection refused"),
                )
            ]
        print(f"| {count} | {' | '.join(f'{stage.peak_mib:.0f}' for stage in stages)} |", flush=True)


def main() -> None:
    """Read the arguments and print the table that they ask for."""
    parser = argparse.ArgumentParser(description="Measure the main job on a file of incidents.")
    parser.add_argument("file", type=Path, help="JSON Lines, one incident a line")
    parser.add_argument("--embedder", default="auto", choices=["auto", "e5", "use", "hash", "none"])
    parser.add_argument("--limit", type=int, help="only so many lines")
    parser.add_argument("--memory", action="store_true", help="peak memory by number of incidents")
    options = parser.parse_args()
    lines = options.file.read_text(encoding="utf-8").splitlines()[: options.limit]
    print(f"{len(lines)} lines, embedder {options.embedder}, {os.cpu_count()} cores\n")
    (memory if options.memory else bench)(lines, options.embedder)


if __name__ == "__main__":
    main()
