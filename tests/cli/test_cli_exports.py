"""`kbsync import` of ticket systems' exports: what it says, changes and exits with."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from calling import Cli

EXPORTS = Path(__file__).parents[1] / "importing" / "exports"
JIRA = str(EXPORTS / "jira" / "issues.csv")


def issue(number: int, category: str = "done", **fields: Any) -> dict[str, Any]:
    return {
        "key": f"OPS-{number}",
        "fields": {
            "summary": f"Disk {number} is full",
            "description": "No space left on device",
            "status": {"name": "-", "statusCategory": {"key": category}},
            **fields,
        },
    }


def page(folder: Path, *issues: dict[str, Any], name: str = "issues.json") -> str:
    path = folder / name
    path.write_text(json.dumps({"issues": issues}), encoding="utf-8")
    return str(path)


def test_import_from_a_system_tells_people_what_became_of_every_record(cli: Cli) -> None:
    result = cli("import", "--from", "jira", JIRA)

    assert result.exit_code == 1
    assert "2 imported, 0 updated, 0 unchanged, 2 rejected." in result.stdout
    assert "jira: 4 records = 2 mapped + 2 rejected + 0 skipped." in result.stdout
    for said in (
        "rejected because",
        "status without a meaning",
        "Parked by Legal",
        "field left out",
        "Issue id",
    ):
        assert said in result.stdout
    assert "Search index" not in result.stdout


def test_import_from_a_system_tells_programs_the_same(cli: Cli) -> None:
    result = cli("import", "--from", "jira", JIRA, "--json")

    answer = json.loads(result.stdout)
    mapping = answer["mapping"]
    assert (answer["imported"], answer["rejected_count"]) == (2, 2)
    assert {name: mapping[name] for name in ("system", "records", "mapped", "rejected", "skipped")} == {
        "system": "jira", "records": 4, "mapped": 2, "rejected": 2, "skipped": [],
    }  # fmt: skip
    assert {"attribute": "title", "records": 2, "from": {"Summary": 2}} in mapping["attributes"]
    assert mapping["dropped"] == [{"field": "Issue id", "records": 2}]
    assert mapping["statuses"][-1] == {"word": "Parked by Legal", "status": "", "records": 1}


def test_dates_that_cannot_be_read_come_with_their_remedy(cli: Cli) -> None:
    result = cli("import", "--from", "auto", str(EXPORTS / "jira" / "issues_utf16.csv"))

    assert "date that cannot be read" in result.stdout
    assert "`date_order`" in result.stdout


def test_later_export_updates_reopens_and_leaves_the_rest_alone(cli: Cli, tmp_path: Path) -> None:
    cli.json("import", "--from", "jira", page(tmp_path, issue(1), issue(2), issue(3)))
    cli("sync")
    later = page(
        tmp_path, issue(1), issue(2, description="The rotation had stopped"), issue(3, "indeterminate")
    )

    answer = cli.json("import", "--from", "jira", later)
    again = cli.json("import", "--from", "jira", later)
    cli("sync")

    assert [answer[name] for name in ("imported", "updated", "unchanged")] == [0, 2, 1]
    assert [again[name] for name in ("imported", "updated", "unchanged")] == [0, 0, 3]
    assert "rotation" in cli("show", "jira:OPS-2").stdout
    found = {hit["incident_id"] for hit in cli.json("search", "no space left on device")["hits"]}
    assert (cli.json("status")["states"]["indexed"], "jira:OPS-3" in found) == (2, False)


def test_statuses_follow_what_this_table_calls_closed(cli: Cli, tmp_path: Path) -> None:
    cli.json("import", "--from", "jira", page(tmp_path, issue(1)), CLOSED_STATUSES="RESUELTO,CLOSED")

    exported = json.loads(cli("export").stdout)

    assert exported["status"] == "RESUELTO"


def test_import_recognises_standard_input_and_gzip(cli: Cli, tmp_path: Path) -> None:
    text = Path(page(tmp_path, issue(1))).read_bytes()
    packed = tmp_path / "issues.json.gz"
    packed.write_bytes(gzip.compress(text))
    pagerduty = (EXPORTS / "pagerduty" / "incidents.json").read_bytes()
    packed_notes = tmp_path / "pagerduty.json.gz"
    packed_notes.write_bytes(gzip.compress(pagerduty))

    from_pipe = cli("import", "--from", "auto", "-", "--json", given=text)
    from_gzip = cli.json("import", "--from", "auto", str(packed))
    beside = json.loads(cli("import", "--from", "auto", str(packed_notes), "--json").stdout)
    beside_in_pipe = json.loads(cli("import", "--from", "auto", "-", "--json", given=pagerduty).stdout)

    assert json.loads(from_pipe.stdout)["imported"] == 1
    assert from_gzip["unchanged"] == 1
    assert (beside["imported"], beside["rejected_count"]) == (2, 1)
    assert beside_in_pipe["rejected_count"] == 3


def test_shown_mapping_can_be_copied_changed_and_used(cli: Cli, tmp_path: Path) -> None:
    shown = cli("import", "--show-mapping", "jira").stdout
    mine = tmp_path / "mine.toml"
    mine.write_text(
        shown.replace('"done", "Closed"', '"done", "Closed", "Parked by Legal"'), encoding="utf-8"
    )

    result = cli("import", "--mapping", str(mine), JIRA, "--json")

    answer = json.loads(result.stdout)
    assert (answer["imported"], answer["rejected_count"]) == (3, 1)
    assert json.loads(cli("import", "--show-mapping", "jira", "--json").stdout) == {
        "system": "jira", "mapping": shown,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a file to import"),
        (("--from", "remedy", JIRA), "'remedy' is not one of"),
        (("--from", "jira", "nowhere.csv"), "there is no file nowhere.csv"),
        (("--mapping", "nowhere.toml", JIRA), "the mapping nowhere.toml cannot be read"),
        ((str(EXPORTS / "jira" / "issues.xml"),), "XML is read from ticket systems only"),
        ((JIRA,), "add --from auto"),
    ],
    ids=["no file", "unknown system", "missing file", "missing mapping", "XML without a system", "hint"],
)
def test_wrong_usage_says_what_to_do(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    result = cli("import", *arguments)

    assert result.exit_code == 2 or isinstance(result.exception, Exception)
    assert said in result.stderr or said in str(result.exception)


def test_import_of_rejected_records_only_exits_3(cli: Cli) -> None:
    result = cli("import", "--from", "servicenow", str(EXPORTS / "servicenow" / "entities.xml"))

    assert result.exit_code == 3
    assert "declares a DTD or entities" in result.stdout


def test_report_shows_the_first_fields_and_says_where_the_rest_is(cli: Cli, tmp_path: Path) -> None:
    fields = {f"customfield_{number}": "x" for number in range(30)}

    result = cli("import", "--from", "jira", page(tmp_path, issue(1, **fields)))

    assert "10 more; --json names them" in result.stdout
