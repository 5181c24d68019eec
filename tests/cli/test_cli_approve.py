"""The approve command: what it lists, lets go and exits with, and what other commands say meanwhile."""

import pytest
from calling import MADE_UP, Cli

from kbsync.bootstrap import build_engine
from kbsync.pipeline import brake_memory
from kbsync.setting_sources import load_settings


@pytest.fixture
def held(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """A home whose two documents lost their incidents, where one a day may go unasked."""
    monkeypatch.setattr(brake_memory, "FREE_COUNT", 1)
    cli.synced()
    engine = build_engine(load_settings({"home": str(cli.home), "embedder": "hash"}, {}))
    for each in MADE_UP[:2]:
        engine.incidents.delete_as_other_writer(each["incident_id"])  # type: ignore[attr-defined] # the local adapter's
    cli("reconcile", "--repair")
    return cli


def test_sync_that_holds_withdrawals_is_degraded_and_names_the_next_command(held: Cli) -> None:
    result = held("sync")

    assert result.exit_code == 1
    assert "2 withdrawals wait for a person" in result.stdout
    assert "kbsync approve" in result.stdout
    assert "withheld 2" in " ".join(result.stdout.split())


def test_dry_run_says_how_many_would_wait(held: Cli) -> None:
    view, shown = held.json("sync", "--dry-run"), held("sync", "--dry-run")

    assert (view["actions"], view["withheld"]) == ({"withdraw": 2}, 2)
    assert "2 withdrawals would wait for a person" in shown.stdout
    held("reopen", "INC-1003")
    assert held.json("sync", "--dry-run")["withheld"] == 2


def test_dry_run_of_what_may_go_unasked_says_nothing_of_a_person(
    held: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brake_memory, "FREE_COUNT", 2)

    assert held.json("sync", "--dry-run")["withheld"] == 0
    assert "person" not in held("sync", "--dry-run").stdout


def test_list_names_plan_reason_and_document_and_changes_nothing(held: Cli) -> None:
    held("sync")

    result, view = held("approve"), held.json("approve", "--limit", "1")

    assert result.exit_code == 0
    assert f"Plan {view['plan']}: 2 withdrawals." in result.stdout
    assert f"kbsync approve {view['plan']}" in result.stdout
    assert (view["withdrawals"], view["causes"], view["left_out"]) == (2, {"deleted": 2}, 1)
    assert view["held"][0] == {
        "incident_id": "INC-1001",
        "reason": "deleted: the incident is no longer in the table",
        "document_key": "incidents/INC-1001.md",
        "in_table": False,
    }
    assert held.json("approve", "--limit", "1") == view


def test_approved_plan_is_made_by_the_next_sync(held: Cli) -> None:
    held("sync")
    plan = held.json("approve")["plan"]

    approved = held("approve", plan.upper())
    listed = held("approve")
    report = held.json("sync")

    assert "2 withdrawals will be made by the next run" in approved.stdout
    assert "makes those that were approved" in listed.stdout
    assert (report["status"], report["withdrawn"], report["withheld"]) == ("ok", 2, 0)
    assert "No withdrawal waits" in held("approve").stdout


def test_more_than_the_limit_are_counted(held: Cli) -> None:
    held("sync")

    assert "1 more; --limit shows them" in held("approve", "--limit", "1").stdout


@pytest.mark.parametrize("plan", ["", "0123456789abcdef"])
def test_another_plan_is_refused_as_wrong_usage(held: Cli, plan: str) -> None:
    held("sync")

    result = held("approve", plan)

    assert result.exit_code == 2
    assert "is not the plan that waits" in result.stderr


def test_status_explain_and_doctor_tell_what_waits(held: Cli) -> None:
    held("sync")

    status, story = held("status"), held("explain", "INC-1001")
    findings = held.json("doctor")["findings"]

    assert "2 withdrawals for a person to decide on" in status.stdout
    assert "kbsync approve" in status.stdout
    assert "a person decides" in story.stdout
    assert "withdrawals-held" in {each["code"] for each in findings}
