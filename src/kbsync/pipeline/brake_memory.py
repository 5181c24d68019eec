"""Brake, what it remembers: withdrawals of a day by hour, what waits, what a person approved. Pure values.

The whole of it is one small ledger value. Invariant: it holds one day of hours at most, whatever the table's
size; what cannot be told apart any more counts as withdrawn, never as free.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta

from kbsync.engine import Engine
from kbsync.errors import ThrottledError
from kbsync.queueing import utc_text

BRAKE = "brake"
WINDOW = timedelta(hours=24)
FREE_COUNT = 20
FREE_PERCENT = 15
"""Source: DESIGN.md, section 9: past 15 % and 20, withdrawals that nobody asked for wait for a person."""
TRIES = 5
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour in which the brake decided: how many it let go, of how many live documents at its start."""

    starts_at: str
    withdrawn: int
    live: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Brake:
    """What stands of the deletion brake between two runs."""

    hours: tuple[Hour, ...] = ()
    unsettled: bool = False
    """Something was held after the last decision, or the decision was not carried out to its end."""
    waiting: int = 0
    """How many withdrawals wait for a person."""
    plan: str = ""
    """The hash of what waits, as it was when it was decided on."""
    decided_at: str = ""
    approved: str = ""
    """The plan that goes, by a person's word or because it is few, and the due up to which it reaches."""
    until: str = ""
    causes: dict[str, int] = field(default_factory=dict)
    """How many of what waits have which cause."""

    @property
    def is_off(self) -> bool:
        """Whether there is nothing to decide, to carry out, or to keep waiting."""
        return not (self.unsettled or self.waiting or self.approved)

    @property
    def withdrawn(self) -> int:
        """How many have gone within the window."""
        return sum(hour.withdrawn for hour in self.hours)

    @property
    def free(self) -> int:
        """How many of the documents live at the window's start may go without a person."""
        return max(FREE_COUNT, self.hours[0].live * FREE_PERCENT // 100)

    def at(self, now: datetime, count_live: Callable[[], int]) -> "Brake":
        """Return the memory with this hour in it and without what has left the window."""
        first = utc_text(now - WINDOW - _HOUR)
        hours = tuple(hour for hour in self.hours if hour.starts_at > first)
        this = utc_text(now.replace(minute=0, second=0, microsecond=0))
        if all(hour.starts_at != this for hour in hours):
            hours = (*hours, Hour(this, 0, count_live()))
        return replace(self, hours=hours)

    def having_let_go(self, count: int) -> "Brake":
        """Return the memory with so many more gone in its last hour."""
        last = self.hours[-1]
        return replace(self, hours=(*self.hours[:-1], replace(last, withdrawn=last.withdrawn + count)))


def brake_of(text: str) -> Brake:
    """Return what a stored text remembers; a brake that was never on where there is none."""
    stored = json.loads(text or "{}")
    hours = tuple(Hour(**hour) for hour in stored.pop("hours", ()))
    return Brake(hours=hours, **stored)


def read_brake(engine: Engine) -> Brake:
    """Return the brake as it stands; reads only."""
    return brake_of(engine.ledger.read_value(BRAKE))


def change_brake(engine: Engine, change: Callable[[Brake], Brake]) -> Brake:
    """Replace the memory by what `change` makes of it as it stands; returns the new one.

    Raises:
        ThrottledError (retriable): others kept changing it; nothing was written.
    """
    for _ in range(TRIES):
        text = engine.ledger.read_value(BRAKE)
        brake = change(brake_of(text))
        if engine.ledger.write_value(BRAKE, json.dumps(asdict(brake)), expected=text):
            return brake
    raise ThrottledError("the deletion brake's memory keeps changing", hint="try again")
