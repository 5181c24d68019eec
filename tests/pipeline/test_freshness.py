"""From closed to searchable: what is counted, from when, by severity and day, and what counts no more."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from builders import NOON, Home, an_incident
from kbsync.engine import Policy
from kbsync.freshness import DAYS_SHOWN, Times, keep_waits, note_wait, recent_waits, severity_name
from kbsync.local.faults import LocalFaults
from kbsync.pipeline.changes import close_incident, reopen_incident, update_incident, upsert_incidents
from kbsync.pipeline.sync import sync_once
from kbsync.views.report import report_view
from kbsync.views.status import status_view

OpenHome = Callable[..., Home]


def times_of(home: Home) -> dict[str, Any]:
    return cast("dict[str, Any]", status_view(home.engine)["closed_to_searchable_seconds"])


def test_wait_counts_from_the_closing_that_the_incident_names(home: Home) -> None:
    """Whoever closes and is heard of half an hour later has waited that half hour as well."""
    closed = (home.clock.at - timedelta(minutes=30)).isoformat()
    upsert_incidents(home.engine, [an_incident(resolved_at=closed)])

    sync_once(home.engine)

    assert 1_800 <= times_of(home)["max"] < 1_860


@pytest.mark.parametrize(
    "closed", ["2025-03-10T09:30:00Z", "2026-03-20T09:30:00Z", "2026-03-10", "yesterday", {}]
)
def test_wait_counts_from_when_we_learnt_of_it(home: Home, closed: object) -> None:
    """A closing of last year is a back-fill, one of next week a mistake, and a day is no moment."""
    upsert_incidents(home.engine, [an_incident(resolved_at=closed, resolution={"description": "Restarted."})])
    home.clock.forward(minutes=10)

    sync_once(home.engine)

    assert 600 <= times_of(home)["max"] < 660


def test_edit_leaves_the_figure_of_the_closing(home: Home) -> None:
    """An edit of a searchable incident says nothing of how soon it was found when it was closed."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    before = home.ledger.records(["INC-1001"])["INC-1001"].searchable_seconds
    update_incident(home.engine, "INC-1001", {"description": "edited"})
    home.clock.forward(hours=9)

    report = sync_once(home.engine)

    assert (report.indexed, report.searchable) == (1, ())
    assert home.ledger.records(["INC-1001"])["INC-1001"].searchable_seconds == before
    assert times_of(home)["count"] == 1


def test_reopened_and_closed_again_is_counted_anew(home: Home) -> None:
    """Each closing is a promise of its own."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    reopen_incident(home.engine, "INC-1001")
    sync_once(home.engine)
    close_incident(home.engine, "INC-1001")
    home.clock.forward(minutes=20)

    sync_once(home.engine)

    assert times_of(home)["count"] == 2
    assert 1_200 <= times_of(home)["max"] < 1_260


def test_each_severity_is_counted_apart_and_late_ones_are_told(open_home: OpenHome) -> None:
    """Two high ones wait for two hours, a low one for seconds; the objective is one hour."""
    home = open_home(policy=Policy(searchable_within_seconds=3_600))
    upsert_incidents(home.engine, [an_incident(incident_id=f"H-{n}", severity=" High ") for n in range(2)])
    home.clock.forward(hours=2)
    upsert_incidents(home.engine, [an_incident(incident_id="L-1", severity="low")])

    view = report_view(sync_once(home.engine))

    told = cast("dict[str, Any]", view["closed_to_searchable_seconds"])
    assert (told["count"], told["late"]) == (3, 2)
    assert {name: (each["count"], each["late"]) for name, each in told["by_severity"].items()} == {
        "high": (2, 2),
        "low": (1, 0),
    }
    assert times_of(home) == {**told, "days": DAYS_SHOWN, "objective": 3_600}


def test_what_waits_for_its_confirmation_is_not_counted_yet(open_home: OpenHome) -> None:
    """Published is not searchable."""
    home = open_home(faults=LocalFaults(delay_polls=100_000), policy=Policy(wait_seconds=0))
    upsert_incidents(home.engine, [an_incident()])

    assert sync_once(home.engine).searchable == ()
    assert times_of(home)["count"] == 0


def test_days_are_kept_apart_and_old_ones_forgotten(home: Home) -> None:
    """Status tells of seven days; a value of an eighth is removed when a new day begins."""
    waits: dict[str, Times] = {}
    note_wait(waits, "high", 10.0, objective_seconds=60)
    for age in range(9, -1, -1):
        keep_waits(home.engine, waits, on=(NOON - timedelta(days=age)).date())

    assert recent_waits(home.engine)["high"].counts.total() == 7
    assert home.ledger.read_value("searchable#2026-03-03") == ""
    assert home.ledger.read_value("searchable#2026-03-04") != ""


def test_percentiles_are_at_most_nine_percent_too_high() -> None:
    """Of 1 to 1,000 seconds the median is 500 and the 95th percentile 950; the maximum is exact."""
    times = Times()
    for seconds in range(1, 1_001):
        times.add(float(seconds), objective_seconds=900)

    summary = times.summary("")

    assert 500 <= summary.p50 <= 500 * 1.09
    assert 950 <= summary.p95 <= 950 * 1.09
    assert (summary.longest, summary.late, summary.count) == (1_000, 100, 1_000)


def test_any_severity_has_a_short_plain_name_and_they_are_few() -> None:
    """Severities are foreign text: neither a long one nor a hundred of them make values grow."""
    assert [severity_name(each) for each in (" Alta ", "", "P1", "<script>", "x" * 50)] == [
        "alta", "none", "p1", "other", "other",
    ]  # fmt: skip
    waits: dict[str, Times] = {}
    for number in range(100):
        note_wait(waits, f"s{number}", 1.0, objective_seconds=60)
    assert len(waits) == 13
    assert waits["other"].counts.total() == 88


def test_two_runs_of_a_day_add_up_and_a_lost_race_loses_no_other_count(home: Home) -> None:
    """The day's value is replaced only where it is still what was read."""
    waits: dict[str, Times] = {}
    note_wait(waits, "high", 10.0, objective_seconds=60)
    keep_waits(home.engine, waits, on=NOON.date())
    stale = replace(home.engine, ledger=_Stale(home.engine.ledger))  # type: ignore[arg-type] # reads what was

    keep_waits(home.engine, waits, on=NOON.date())
    keep_waits(stale, waits, on=NOON.date())

    assert recent_waits(home.engine)["high"].counts.total() == 2


class _Stale:
    """A ledger as a worker sees it that read before the others wrote."""

    def __init__(self, ledger: object) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> object:
        return (lambda _: "{}") if name == "read_value" else getattr(self._ledger, name)
