"""When the next run may be expected, told from the runs before it. Pure; imports the model only."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from kbsync.run_report import RunReport

RUNS_LOOKED_AT = 12
_FEWEST = 3


def next_run_expected(runs: Sequence[RunReport], now: datetime) -> datetime | None:
    """Return the newest run's start plus the usual time between starts; None where there is no habit.

    Fewer than three runs make no habit, nor does one that has been missed for as long again.

    Args:
        runs: newest first.
        now: aware UTC.
    """
    starts = [run.started_at for run in runs[:RUNS_LOOKED_AT]]
    if len(starts) < _FEWEST:
        return None
    gaps = sorted(later - earlier for later, earlier in pairwise(starts))
    usual = gaps[len(gaps) // 2]
    expected = starts[0] + usual
    return expected if now < expected + usual else None
