"""The clock of an embedded home goes on, whatever the machine's does."""

from datetime import datetime, timedelta

from builders import NOON
from kbsync.local.steady_clock import FURTHEST_AHEAD, TICK, SteadyClock


class Hands:
    """A clock that shows what it is set to."""

    at: datetime = NOON

    def __call__(self) -> datetime:
        return self.at


def test_time_that_steps_back_goes_on_by_the_least_amount() -> None:
    hands = Hands()
    clock = SteadyClock(hands)
    first = clock()
    hands.at -= timedelta(hours=1)

    assert (first, clock(), clock()) == (NOON, NOON + TICK, NOON + 2 * TICK)
    hands.at = NOON + timedelta(minutes=1)
    assert clock() == NOON + timedelta(minutes=1)


def test_home_written_a_little_ahead_is_gone_on_from() -> None:
    clock = SteadyClock(Hands())
    clock.not_before(NOON + timedelta(hours=2))
    clock.not_before(NOON + timedelta(hours=1))
    clock.not_before(None)

    assert clock() == NOON + timedelta(hours=2) + TICK


def test_home_written_far_in_the_future_is_not_believed() -> None:
    clock = SteadyClock(Hands())
    clock.not_before(NOON + FURTHEST_AHEAD + TICK)

    assert clock() == NOON
