"""sync, watch, retry, pause, resume: what they do, print and exit with."""

import json
import signal
from datetime import UTC, datetime

import pytest
from calling import MADE_UP, UNREADABLE, Cli

from builders import an_incident
from kbsync.bootstrap import build_engine
from kbsync.cli.running import Watch, seconds_of, stopping_on_sigterm, watch_runs
from kbsync.errors import UnavailableError, UsageError
from kbsync.pipeline.lease import holding_lease
from kbsync.run_report import RunReport
from kbsync.setting_sources import load_settings

COUNTS = {
    "run_id", "status", "found", "published", "unchanged", "withdrawn", "indexed", "failed", "quarantined",
    "pending", "errors", "duration_seconds",
}  # fmt: skip


def test_sync_of_closed_incidents_reports_them_as_indexed(cli: Cli) -> None:
    cli.begin()

    report = cli.json("sync")

    assert report.keys() >= COUNTS
    assert (report["status"], report["published"], report["indexed"], report["failed"]) == ("ok", 2, 2, 0)


def test_second_sync_finds_nothing_to_do(cli: Cli) -> None:
    report = cli.synced().json("sync")

    assert (report["found"], report["published"], report["objects_written"]) == (0, 0, 0)


def test_sync_with_one_bad_incident_exits_1(cli: Cli) -> None:
    result = cli.begin([*MADE_UP, UNREADABLE])("sync", "--json")

    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert [error["incident_id"] for error in report["errors"]] == ["INC-1004"]


def test_sync_in_which_everything_fails_exits_3(cli: Cli) -> None:
    result = cli.begin([UNREADABLE])("sync")

    assert result.exit_code == 3
    assert "INC-1004" in result.stdout


def test_sync_of_last_attempt_names_quarantine_as_next(cli: Cli) -> None:
    result = cli.begin([*MADE_UP, UNREADABLE])("sync", MAX_ATTEMPTS="1")

    assert "kbsync quarantine" in result.stdout


def test_sync_while_another_run_is_active_says_so_and_exits_0(cli: Cli) -> None:
    cli.begin()
    engine = build_engine(load_settings({}, cli.environment))

    with holding_lease(engine, "somebody-else"):
        for_people = cli("sync")
        for_programs = cli("sync", "--json")

    assert for_people.exit_code == for_programs.exit_code == 0
    assert "another run is active" in " ".join(for_people.stdout.split())
    assert json.loads(for_programs.stdout)["status"] == "busy"


@pytest.mark.slow
def test_two_processes_at_once_publish_each_document_once(cli: Cli) -> None:
    """Takes seconds: two interpreters start, because only real processes share a home the way users do."""
    cli.begin([an_incident(incident_id=f"INC-{number}") for number in range(60)])

    children = [cli.child("sync", "--json") for _ in range(2)]
    answers = [child.communicate(timeout=120) for child in children]

    assert [child.returncode for child in children] == [0, 0], answers
    reports = [json.loads(out) for out, _ in answers]
    assert sum(report["published"] for report in reports) == 60
    assert cli.json("status")["states"]["indexed"] == 60


def test_dry_run_names_changes_and_writes_nothing(cli: Cli) -> None:
    cli.begin([*MADE_UP, UNREADABLE])

    plan = cli.json("sync", "--dry-run")
    shown = cli("sync", "--dry-run")

    assert plan["actions"] == {"publish": 2, "look": 1, "reject": 1}
    assert [change["incident_id"] for change in plan["changes"]] == ["INC-1001", "INC-1002", "INC-1004"]
    assert "3 would change" in shown.stdout
    assert not (cli.home / "documents" / "incidents").exists()
    assert cli.json("runs")["runs"] == []


def test_dry_run_of_many_shows_the_first_and_counts_the_rest(cli: Cli) -> None:
    cli.begin([an_incident(incident_id=f"INC-{number:02}") for number in range(60)])

    shown = cli("sync", "--dry-run")

    assert "INC-49" in shown.stdout
    assert "10 more" in shown.stdout


def test_sync_that_does_not_wait_leaves_documents_pending(cli: Cli) -> None:
    cli.begin()

    first = cli("sync", "--no-wait")
    second = cli.json("sync")

    assert first.exit_code == 0
    assert "goes on with what is pending" in first.stdout
    assert second["indexed"] == 2


def test_paused_sync_works_nothing_and_says_why(cli: Cli) -> None:
    cli.begin()
    paused = cli.json("pause", "--reason", "moving the table")

    report = cli.json("sync")
    status = cli.json("status")

    assert paused == {"paused": True, "reason": "moving the table"}
    assert report["found"] == 0
    assert report["messages"] == ["paused: moving the table"]
    assert status["paused"]["reason"] == "moving the table"


def test_resume_lets_runs_work_again(cli: Cli) -> None:
    cli.begin()("pause")

    resumed = cli.json("resume")

    assert resumed == {"paused": False, "reason": None}
    assert cli.json("sync")["indexed"] == 2


def test_retry_of_one_quarantined_incident_tries_it_again(cli: Cli) -> None:
    cli.synced([*MADE_UP, UNREADABLE], MAX_ATTEMPTS="1")

    released = cli.json("retry", "INC-1004")
    again = cli("sync", "--json", MAX_ATTEMPTS="1")

    assert released == {"released": 1}
    assert json.loads(again.stdout)["found"] == 1


def test_retry_all_releases_every_quarantined_incident(cli: Cli) -> None:
    cli.synced([*MADE_UP, UNREADABLE], MAX_ATTEMPTS="1")

    shown = cli("retry", "--all")

    assert "1 incident will be tried again" in shown.stdout
    assert cli.json("quarantine")["total"] == 0


@pytest.mark.parametrize(
    "arguments", [(), ("INC-1", "--all"), ("INC-UNKNOWN",)], ids=["nothing", "both", "unknown id"]
)
def test_retry_of_nothing_sensible_is_bad_usage(cli: Cli, arguments: tuple[str, ...]) -> None:
    result = cli.begin()("retry", *arguments)

    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600), ("1d", 86400), ("1.5h", 5400)],
    ids=str,
)
def test_interval_with_unit_is_read_in_seconds(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0.5s", "soon", "-1h", "400d", "1e9"], ids=repr)
def test_interval_that_is_none_is_bad_usage(text: str) -> None:
    with pytest.raises(UsageError, match="interval"):
        seconds_of(text)


def test_watch_goes_on_after_a_run_that_failed() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    outcomes: list[Exception | RunReport] = [
        ValueError("secret text"),
        UnavailableError("the disk is full"),
        RunReport(run_id="third", status="ok", started_at=now),
    ]
    told: list[RunReport] = []
    waits: list[float] = []

    def run() -> RunReport:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def stopped(seconds: float) -> bool:
        waits.append(seconds)
        return not outcomes

    watch_runs(Watch(run, told.append, stopped, lambda: now), 60.0)

    assert [(report.status, report.messages) for report in told] == [
        ("failed", ("unexpected ValueError",)),
        ("failed", ("the disk is full",)),
        ("ok", ()),
    ]
    assert waits == [60.0, 60.0, 60.0]


def test_second_sigterm_interrupts_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with stopping_on_sigterm() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.wait(0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)

    assert signal.getsignal(signal.SIGTERM) is before


def read_lines(child: object, count: int) -> list[str]:
    return [child.stdout.readline() for _ in range(count)]  # type: ignore[attr-defined]


@pytest.mark.slow
def test_watch_tells_each_run_in_a_line_and_ends_well_on_sigterm(cli: Cli) -> None:
    """Takes seconds: an interpreter starts and waits between two runs, because signals need a process."""
    cli.begin()
    child = cli.child("watch", "--every", "1s", "--json")

    lines = read_lines(child, 2)
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=60)

    assert child.returncode == 0, errors
    assert [json.loads(line)["indexed"] for line in lines] == [2, 0]


@pytest.mark.slow
def test_watch_ends_with_130_on_ctrl_c(cli: Cli) -> None:
    """Takes a second: an interpreter starts, because signals need a process."""
    cli.begin()
    child = cli.child("watch", "--every", "1h")

    (line,) = read_lines(child, 1)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)

    assert "2 indexed" in line
    assert child.returncode == 130, errors
    assert "Traceback" not in errors
