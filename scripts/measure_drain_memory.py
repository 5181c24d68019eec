"""How much memory a run takes that publishes and indexes very many incidents of an embedded home at once.

    python scripts/measure_drain_memory.py [COUNT ...] [--folder FOLDER]

Made-up incidents of about 2 KB, each closed and marked; then one `kbsync sync`, and one more that finds
nothing to do. Prints one line a count: the most memory that any process of these runs held above a run over
an empty home, and seconds, which compare within one table only. EMBEDDER=hash, so that no model is in it.
Fails where not all are indexed, or where a run holds more than 150 MiB above idle. `--folder /dev/shm` keeps
the disk out of the seconds.
"""

import argparse
import tempfile
from pathlib import Path

from bench import run
from measure_backfill import incident  # puts the repository on the path

from kbsync.bootstrap import build_engine
from kbsync.model import Mark
from kbsync.ports import IncidentChange
from kbsync.settings import Settings

MOST_MIB_ABOVE_IDLE = 150
PAGE = 500


def close_incidents(home: Path, count: int) -> None:
    """Write so many closed incidents, each with its mark, as our own API does."""
    engine = build_engine(Settings(home=home, embedder="hash"))
    for start in range(0, count, PAGE):
        made_up = [incident(number) for number in range(start, min(start + PAGE, count))]
        at = engine.now()
        ids = [str(each["incident_id"]) for each in made_up]
        changes = [
            IncidentChange(incident_id, attributes, "", Mark(incident_id, at))
            for incident_id, attributes in zip(ids, made_up, strict=True)
        ]
        if not all(engine.incidents.change(changes)):
            raise SystemExit("an incident was there before it was made up")


def measure(folder: Path, count: int) -> float:
    """Print one line of the table; return the MiB above idle of the run that did the work."""
    home = folder / "home"
    idle = run(home, "hash", "sync")
    close_incidents(home, count)
    drained = run(home, "hash", "sync")
    again = run(home, "hash", "sync")
    done = (drained.answer["published"], drained.answer["indexed"], again.answer["found"])
    if done != (count, count, 0):
        raise SystemExit(f"published, indexed, and found again: {done} of {count}")
    above = drained.peak_mib - idle.peak_mib
    cells = [
        count,
        f"{idle.peak_mib:.0f}",
        f"{above:.0f}",
        f"{again.peak_mib - idle.peak_mib:.0f}",
        f"{drained.seconds:.0f}",
        f"{again.seconds:.1f}",
    ]
    print(f"| {' | '.join(map(str, cells))} |", flush=True)
    return above


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("counts", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="where the homes are made; a temporary folder")
    options = parser.parse_args()
    print("| pending | idle run MiB | drain, MiB above | next run, MiB above | drain s | next run s |")
    print("|---:|---:|---:|---:|---:|---:|", flush=True)
    for count in options.counts:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            above = measure(Path(folder), count)
        if above > MOST_MIB_ABOVE_IDLE:
            raise SystemExit(f"{above:.0f} MiB above idle are more than {MOST_MIB_ABOVE_IDLE}")


if __name__ == "__main__":
    main()
