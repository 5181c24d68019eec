"""How long incidents take from closed to searchable: counted per severity, kept by day in the ledger.

    confirmed -> seconds since it was closed -> the run's counts -> the day's counts (ledger) -> status

Counts stand in buckets that grow by 2^(1/8), so a percentile is at most 9 % above the true one; memory and
values follow the buckets in use, never the number of incidents. A run that is killed loses what it had
counted, and nothing else: each record keeps its own figure. Knows the Ledger port.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from kbsync.engine import Engine
from kbsync.run_report import SearchableTimes

DAYS_SHOWN = 7
"""Status tells of so many days, today included."""
DAYS_KEPT = 14
BACKFILL_AFTER = timedelta(days=1)
"""An incident closed longer before we learnt of it is a back-fill: it counts from when we learnt of it."""
MOST_SEVERITIES = 12
OTHER = "other"
UNKNOWN = "none"

_PER_DOUBLING = 8
_PLAIN = re.compile(r"[\w .+-]{1,20}")
_VALUE = "searchable#"


@dataclass
class Times:
    """Waits of one severity: a histogram, the longest, and how many were over the objective."""

    counts: Counter[int] = field(default_factory=Counter)
    longest: float = 0.0
    late: int = 0

    def add(self, seconds: float, *, objective_seconds: float) -> None:
        """Count one wait."""
        self.counts[_bucket(seconds)] += 1
        self.longest = max(self.longest, seconds)
        self.late += seconds > objective_seconds

    def merge(self, other: "Times") -> None:
        """Count what another has counted."""
        self.counts += other.counts
        self.longest = max(self.longest, other.longest)
        self.late += other.late

    def summary(self, severity: str) -> SearchableTimes:
        """Return count, percentiles and maximum; only of waits that were counted."""
        return SearchableTimes(
            severity, self.counts.total(), self.late, self._at(50), self._at(95), round(self.longest, 3)
        )

    def _at(self, percent: int) -> float:
        """Return the least bucket's bound that at least so many percent do not exceed."""
        needed, seen, bound = -(-self.counts.total() * percent // 100), 0, 0.0
        for bucket in sorted(self.counts):
            seen, bound = seen + self.counts[bucket], 2 ** (bucket / _PER_DOUBLING)
            if seen >= needed:
                break
        return round(min(bound, self.longest), 3)


Freshness = dict[str, Times]
"""Waits by severity."""


def _bucket(seconds: float) -> int:
    return math.ceil(_PER_DOUBLING * math.log2(max(seconds, 1.0)))


def severity_name(text: str) -> str:
    """Return a severity as it is counted and shown to metrics: short and plain, or `other`."""
    name = text.strip().lower()
    return UNKNOWN if not name else name if _PLAIN.fullmatch(name) else OTHER


def seconds_to_searchable(closed_at: datetime | None, learnt_at: datetime | None, now: datetime) -> float:
    """Return the wait from the closing that the incident itself names, else from when we learnt of it."""
    start = learnt_at or now
    if closed_at is not None and start - BACKFILL_AFTER <= closed_at:
        start = min(start, closed_at)
    return max((now - start) / timedelta(seconds=1), 0.0)


def note_wait(waits: Freshness, severity: str, seconds: float, *, objective_seconds: float) -> None:
    """Count one wait under its severity; a thirteenth severity is `other`."""
    _times_of(waits, severity).add(seconds, objective_seconds=objective_seconds)


def _times_of(waits: Freshness, severity: str) -> Times:
    known = severity in waits or len(waits) < MOST_SEVERITIES
    return waits.setdefault(severity if known else OTHER, Times())


def summaries(waits: Freshness) -> tuple[SearchableTimes, ...]:
    """Return all together first, with no severity, then each severity; nothing of no waits."""
    if not waits:
        return ()
    everything = Times()
    for times in waits.values():
        everything.merge(times)
    return (everything.summary(""), *(waits[name].summary(name) for name in sorted(waits)))


def keep_waits(engine: Engine, waits: Freshness, *, on: date) -> None:
    """Add a run's counts to its day's; the first of a day forgets the days that nobody looks at any more."""
    if not waits:
        return
    known = engine.ledger.read_value(_name(on))
    merged = _merged([_from_text(known), waits])
    text = json.dumps(
        {name: [dict(each.counts), round(each.longest, 3), each.late] for name, each in merged.items()}
    )
    if engine.ledger.write_value(_name(on), text, expected=known) and not known:
        for age in range(DAYS_SHOWN, DAYS_KEPT):
            engine.ledger.write_value(_name(on - timedelta(days=age)), "")


def recent_waits(engine: Engine) -> Freshness:
    """Return the counts of the last days together; as many reads as days, whatever the history."""
    today = engine.now().date()
    names = [_name(today - timedelta(days=age)) for age in range(DAYS_SHOWN)]
    return _merged(_from_text(engine.ledger.read_value(name)) for name in names)


def _name(day: date) -> str:
    return f"{_VALUE}{day.isoformat()}"


def _from_text(text: str) -> Freshness:
    stored: dict[str, tuple[dict[str, int], float, int]] = json.loads(text or "{}")
    return {
        name: Times(Counter({int(bucket): count for bucket, count in counts.items()}), longest, late)
        for name, (counts, longest, late) in stored.items()
    }


def _merged(parts: Iterable[Freshness]) -> Freshness:
    merged: Freshness = {}
    for part in parts:
        for name, times in part.items():
            _times_of(merged, name).merge(times)
    return merged
