"""What all commands share: help with examples, common options on both sides, errors and exit codes."""

import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest
from calling import Cli
from typer.main import get_command

import kbsync
from kbsync.cli.command import Call, run_body
from kbsync.cli.main import app, run
from kbsync.errors import (
    AccessDeniedError,
    BusyError,
    ConfigInvalidError,
    UnavailableError,
    UnknownIncidentError,
)

COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]
PROMISED = {
    "close", "config", "delete", "demo", "explain", "export", "import", "init", "open", "pause", "quarantine",
    "reopen", "resume", "retry", "runs", "search", "show", "status", "sync", "watch",
}  # fmt: skip


def as_text(shown: str) -> str:
    return re.sub(r"[\s│]+", " ", shown)


@pytest.fixture
def in_process() -> Iterator[None]:
    """Let `run` be called here: the log handler that it adds goes again."""
    handlers = list(logging.getLogger("kbsync").handlers)
    yield
    logging.getLogger("kbsync").handlers = handlers


def test_every_promised_command_is_there() -> None:
    assert set(COMMANDS) >= PROMISED


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_has_an_example_and_the_common_options(cli: Cli, command: str) -> None:
    shown = cli(command, "--help")

    assert shown.exit_code == 0
    assert f"kbsync {command}" in shown.stdout.partition("Examples:")[2]
    for option in ("--home", "--config", "--backend", "--json"):
        assert option in shown.stdout


def test_version_is_the_packages(cli: Cli) -> None:
    assert cli("--version").stdout.strip() == f"kbsync {kbsync.__version__}"


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_common_options_count_on_both_sides_of_the_command(cli: Cli, *, before: bool) -> None:
    options = ("--home", str(cli.folder / "other"), "--json")

    result = cli(*options, "init") if before else cli("init", *options)

    assert json.loads(result.stdout)["home"] == str(cli.folder / "other")


def test_option_after_the_command_wins_over_the_one_before(cli: Cli) -> None:
    result = cli("--home", str(cli.folder / "one"), "init", "--home", str(cli.folder / "two"), "--json")

    assert json.loads(result.stdout)["home"] == str(cli.folder / "two")


@pytest.mark.parametrize(
    "command",
    ["status", "runs", "export", "pause", "resume", "quarantine"],
)
def test_command_that_needs_a_home_makes_none(cli: Cli, command: str) -> None:
    result = cli(command)

    assert result.exit_code == 2
    assert "kbsync init" in result.stderr
    assert not cli.home.exists()


def test_wrong_settings_are_all_named_with_exit_2(cli: Cli) -> None:
    result = cli("sync", "--json", BATCH_SIZE="0", TIMEZONE="Mars/Base")

    assert result.exit_code == 2
    assert result.stdout == ""
    error = json.loads(result.stderr)["error"]
    assert "BATCH_SIZE" in error
    assert "TIMEZONE" in error


def test_home_of_a_newer_version_is_refused_with_exit_3(cli: Cli) -> None:
    import apsw  # noqa: PLC0415 - only this test looks under the adapter

    cli("init")
    database = apsw.Connection(str(cli.home / "kbsync.db"))
    database.execute("PRAGMA user_version=999")
    database.close()

    result = cli("status")

    assert result.exit_code == 3
    assert "newer kbsync" in as_text(result.stderr)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BusyError("busy"), 0),
        (UnknownIncidentError("unknown"), 2),
        (ConfigInvalidError("wrong"), 2),
        (AccessDeniedError("no"), 3),
        (UnavailableError("away"), 3),
        (ZeroDivisionError("secret text"), 3),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_each_error_has_its_exit_code_and_one_line(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def body() -> int:
        raise error

    assert run_body(Call({}), body) == code

    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert "secret text" not in told.err
    assert "Traceback" not in told.err


def test_verbose_shows_where_an_unexpected_error_began(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> int:
        raise ZeroDivisionError

    run_body(Call({}, verbose=True), body)

    assert "Traceback" in capsys.readouterr().err


def test_closed_pipe_is_left_to_the_caller() -> None:
    def body() -> int:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_body(Call({}), body)


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["close"], 2),
        (["nonsense"], 2),
        (["status", "--limit"], 2),
        ([], 2),
        (["config"], 0),
        (["status", "--home", "/nonexistent"], 2),
    ],
    ids=["missing argument", "unknown command", "unknown option", "nothing", "well", "no home"],
)
def test_run_returns_the_exit_code(
    arguments: list[str], code: int, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KBSYNC_HOME", str(cli.home))
    monkeypatch.setattr(sys, "argv", ["kbsync", *arguments])

    assert run() == code


@pytest.mark.usefixtures("in_process")
def test_usage_error_with_json_is_json_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["kbsync", "close", "--json"])

    run()

    told = capsys.readouterr()
    assert told.out == ""
    assert json.loads(told.err)["hint"] == "`kbsync close --help` shows how it is used"


@pytest.mark.usefixtures("in_process")
def test_declined_question_exits_1(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.begin()
    for name, value in cli.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["kbsync", "delete", "INC-1001"])
    monkeypatch.setattr("kbsync.cli.incidents.is_terminal", lambda _: True)
    monkeypatch.setattr("typer.confirm", _decline)

    assert run() == 1
    assert "Nothing was done." in capsys.readouterr().err


def _decline(*_arguments: object, **_named: object) -> None:
    import typer  # noqa: PLC0415 - stands in for the question alone

    raise typer.Abort
