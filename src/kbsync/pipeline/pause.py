"""Pause and resume: a person stops all runs for a while. Knows the Ledger port only."""

import json
from dataclasses import dataclass
from datetime import datetime

from kbsync.engine import Engine

PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when and why no run works."""

    at: datetime
    reason: str


def pause(engine: Engine, *, reason: str) -> None:
    """Make every later run end at once without work; a run that is going on finishes.

    Repeating replaces the reason.
    """
    value = json.dumps({"at": engine.now().isoformat(), "reason": reason})
    engine.ledger.write_value(PAUSE, value)


def resume(engine: Engine) -> None:
    """Let runs work again; nothing happens where none is paused."""
    engine.ledger.write_value(PAUSE, "")


def read_pause(engine: Engine) -> Pause | None:
    """Return the pause that stands, or None."""
    value = engine.ledger.read_value(PAUSE)
    if not value:
        return None
    stored = json.loads(value)
    return Pause(datetime.fromisoformat(stored["at"]), stored["reason"])
