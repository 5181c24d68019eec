"""init, import, export, close, reopen, delete: what they do, print and exit with."""

import csv
import gzip
import io
import json
import tomllib
from pathlib import Path

import pytest
from calling import MADE_UP, Cli, write_lines

from builders import an_incident
from kbsync.cli.incidents import settings_template
from kbsync.settings import Settings


def exported(cli: Cli) -> list[dict[str, object]]:
    return [json.loads(line) for line in cli("export").stdout.splitlines()]


def test_init_of_new_folder_makes_home_and_settings_file(cli: Cli) -> None:
    made = cli.json("init")

    assert made == {
        "home": str(cli.home),
        "created": True,
        "config": str(cli.home / "kbsync.toml"),
        "config_created": True,
    }
    assert cli.json("status")["incidents"] == 0


def test_init_again_keeps_what_was_written(cli: Cli) -> None:
    cli("init")
    (cli.home / "kbsync.toml").write_text("batch_size = 7\n", encoding="utf-8")

    again = cli("init")

    assert "was there already" in again.stdout
    assert (cli.home / "kbsync.toml").read_text(encoding="utf-8") == "batch_size = 7\n"


def test_settings_template_with_comments_removed_holds_the_defaults() -> None:
    lines = [line.removeprefix("# ") for line in settings_template().splitlines() if " = " in line]

    values = tomllib.loads("\n".join(lines))

    assert set(values) == set(Settings.model_fields) - {"home", "config"}
    assert Settings.model_validate(values) == Settings()


def test_import_counts_new_changed_and_equal_incidents(cli: Cli) -> None:
    cli.begin()
    changed = write_lines(cli.folder / "again.jsonl", [an_incident(title="Another title"), MADE_UP[1]])

    answer = cli.json("import", str(changed))

    assert answer == {"imported": 0, "updated": 1, "unchanged": 1, "rejected": [], "rejected_count": 0}


def test_import_with_bad_lines_takes_the_rest_and_exits_1(cli: Cli) -> None:
    path = write_lines(cli.folder / "mixed.jsonl", [MADE_UP[0], {"incident_id": "INC-7"}])

    for_programs = cli("import", str(path), "--json")
    for_people = cli("import", str(path))

    assert for_programs.exit_code == for_people.exit_code == 1
    answer = json.loads(for_programs.stdout)
    assert answer["imported"] == 1
    assert [each["line"] for each in answer["rejected"]] == [2]
    assert "status is missing" in for_people.stdout


def test_import_of_bad_lines_only_exits_3(cli: Cli) -> None:
    path = cli.folder / "bad.jsonl"
    path.write_text("nonsense\n" * 30, encoding="utf-8")

    result = cli("import", str(path))

    assert result.exit_code == 3
    assert "10 more" in result.stdout


def test_import_of_empty_file_is_no_failure(cli: Cli) -> None:
    path = write_lines(cli.folder / "empty.jsonl", [])

    assert cli.json("import", str(path))["imported"] == 0


def test_import_reads_csv_by_its_suffix(cli: Cli) -> None:
    path = cli.folder / "tickets.csv"
    path.write_text("incident_id,status,title\nINC-1,CLOSED,Printer\n", encoding="utf-8")

    assert cli.json("import", str(path))["imported"] == 1
    assert exported(cli)[0]["title"] == "Printer"


def test_import_reads_gzip(cli: Cli) -> None:
    path = cli.folder / "incidents.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(MADE_UP[0]).encode()))

    assert cli.json("import", str(path))["imported"] == 1


def test_import_of_cut_gzip_keeps_what_came_before_and_is_bad_usage(cli: Cli) -> None:
    path = cli.folder / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(MADE_UP[0]).encode())[:-9])

    result = cli("import", str(path))

    assert result.exit_code == 2
    assert "not a whole gzip file" in result.stderr


def test_import_from_standard_input_reads_json_lines(cli: Cli) -> None:
    result = cli("import", "-", "--json", given=json.dumps(MADE_UP[0]).encode())

    assert json.loads(result.stdout)["imported"] == 1


def test_import_takes_named_format_where_name_does_not_tell(cli: Cli) -> None:
    path = write_lines(cli.folder / "incidents.txt", MADE_UP)

    unnamed = cli("import", str(path))
    named = cli.json("import", str(path), "--format", "jsonl")

    assert unnamed.exit_code == 2
    assert "--format" in unnamed.stderr
    assert named["imported"] == 3


def test_import_of_missing_file_is_bad_usage_and_makes_no_home(cli: Cli) -> None:
    result = cli("import", "nowhere.jsonl")

    assert result.exit_code == 2
    assert not cli.home.exists()


def test_import_of_forbidden_file_is_bad_usage(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_lines(cli.folder / "secret.jsonl", MADE_UP)

    def refuse(*_arguments: object, **_named: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)

    assert cli("import", str(path)).exit_code == 2


def test_exported_json_lines_import_unchanged(cli: Cli) -> None:
    path = cli.folder / "out.jsonl"

    written = cli.begin().json("export", "--jsonl", str(path))

    assert written == {"exported": 3, "file": str(path)}
    assert cli.json("import", str(path))["unchanged"] == 3


def test_export_as_csv_neutralises_formulas(cli: Cli) -> None:
    cli.begin([an_incident(title="=cmd|' /C calc'!A0")])

    rows = list(csv.DictReader(io.StringIO(cli("export", "--csv").stdout)))

    assert rows[0]["title"].startswith("'=")


def test_export_into_missing_folder_is_bad_usage(cli: Cli) -> None:
    result = cli.begin()("export", str(cli.folder / "no" / "where.jsonl"))

    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_export_in_two_formats_is_bad_usage(cli: Cli) -> None:
    assert cli.begin()("export", "--csv", "--jsonl").exit_code == 2


def test_export_to_file_tells_people_how_many(cli: Cli) -> None:
    result = cli.begin()("export", str(cli.folder / "out.jsonl"))

    assert "3 incidents written" in result.stdout


def test_closed_incident_is_found_after_the_next_sync(cli: Cli) -> None:
    cli.synced()

    told = ("--resolution", "Old logs removed", "--root-cause", "No rotation", "--type", "fix")
    closed = cli.json("close", "INC-1003", *told)
    cli("sync")
    hits = cli.json("search", "Disk almost full")["hits"]

    assert closed == {"incident_id": "INC-1003", "outcome": "closed"}
    assert hits[0]["incident_id"] == "INC-1003"
    assert hits[0]["resolution"] == "Old logs removed"


def test_close_with_cause_but_no_resolution_is_bad_usage(cli: Cli) -> None:
    result = cli.begin()("close", "INC-1003", "--root-cause", "No rotation")

    assert result.exit_code == 2
    assert "--resolution" in result.stderr


def test_close_without_resolution_keeps_the_one_there_is(cli: Cli) -> None:
    cli.begin()("close", "INC-1001")

    assert exported(cli)[0]["resolution"] == MADE_UP[0]["resolution"]


def test_reopened_incident_is_gone_after_the_next_sync(cli: Cli) -> None:
    cli.synced()

    reopened = cli.json("reopen", "INC-1001", "--status", "IN_PROGRESS")
    report = cli.json("sync")

    assert reopened["outcome"] == "reopened"
    assert report["withdrawn"] == 1
    assert exported(cli)[0]["status"] == "IN_PROGRESS"
    assert not (cli.home / "documents" / "incidents" / "INC-1001.md").exists()


def test_deleted_incident_leaves_table_and_search(cli: Cli) -> None:
    cli.synced()

    result = cli("delete", "INC-1001", "--yes")
    cli("sync")

    assert "INC-1001 is deleted" in result.stdout
    assert [each["incident_id"] for each in exported(cli)] == ["INC-1002", "INC-1003"]
    assert cli.json("status")["tombstones"] == 1


@pytest.mark.parametrize(("answer", "left"), [("y\n", 2), ("n\n", 3)], ids=["yes", "no"])
def test_delete_on_a_terminal_asks_first(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    cli.begin()
    # The runner's standard input is no terminal; what counts is what the question's answer does.
    monkeypatch.setattr("kbsync.cli.incidents.is_terminal", lambda _: True)

    result = cli("delete", "INC-1001", given=answer.encode())

    assert "from the incidents table?" in result.stderr
    assert len(exported(cli)) == left


@pytest.mark.parametrize("command", ["close", "reopen", "delete"])
def test_unknown_incident_is_bad_usage(cli: Cli, command: str) -> None:
    result = cli.begin()(command, "INC-UNKNOWN", "--json")

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "INC-UNKNOWN" in json.loads(result.stderr)["error"]


def test_reopen_to_a_closed_status_is_bad_usage(cli: Cli) -> None:
    assert cli.begin()("reopen", "INC-1001", "--status", "CLOSED").exit_code == 2
