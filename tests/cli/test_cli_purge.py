"""The command `purge`: nothing without a yes; a certificate with it; and back."""

from pathlib import Path

import pytest

from cli.calling import Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path).synced()


def test_without_a_yes_it_says_what_would_go(cli: Cli) -> None:
    view, shown = cli.json("purge", "--incident", "INC-1001"), cli("purge", "--incident", "INC-1001")

    assert (view["purged"], view["certificate"], view["waiting"]) == (False, None, [])
    assert view["incidents"] == [
        {
            "incident_id": "INC-1001",
            "document_key": "incidents/INC-1001.md",
            "state": "indexed",
            "in_table": True,
            "versions": 2,
            "knowledge_base_knows_it": True,
        }
    ]
    assert "1 incident would be purged. Nothing was written." in shown.stdout
    assert cli.json("status")["states"]["indexed"] == 2


def test_with_a_yes_it_is_gone_certified_and_stays_out_until_released(cli: Cli) -> None:
    view = cli.json("purge", "--incident", "INC-1001", "--yes")
    certificate = view["certificate"]
    listed = cli.json("purge", "--list")["certificates"]
    shown = cli("purge", "--certificate", certificate["certificate"]).stdout
    again = cli.json("sync")

    assert (view["purged"], view["waiting"], certificate["incidents"]) == (True, [], 1)
    assert certificate["purged"][0]["own_item_stays"] is True
    assert [each["certificate"] for each in listed] == [certificate["certificate"]]
    assert cli.json("purge", "--certificate", certificate["certificate"]) == certificate
    assert "purged: INC-1001" in shown
    assert certificate["certificate"] in cli("purge", "--list").stdout
    assert (again["published"], cli.json("explain", "INC-1001")["state"]) == (0, "excluded")

    assert cli.json("purge", "--release", "INC-1001") == {"released": ["INC-1001"]}
    assert cli.json("sync")["indexed"] == 1
    cli("purge", "--incident", "INC-1001", "--yes")
    assert "1 incident may be published again." in cli("purge", "--release", "INC-1001").stdout
    assert cli("purge", "--release", "INC-1001").exit_code == 2


def test_item_goes_too_where_that_is_asked_for(cli: Cli) -> None:
    done = cli("purge", "--incident", "INC-1001", "--delete-incident", "--yes")

    assert (done.exit_code, "purged: INC-1001" in done.stdout) == (0, True)
    files = [path for path in cli.home.rglob("*") if path.is_file()]
    assert [path.name for path in files if b"orders-db" in path.read_bytes()] == []


def test_patterns_of_a_file_are_never_printed(cli: Cli, tmp_path: Path) -> None:
    stray = cli.home / "documents" / "incidents" / "NOTE.md"
    stray.write_text("certificado", encoding="utf-8")
    file = tmp_path / "leaked.txt"
    file.write_text("re:certificad[o]\n", encoding="utf-8")

    view, shown = cli.json("purge", "--pattern-file", str(file)), cli("purge", "--pattern-file", str(file))
    done = cli("purge", "--pattern-file", str(file), "--yes")

    assert [each["incident_id"] for each in view["incidents"]] == ["INC-1002"]
    assert view["stray_keys"] == ["incidents/NOTE.md"]
    assert "matches, and belongs to no incident: incidents/NOTE.md" in shown.stdout
    assert "found by 1 patterns, SHA-256" in done.stdout
    assert "certificad" not in done.output


def test_patterns_that_nothing_holds_purge_nothing(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "leaked.txt"
    file.write_text("nobody wrote this\n", encoding="utf-8")

    shown = cli("purge", "--pattern-file", str(file), "--yes")

    assert (shown.exit_code, "0 incidents would be purged" in shown.stdout) == (0, True)


def test_what_is_not_confirmed_gone_is_told_with_exit_code_1(cli: Cli) -> None:
    result = cli("purge", "--incident", "INC-1001", "--yes", KBSYNC_LOCAL_FAULTS='{"zero_scan": true}')

    assert result.exit_code == 1
    assert "1 incident not yet confirmed gone." in result.stdout


def test_paused_runs_purge_nothing(cli: Cli) -> None:
    cli("pause")

    result = cli("purge", "--incident", "INC-1001", "--yes")

    assert (result.exit_code, "kbsync resume" in result.output) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--incident", "INC-1001", "--list"],
        ["--incident", "INC-never"],
        ["--certificate", "purge-never"],
        ["--pattern-file", "/nowhere/leaked.txt"],
    ],
    ids=["nothing", "two", "unknown", "no-certificate", "no-file"],
)
def test_wrong_usage_changes_nothing(cli: Cli, arguments: list[str]) -> None:
    assert cli("purge", *arguments).exit_code == 2
