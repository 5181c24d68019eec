"""What earlier evaluations measured: the last hundred, as one small value of the ledger.

Imports the engine. Invariant: no question and no incident is kept, only numbers and the names of
sets.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter

from kbsync.engine import Engine
from kbsync.pipeline.kept import change_value
from kbsync.quality.evaluation import Row

EVALUATIONS = "evaluations"
KEPT = 100
MOST_SETS = 20
"""Rows kept of one evaluation: a hundred of them stay well within one item of DynamoDB."""
_MOST_NAME_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of an earlier evaluation: values without their intervals."""

    set_name: str
    questions: int
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One earlier evaluation; `searched_by` names the mode and the model."""

    at: datetime
    questions: str
    searched_by: str
    rows: tuple[Measured, ...]


_STORED = TypeAdapter(tuple[Evaluation, ...])


def evaluations(engine: Engine) -> tuple[Evaluation, ...]:
    """Return the earlier evaluations, oldest first."""
    return _STORED.validate_json(engine.ledger.read_value(EVALUATIONS) or "[]")


def keep(engine: Engine, *, questions: str, searched_by: str, rows: Sequence[Row]) -> None:
    """Add an evaluation to the history; of more than a hundred the oldest go.

    Raises:
        ThrottledError (retriable): others kept writing; nothing was kept.
    """
    measured = [
        Measured(
            row.set_name[:_MOST_NAME_CHARACTERS],
            row.questions,
            {name: round(estimate.value, 4) for name, estimate in row.measures.items()},
        )
        for row in rows
        if not row.language
    ]
    kept = [*measured[: MOST_SETS - 1], measured[-1]] if len(measured) > MOST_SETS else measured
    added = Evaluation(engine.now(), questions[:_MOST_NAME_CHARACTERS], searched_by, tuple(kept))

    def longer(text: str) -> str:
        stored = _STORED.validate_json(text or "[]")
        return _STORED.dump_json((*stored, added)[-KEPT:]).decode()

    change_value(engine, EVALUATIONS, longer)


def course(history: Sequence[Evaluation], set_name: str, measure: str) -> list[float]:
    """Return how one measure of one set went, oldest first."""
    return [
        row.values[measure]
        for each in history
        for row in each.rows
        if row.set_name == set_name and measure in row.values
    ]


def as_json(history: Sequence[Evaluation]) -> list[object]:
    """Return the history as plain values."""
    listed: list[object] = json.loads(_STORED.dump_json(tuple(history)))
    return listed
