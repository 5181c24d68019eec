"""Shares and means with their 95 % intervals, and paired differences. Pure; imports nothing of ours.

Invariant: the same answers give the same numbers, intervals included, in every process.
"""

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LOOKED_AT = 50
"""Places that are looked at; a right answer behind them counts as none."""
GAIN_PLACES = 10
RESAMPLES = 1_000
_Z = 1.96
MEASURES = ("hit@1", "hit@5", "mrr", "ndcg@10")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number measured on a sample, and the interval in which that of all such questions lies (95 %)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Places:
    """Where the right answers of one question came, from 1, in order; and how many there are."""

    found: tuple[int, ...]
    wanted: int

    @property
    def first(self) -> int:
        """The place of the first right answer; 0 where none was found."""
        return self.found[0] if self.found else 0

    def hits(self, within: int) -> bool:
        """Whether a right answer is among the first so many."""
        return 0 < self.first <= within

    @property
    def reciprocal(self) -> float:
        """1 for the first place, a half for the second; 0 for none."""
        return 1 / self.first if self.first else 0.0

    @property
    def gain(self) -> float:
        """NDCG over ten places, each right answer worth the same.

        Source: Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques".
        """
        best = sum(1 / math.log2(place + 1) for place in range(1, min(self.wanted, GAIN_PLACES) + 1))
        return sum(1 / math.log2(place + 1) for place in self.found if place <= GAIN_PLACES) / best


def measure(places: Sequence[Places]) -> dict[str, Estimate]:
    """Return every measure over these questions, of which there must be one at least."""
    reciprocals, gains = bootstrapped([(each.reciprocal, each.gain) for each in places])
    return {
        "hit@1": wilson(sum(each.hits(1) for each in places), len(places)),
        "hit@5": wilson(sum(each.hits(5) for each in places), len(places)),
        "mrr": reciprocals,
        "ndcg@10": gains,
    }


def differences(ours: Sequence[Places], others: Sequence[Places]) -> dict[str, Estimate]:
    """Return how much higher the others' measures are, question by question: paired, so narrower."""
    pairs = [
        (
            float(other.hits(1)) - our.hits(1),
            float(other.hits(5)) - our.hits(5),
            other.reciprocal - our.reciprocal,
            other.gain - our.gain,
        )
        for our, other in zip(ours, others, strict=True)
    ]
    return dict(zip(MEASURES, bootstrapped(pairs), strict=True))


def wilson(hits: int, count: int) -> Estimate:
    """Return a share and its Wilson interval.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    share = hits / count
    middle = (share + _Z * _Z / (2 * count)) / (1 + _Z * _Z / count)
    half = _Z / (1 + _Z * _Z / count) * math.sqrt(share * (1 - share) / count + (_Z / (2 * count)) ** 2)
    return Estimate(share, max(middle - half, 0.0), min(middle + half, 1.0))


def bootstrapped(rows: Sequence[tuple[float, ...]]) -> list[Estimate]:
    """Return the mean of each column with its percentile bootstrap interval; all columns share the draws."""
    draw = random.Random(7)  # noqa: S311 - the same intervals in every run
    count = len(rows)
    draws = [
        [sum(column) / count for column in zip(*draw.choices(rows, k=count), strict=True)]
        for _ in range(RESAMPLES)
    ]
    cut = round(RESAMPLES * 0.025)
    means = [statistics.fmean(column) for column in zip(*rows, strict=True)]
    ordered = [sorted(column) for column in zip(*draws, strict=True)]
    return [Estimate(mean, drawn[cut], drawn[-cut - 1]) for mean, drawn in zip(means, ordered, strict=True)]
