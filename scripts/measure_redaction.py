"""Measure what redaction costs: of rendering alone, and of the whole main job without the model.

    python scripts/measure_redaction.py incidents.jsonl

Seconds are of the processor, the best of three, so that other work on the machine counts little.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from kbsync.bootstrap import build_engine, rules_of
from kbsync.model import StoredIncident
from kbsync.pipeline.changes import upsert_incidents
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform import transform
from kbsync.settings import Settings

REPEATS = 3
PAGE = 50


def unredacted(text: str, *_how: object) -> str:
    """Return the text as it is: what rendering would cost if nothing were looked for."""
    return text


def render(incidents: list[dict[str, object]]) -> float:
    """Return the seconds in which all incidents are rendered."""
    made = transform.IncidentTransform(rules_of(Settings(home=Path(tempfile.gettempdir()))))
    started = time.process_time()
    for each in incidents:
        made.desired(StoredIncident(str(each["incident_id"]), each, ""))
    return time.process_time() - started


def main_job(incidents: list[dict[str, object]]) -> float:
    """Return the seconds of one sync of all incidents in a new home, with a stand-in for the model."""
    with tempfile.TemporaryDirectory() as folder:
        engine = build_engine(Settings(home=Path(folder), embedder="hash"))
        for start in range(0, len(incidents), PAGE):
            upsert_incidents(engine, incidents[start : start + PAGE])
        started = time.process_time()
        report = sync_once(engine)
        seconds = time.process_time() - started
        assert report.indexed == len(incidents), report  # noqa: S101 - a measurement of less would be wrong
    return seconds


def best(measure: Callable[[list[dict[str, object]]], float], incidents: list[dict[str, object]]) -> float:
    """Return the least of three measurements, in milliseconds an incident."""
    return min(measure(incidents) for _ in range(REPEATS)) / len(incidents) * 1000


def main(file: Path, limit: int) -> None:
    """Print the table of docs/REDACTION.md."""
    with file.open(encoding="utf-8") as lines:
        items = [json.loads(line) for line in lines]
    incidents = [each for each in items if each.get("status") == "CLOSED"][:limit]
    print(f"{len(incidents)} closed incidents\n\n| ms an incident | without | with | throughput with |")
    print("|---|---|---|---|")
    for name, measure in (("rendering alone", render), ("main job without the model", main_job)):
        with patch.object(transform, "redact", unredacted):
            without = best(measure, incidents)
        with_rules = best(measure, incidents)
        print(f"| {name} | {without:.2f} | {with_rules:.2f} | {without / with_rules:.2f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--limit", type=int, default=3_000)
    given = parser.parse_args()
    main(given.file, given.limit)
