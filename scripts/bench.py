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
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

EDITED = 60
COMMAND = [sys.executable, "-m", "kbsync"]


@dataclass(frozen=True)
class Stage:
    """What one process did: its answer, how long it took, and the most memory that it, or a child, held."""

    answer: dict[str, object]
    seconds: float
    peak_mib: float


def run(home: Path, embedder: str, *arguments: str) -> Stage:
    """Run one command of the CLI to its end; raise where it fails."""
    environment = {**os.environ, "KBSYNC_HOME": str(home), "EMBEDDER": embedder}
    answer = home.parent / "answer.json"
    started = time.monotonic()
    pid = os.posix_spawn(
        COMMAND[0],
        [*COMMAND, "--json", *arguments],
        environment,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, str(answer), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)],
    )
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - started
    if status:
        raise SystemExit(f"{arguments} ended with {os.waitstatus_to_exitcode(status)}")
    return Stage(json.loads(answer.read_text(encoding="utf-8")), seconds, usage.ru_maxrss / 1024)


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
