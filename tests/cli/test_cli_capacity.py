"""`kbsync plan-capacity` as people and programs see it; it needs no home and no account."""

import pytest
from calling import Cli


def test_plan_tells_lag_cost_and_what_fills_first(cli: Cli) -> None:
    said = cli("plan-capacity", "--closes", "1000", "--documents", "1000000").stdout

    assert "1,000 closes an hour, 1,000,000 documents" in said
    assert "closed to searchable: typically" in said
    assert "in all, without the vector store" in said
    assert "S3 PUT" in said


def test_load_that_never_catches_up_says_into_how_many_to_cut(cli: Cli) -> None:
    result = cli("plan-capacity", "--closes", "1000000", "--documents", "100000000")

    assert "falls behind without end" in result.stdout
    assert "--knowledge-bases 56" in result.stdout
    assert "12 accounts" in result.stdout


def test_program_gets_the_whole_plan(cli: Cli) -> None:
    view = cli.json("plan-capacity", "--closes", "3600", "--changes", "0", "--set", "ingested_per_second=2")

    # One change a second against two.
    assert view["resources"][0]["used"] == pytest.approx(0.5)
    assert view["resources"][0]["closes_per_hour"] == pytest.approx(7_200)
    assert view["resources"][-1]["name"]
    assert view["requests_per_month"]["S3 PUT"] == pytest.approx(3_600 * 730 * 2)
    assert view["total_dollars_per_month"] == pytest.approx(sum(view["dollars_per_month"].values()))


def test_unknown_fact_is_bad_usage(cli: Cli) -> None:
    result = cli("plan-capacity", "--set", "speed=3")

    assert result.exit_code == 2
    assert "ingested_per_second" in result.stderr
