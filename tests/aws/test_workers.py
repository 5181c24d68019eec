"""Two workers on one deployment: one works, the other takes over when it dies, and nothing is lost."""

import pytest

from benchmarks.workers import LeaseTimes, killed

SHORT = LeaseTimes(seconds=2.0, grace_seconds=1.0)
INCIDENTS = 120
OBJECTS = 2 * INCIDENTS
RUN_RECORDS = 4
"""JSON and page of a run that publishes, and of one that confirms."""
IN_HAND = 2 * 100
"""The objects of a page, which the benchmarks' settings make of 100."""


@pytest.mark.slow
def test_worker_killed_in_its_drain_is_followed_by_the_next_when_its_lease_has_run_out() -> None:
    """At most the page in hand was tried again. Slow: a server and three clients, all processes."""
    found = killed(INCIDENTS, SHORT, delay_seconds=0.005)

    assert INCIDENTS <= found.puts_before <= OBJECTS
    assert found.waited_seconds >= SHORT.grace_seconds
    assert found.published_by_the_next > 0
    again = found.puts - OBJECTS
    assert found.refused <= again <= found.refused + 2 * RUN_RECORDS
    assert found.refused <= IN_HAND
