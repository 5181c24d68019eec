"""What a reconcile found, as plain values. Imports views only; every value fits JSON."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from kbsync.views.report import View


class Surveyed(Protocol):
    """What this view shows of a reconcile; pipeline/reconcile_survey.py says what each member means."""

    run_id: str
    started_at: str
    repair: bool
    ended: bool
    in_work: int
    marked: int

    @property
    def compared(self) -> Mapping[str, int]:
        """How many were looked at, by the side they were listed from."""
        ...

    @property
    def found(self) -> Mapping[str, int]:
        """How many differences there are of each kind, zero included."""
        ...

    @property
    def samples(self) -> Mapping[str, Sequence[str]]:
        """A few subjects of each kind that was found."""
        ...


def reconcile_view(survey: Surveyed) -> View:
    """Return the counts of every kind of difference with a few subjects of each that was found."""
    return {
        "run_id": survey.run_id,
        "started_at": survey.started_at,
        "complete": survey.ended,
        "repair": survey.repair,
        "compared": dict(survey.compared),
        "in_work": survey.in_work,
        "differences": sum(survey.found.values()),
        "found": dict(survey.found),
        "samples": {kind: list(subjects) for kind, subjects in survey.samples.items()},
        "marked": survey.marked,
    }
