"""The command `withdraw`: nothing without a yes, everything with it, and back."""

from pathlib import Path

import pytest

from cli.calling import Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path).synced()


def test_without_a_yes_it_says_what_would_go(cli: Cli) -> None:
    result = cli("withdraw", "--all")

    assert (result.exit_code, "2 documents would go. Nothing was written." in result.stdout) == (0, True)
    assert cli.json("status")["states"]["indexed"] == 2


def test_with_a_yes_everything_goes_and_status_says_why(cli: Cli) -> None:
    done = cli("withdraw", "--all", "--yes", "--reason", "moving")
    status = cli.json("status")

    assert "2 documents withdrawn." in done.stdout
    assert (status["states"]["excluded"], status["withdrawn_all"]["reason"]) == (2, "moving")
    assert "moving" in cli("status").stdout
    assert cli.json("search", "pool exhausted")["hits"] == []


def test_undo_brings_everything_back(cli: Cli) -> None:
    cli("withdraw", "--all", "--yes")

    undone = cli.json("withdraw", "--undo")
    report = cli.json("sync")

    assert (undone, report["indexed"]) == ({"withdrawn_all": False, "run": None}, 2)


def test_json_does_the_same_and_gives_the_run(cli: Cli) -> None:
    view = cli.json("withdraw", "--all", "--yes")

    assert (view["withdrawn_all"], view["run"]["withdrawn"]) == (True, 2)


@pytest.mark.parametrize("arguments", [[], ["--all", "--undo"]])
def test_neither_or_both_is_wrong_usage(cli: Cli, arguments: list[str]) -> None:
    assert cli("withdraw", *arguments).exit_code == 2
