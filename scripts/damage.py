"""Break ten of each kind among five thousand, and kill `kbsync reconcile --repair` while it mends them.

    python scripts/damage.py --healthy 5000 --each 10 --kills 5

The damage is that of tests/damage.py. A report must find exactly it; then the command is started and killed
with SIGKILL at random moments, run to its end, and followed by syncs. Nothing may differ afterwards but what
is not ours to mend, and the state must be that of a copy of the home on which nobody was killed. Else exit 1.
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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from builders import Home, TickingClock
from damage import damage, expected, found, until_quiet, whole_state
from kbsync import build_engine
from kbsync.pipeline.reconcile import reconcile
from kbsync.settings import Settings


def opened(folder: Path) -> Home:
    """Return the home as the command line opens it, with a clock that the script may move."""
    clock = TickingClock(at=datetime.now(UTC))
    engine = build_engine(Settings(home=folder, embedder="hash"), now=clock, sleep=clock.sleep)
    ports = (engine.incidents, engine.ledger, engine.documents, engine.knowledge_base)
    return Home(engine, clock, *cast("tuple[Any, Any, Any, Any]", ports), folder)


def command(folder: Path) -> "subprocess.Popen[str]":
    """Start the repair as a process of its own."""
    environment = {**os.environ, "KBSYNC_HOME": str(folder), "EMBEDDER": "hash"}
    arguments = [sys.executable, "-m", "kbsync", "--json", "reconcile", "--repair"]
    return subprocess.Popen(  # noqa: S603 - our own command
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def repaired(folder: Path) -> dict[str, Any]:
    """Run the repair to its end and return its report."""
    answer, _ = command(folder).communicate()
    report: dict[str, Any] = json.loads(answer)
    return report


def settled(folder: Path) -> dict[str, object]:
    """Sync until nothing waits, and return everything that must be equal."""
    home = opened(folder)
    until_quiet(home)
    return whole_state(home)


def main() -> None:
    """Damage, report, repair with and without kills, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--healthy", type=int, default=5_000)
    parser.add_argument("--each", type=int, default=10)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance, wrong = random.Random(options.seed), 0  # noqa: S311 - moments of a test, not secrets
    with tempfile.TemporaryDirectory() as parent:
        made, unbroken = Path(parent) / "made", Path(parent) / "unbroken"
        damage(opened(made), each=options.each, healthy=options.healthy)
        reported = found(reconcile(opened(made).engine))
        wrong += reported != expected(options.each)
        print(f"{options.healthy} healthy, {options.each} of each: found {reported}", flush=True)
        shutil.copytree(made, unbroken)
        started = time.monotonic()
        report = repaired(unbroken)
        lasts = time.monotonic() - started
        end = settled(unbroken)
        again = found(reconcile(opened(unbroken).engine))
        wrong += again != {"foreign": options.each}
        print(f"repair in {lasts:.1f} s: {report['marked']} marked; then found {again}", flush=True)
        moments = []
        for _ in range(options.kills):
            process = command(made)
            moments.append(chance.uniform(lasts / 4, lasts))
            time.sleep(moments[-1])
            process.send_signal(signal.SIGKILL)
            process.wait()
        repaired(made)
        same = settled(made) == end
        wrong += not same
        times = ", ".join(f"{moment:.1f}" for moment in moments)
        print(f"killed after {times} s, then run to its end: {'same' if same else 'ANOTHER'} state")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
