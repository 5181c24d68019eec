"""Purge, the texts: run records, messages and feedback of a purged incident, or with what was searched for.

Knows the Ledger port. Invariant: counts stay as they were; only texts and ids go, so old runs still add up.
"""

import json
from dataclasses import replace

from kbsync.engine import Engine
from kbsync.pipeline.alerting import ALERTS
from kbsync.pipeline.kept import change_value
from kbsync.run_report import RunReport
from kbsync.traces import Traces

MOST_RUNS = 100_000
"""More than 90 days of runs every five minutes make."""
TAKEN_OUT = "(purged)"
FEEDBACK = "feedback"
"""The ledger's value of what people found useful: a list of incident, question and time, by name."""


def forget_texts(engine: Engine, traces: Traces) -> None:
    """Take the incidents out of all run records, undelivered messages and feedback; harmless to repeat."""
    if engine.ledger.read_value(FEEDBACK):
        change_value(engine, FEEDBACK, lambda text: _feedback_without(text, traces))
    for run in engine.ledger.runs(limit=MOST_RUNS):
        kept = _without(run, traces)
        if kept != run:
            engine.ledger.save_run(kept)
    text = engine.ledger.read_value(ALERTS)
    memory = json.loads(text or "{}")
    outbox = memory.get("outbox", [])
    kept_messages = [message for message in outbox if not any(map(traces.are_in, message))]
    if kept_messages != outbox:
        engine.ledger.write_value(ALERTS, json.dumps({**memory, "outbox": kept_messages}), expected=text)


def _feedback_without(text: str, traces: Traces) -> str:
    named = {*traces.incident_ids}
    said = json.loads(text or "[]")
    kept = [each for each in said if each["incident_id"] not in named and not traces.are_in(each["query"])]
    return json.dumps(kept) if kept else ""


def _without(run: RunReport, traces: Traces) -> RunReport:
    named = {*traces.incident_ids}
    return replace(
        run,
        page=tuple(each for each in run.page if each not in named),
        errors=tuple(
            error for error in run.errors if error.incident_id not in named and not traces.are_in(error.error)
        ),
        messages=tuple(TAKEN_OUT if traces.are_in(message) else message for message in run.messages),
    )
