"""The least that search must find: `hit@5=.80` over all questions, or `error:mrr=.7` over one set. Pure.

Imports errors and the rows. Invariant: a limit over questions that were not asked is not held.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kbsync.errors import UsageError
from kbsync.quality.evaluation import ALL, Row
from kbsync.quality.measures import MEASURES

_LIMIT = re.compile(r"(?:(?P<set>.+):)?(?P<measure>[\w@]+)=(?P<value>[01]?\.?\d*)")


@dataclass(frozen=True, slots=True)
class Limit:
    """One measure and what it must reach; without a set, over all questions."""

    set_name: str
    measure: str
    value: float

    def __str__(self) -> str:
        return f"{self.set_name}:{self.measure}" if self.set_name else self.measure


def limit_of(text: str) -> Limit:
    """Return the limit that a text names.

    Raises:
        UsageError: it is none.
    """
    match = _LIMIT.fullmatch(text.strip())
    try:
        value = float(match["value"]) if match else -1.0
    except ValueError:
        value = -1.0
    if match is None or match["measure"].lower() not in MEASURES or not 0 <= value <= 1:
        raise UsageError(
            f"{text!r} is no limit",
            hint=f"write hit@5=.80, or SET:hit@5=.80; measures: {', '.join(MEASURES)}",
        )
    return Limit(match["set"] or "", match["measure"].lower(), value)


def broken_limits(limits: Sequence[Limit], rows: Sequence[Row]) -> list[str]:
    """Return, in words, each limit that is not held."""
    broken = []
    for limit in limits:
        measured = _measured(limit, rows)
        if measured is None:
            broken.append(f"{limit}: no question of this set was asked")
        elif measured < limit.value:
            broken.append(f"{limit} is {measured:.3f}, under {limit.value:.3f}")
    return broken


def _measured(limit: Limit, rows: Sequence[Row]) -> float | None:
    wanted = limit.set_name or (ALL if len({row.set_name for row in rows}) > 1 else rows[0].set_name)
    return next(
        (row.measures[limit.measure].value for row in rows if row.set_name == wanted and not row.language),
        None,
    )
