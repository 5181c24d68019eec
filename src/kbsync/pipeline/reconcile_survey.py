"""Reconcile, what it has found so far: counts and bounded samples, and where it goes on. Pure values.

The whole of it is one small ledger value, the checkpoint. Invariant: its size depends on no table's size.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum

from kbsync.pipeline.reconcile_judge import Difference, Drift

CHECKPOINT = "reconcile"
LAST_SURVEY = "reconcile_last"
"""The newest survey that came to its end, for those who look later."""
MAX_SAMPLE = 10
MAX_SUBJECT_CHARACTERS = 200
FRESH_FOR = timedelta(hours=24)
"""An older checkpoint counts what may no longer be so, and a service's page token may have expired."""


class Phase(StrEnum):
    """What is gone through, in this order; each finds what the ones before it cannot see."""

    INCIDENTS = "incidents"
    RECORDS = "records"
    OBJECTS = "objects"
    DOCUMENTS = "documents"


def _none_of(names: Iterable[str]) -> Counter[str]:
    """Return a zero for each name, so that what was not found is said as well."""
    return Counter(dict.fromkeys(map(str, names), 0))


@dataclass(kw_only=True)
class Survey:
    """One reconcile from its start to its end, over as many calls as it takes."""

    run_id: str
    started_at: str
    repair: bool
    phase: str = Phase.INCIDENTS
    cursor: str = ""
    ended: bool = False
    compared: Counter[str] = field(default_factory=lambda: _none_of(Phase))
    in_work: int = 0
    found: Counter[str] = field(default_factory=lambda: _none_of(Drift))
    samples: dict[str, list[str]] = field(default_factory=dict)
    marked: int = 0

    def note(self, differences: list[Difference]) -> None:
        """Count differences and keep the first few subjects of each kind."""
        for each in differences:
            self.found[each.drift] += 1
            sample = self.samples.setdefault(each.drift, [])
            if len(sample) < MAX_SAMPLE:
                sample.append(each.subject[:MAX_SUBJECT_CHARACTERS])

    def advance(self, cursor: str) -> bool:
        """Go on behind a page, or to the next phase after the last one; returns whether that was all."""
        self.cursor = cursor
        if not cursor:
            later = list(Phase)[list(Phase).index(Phase(self.phase)) + 1 :]
            self.phase, self.ended = (later[0], False) if later else (self.phase, True)
        return self.ended

    def as_text(self) -> str:
        """Return the checkpoint's text."""
        return json.dumps(vars(self))


def survey_of(text: str, *, repair: bool, now: datetime) -> Survey | None:
    """Return the survey to go on with; None where there is none of this kind, or it is too old to trust."""
    survey = stored_survey(text)
    if survey is None:
        return None
    fresh = now - datetime.fromisoformat(survey.started_at) < FRESH_FOR
    return survey if survey.repair is repair and fresh else None


def stored_survey(text: str) -> Survey | None:
    """Return the survey that a ledger value holds; None where there is none, or another version wrote it."""
    if not text:
        return None
    stored = json.loads(text)
    if stored.keys() != {each.name for each in fields(Survey)}:
        return None
    stored |= {"compared": Counter(stored["compared"]), "found": Counter(stored["found"])}
    return Survey(**stored)
