"""Export files as the systems write them, whole and broken: what is read and refused, nothing lost."""

import json
from pathlib import Path

import pytest
from export_files import FOLDER, read_export

from kbsync.errors import UsageError

NO_STATUS_WORD = "its status is in no list of [status.words]: add it to a mapping of your own (--mapping)"
ENDS = "from here on the file is no JSON, or it ends in the middle: the rest cannot be read"
BYTES = "holds bytes that are not in the file's encoding: name it in `encoding` of a mapping of your own"

EXPECTED: dict[str, tuple[dict[str, str], dict[int, str], dict[str, int]]] = {
    "servicenow/incident_list.csv": (
        {"INC0010023": "CLOSED", "INC0010024": "OPEN", "INC0010025": "CANCELLED"}, {}, {},
    ),
    "servicenow/incident_raw_windows.csv": (
        {"INC0020001": "CLOSED", "INC0020003": "OPEN"}, {3: BYTES}, {},
    ),
    "servicenow/table_api.json": (
        {"INC0030001": "CLOSED"},
        {2: NO_STATUS_WORD, 3: "no id: none of number, Number is there", 4: "not an object"},
        {},
    ),
    "servicenow/records.json": ({"INC0040001": "CLOSED", "INC0040002": "OPEN"}, {}, {}),
    "servicenow/unload.xml": (
        {"INC0050001": "CLOSED", "INC0050002": "OPEN"},
        {3: "belongs (sys_journal_field) to an incident that is not in this file"},
        {"sys_journal_field, put into its incident": 1, "an element sys_attachment, no incident": 1},
    ),
    "servicenow/unload_half.xml": (
        {"INC0050001": "CLOSED"},
        {
            3: "belongs (sys_journal_field) to an incident that is not in this file",
            5: "from line 34 on this is no XML, or it ends in the middle",
        },
        {"sys_journal_field, put into its incident": 1, "an element sys_attachment, no incident": 1},
    ),
    "jira/issues.csv": (
        {"OPS-101": "CLOSED", "OPS-102": "OPEN"},
        {12: NO_STATUS_WORD, 13: "4 cells under 21 column names: cut off, or with stray delimiters"},
        {},
    ),
    "jira/issues_utf16.csv": ({"IT-7": "CLOSED", "IT-8": "OPEN"}, {}, {}),
    "jira/search_adf.json": ({"OPS-200": "CLOSED"}, {}, {}),
    "jira/search_pages_half.json": ({"OPS-301": "CLOSED", "OPS-302": "CLOSED"}, {3: ENDS}, {}),
    "jira/issues.xml": ({"OPS-401": "CLOSED", "OPS-402": "OPEN"}, {}, {}),
    "pagerduty/incidents_report.csv": (
        {"PT4KHLK": "CLOSED", "PT4KHLL": "OPEN"},
        {4: "no id: none of id, incident_id, Incident ID, incident_number, Incident Number is there"},
        {},
    ),
    "pagerduty/incidents.json": (
        {"PT4KHLM": "CLOSED", "PT4KHLN": "OPEN"},
        {5: "belongs (log_entries) to an incident that is not in this file"},
        {"log_entries, put into its incident": 2},
    ),
    "pagerduty/incidents_latin1_half.json": ({"PHALF1": "CLOSED"}, {2: BYTES, 3: ENDS}, {}),
    "github/gh_issue_list.json": ({"example/shop#12": "CLOSED", "example/shop#14": "OPEN"}, {}, {}),
    "github/rest_pages.json": (
        {"example/shop#1": "CLOSED", "example/shop#3": "OPEN"}, {}, {"a pull request, no issue": 1},
    ),
    "github/rest_slurped.json": (
        {"example/shop#1": "CLOSED", "example/shop#3": "OPEN"},
        {4: "no id: none of html_url, url is there", 5: "not an object"},
        {"a pull request, no issue": 1},
    ),
    "github/issues_bom.jsonl": (
        {"example/shop#5": "CLOSED", "example/shop#8": "CLOSED"},
        {2: "not JSON", 4: NO_STATUS_WORD, 6: BYTES},
        {},
    ),
    "statuspage/incidents.json": ({"p31zjtct2jer": "CLOSED", "q31zjtct2jer": "OPEN"}, {}, {}),
    "statuspage/incidents_half.json": ({"p31zjtct2jer": "CLOSED"}, {2: ENDS}, {}),
    "statuspage/rest_incidents_utf16.json": (
        {"r1": "CLOSED"},
        {2: "no status: none of status is there", 3: "not an object", 4: "not an object", 5: "not an object"},
        {},
    ),
}  # fmt: skip


def attributes(name: str, incident_id: str, **settings: str) -> dict[str, object]:
    return dict(read_export(FOLDER / name, **settings).accepted[incident_id])


def test_every_export_file_of_ours_has_its_expectation() -> None:
    files = {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*")}

    assert files == {*EXPECTED, "servicenow/entities.xml"}


@pytest.mark.parametrize("name", EXPECTED)
def test_export_gives_its_incidents_and_a_reason_for_every_other_record(name: str) -> None:
    system = Path(name).parts[0]
    statuses, rejected, skipped = EXPECTED[name]

    read = read_export(FOLDER / name)

    assert read.statuses == {f"{system}:{name}": status for name, status in statuses.items()}
    assert read.rejected == rejected
    assert dict(read.report.skipped) == skipped
    assert read.report.system == system
    assert (read.report.mapped, read.report.rejected) == (len(statuses), len(rejected))
    assert read.report.records == len(statuses) + len(rejected) + sum(skipped.values())


def test_display_columns_with_a_wrapped_journal_become_a_story_without_its_people() -> None:
    found = attributes("servicenow/incident_list.csv", "servicenow:INC0010023")

    assert found == {
        "incident_id": "servicenow:INC0010023",
        "sk": "METADATA",
        "external_id": "INC0010023",
        "source_system": "servicenow",
        "status": "CLOSED",
        "title": "Checkout fails with HTTP 500 after release",
        "description": "[person] reports that every payment ends in HTTP 500 since 09:00.",
        "category": "Software",
        "priority": "1 - Critical",
        "affected_systems": ["orders-db"],
        "created_at": "2026-03-02T09:14:05Z",
        "updated_at": "2026-03-03T07:00:01Z",
        "resolved_at": "2026-03-02T11:40:00Z",
        "resolution": {
            "description": "The connection pool of orders-db was raised from 20 to 60.\n\n"
            "2026-03-02 10:05:11\n\nThreads wait for a connection; the pool is full.\n\n"
            "2026-03-02 11:38:20\n\nPool raised to 60, errors are gone.",
            "resolution_type": "Solution provided",
        },
    }


def test_html_and_code_tags_of_servicenow_become_markdown_and_display_values_count() -> None:
    found = attributes("servicenow/table_api.json", "servicenow:INC0030001")

    assert found["description"] == "Clients see **NET::ERR_CERT_DATE_INVALID**.\n\n- web\n- app"
    assert found["affected_systems"] == ["gateway"]
    resolution = found["resolution"]
    assert isinstance(resolution, dict)
    assert "Now renewed by *cron*" in resolution["description"]
    assert "Asked [person] to try again." in resolution["description"]
    assert "Joe Employee" not in str(found)


def test_unload_with_control_characters_and_a_journal_beside_is_read_whole() -> None:
    found = attributes("servicenow/unload.xml", "servicenow:INC0050001")

    assert found["title"] == "Mail queue grows & nothing leaves"
    assert found["description"] == "postfix: deferred queue full "
    assert found["affected_systems"] == ["mail-out"]
    assert found["resolution"] == {
        "description": "Relay host corrected.\n\nThe relay refuses our address.",
        "resolution_type": "Solved (Work Around)",
    }


def test_entities_are_refused_and_nothing_is_read_of_other_files() -> None:
    read = read_export(FOLDER / "servicenow/entities.xml", from_="servicenow")

    assert read.accepted == {}
    assert read.rejected == {1: "declares a DTD or entities, which are refused: the rest is not read"}


def test_encoding_of_a_mapping_reads_what_utf_8_cannot(tmp_path: Path) -> None:
    from kbsync.importing.mapping import System, shipped_text  # noqa: PLC0415 - only here

    mine = tmp_path / "mine.toml"
    mine.write_text(
        shipped_text(System.SERVICENOW).replace('encoding = "utf-8-sig"', 'encoding = "windows-1252"'),
        encoding="utf-8",
    )

    read = read_export(FOLDER / "servicenow/incident_raw_windows.csv", from_=None, mapping=mine)

    assert read.rejected == {}
    assert read.accepted["servicenow:INC0020002"]["title"] == "Sesión caducada al firmar"
    assert read.report.unreadable == {"created_at": 1}


def test_repeated_columns_wiki_markup_and_comments_of_jira_are_joined() -> None:
    found = attributes("jira/issues.csv", "jira:OPS-101", timezone="Europe/Madrid")

    assert found["affected_systems"] == ["search", "api"]
    assert found["tags"] == ["upgrade", "index"]
    assert found["created_at"] == "2026-03-12T14:45:00Z"
    assert str(found["description"]).startswith("## What happens\n\n1. open the page\n1. search for **any")
    assert '```java\nif (hits == null) { throw new IllegalStateException("no hits"); }\n```' in str(
        found["description"]
    )
    assert str(found["description"]).endswith("[person] saw it first.")
    assert found["resolution"] == {
        "root_cause": "The alias pointed to the old index.",
        "description": "The alias `products` still points to **v7**.\n\n"
        "Alias moved; [person] has checked it.",
        "resolution_type": "Fixed",
    }


@pytest.mark.parametrize(
    ("order", "resolved"), [("DMY", "2026-02-03T12:00:00Z"), ("MDY", "2026-03-02T12:00:00Z"), ("", None)]
)
def test_dates_of_numbers_need_an_order(order: str, resolved: str | None) -> None:
    read = read_export(FOLDER / "jira/issues_utf16.csv", date_order=order)

    assert read.accepted["jira:IT-7"].get("resolved_at") == resolved
    assert read.report.unreadable == ({} if order else {"created_at": 2, "resolved_at": 1})


def test_jira_xml_with_html_and_custom_fields_is_mapped() -> None:
    found = attributes("jira/issues.xml", "jira:OPS-401")

    assert found["description"] == "The consumer stops at poll().\n\n- no log\n- no metric"
    assert found["resolution"] == {
        "root_cause": "Session timeout below the rebalance time",
        "description": "A rebalance takes longer than the session.\n\n"
        "Session raised to 45 s, thanks [person].",
        "resolution_type": "Fixed",
    }
    assert (found["tags"], found["affected_systems"]) == (["kafka", "consumer"], ["queue", "worker"])
    assert found["created_at"] == "2026-03-12T14:45:00Z"
    assert found["source_url"] == "https://jira.example.com/browse/OPS-401"


def test_notes_and_log_entries_of_pagerduty_become_the_resolution() -> None:
    found = attributes("pagerduty/incidents.json", "pagerduty:PT4KHLM")

    assert found["resolution"] == {
        "description": "[person] stopped the vacuum; lag falls.\n\nA vacuum of 4 hours held the locks."
    }
    assert (found["severity"], found["priority"]) == ("high", "P1")
    assert found["description"] == "pg_stat_replication.replay_lag = 312 s"


def test_bare_pagerduty_incident_keeps_its_notes_and_tells_its_details() -> None:
    record = {
        "id": "P1", "incident_number": 1, "urgency": "high", "status": "resolved", "title": "t",
        "body": {"details": {"host": "db-7", "load": 97, "nothing": None}},
        "notes": [{"content": "Restarted."}],
    }  # fmt: skip

    for content in (record, [record]):
        found = read_export(json.dumps(content)).accepted["pagerduty:P1"]

        assert found["description"] == "- host: db-7\n- load: 97"
        assert found["resolution"] == {"description": "Restarted."}


def test_raw_incidents_of_pagerduty_s_analytics_are_read() -> None:
    record = {"id": "P2", "incident_number": 2, "description": "Disk full", "service_name": "files"}
    resolved = {**record, "id": "P3", "resolved_at": "2026-03-03T10:58:00"}

    read = read_export(json.dumps({"data": [record, resolved], "more": False}))

    assert read.statuses == {"pagerduty:P2": "OPEN", "pagerduty:P3": "CLOSED"}


def test_text_over_the_limit_keeps_beginning_and_end_and_is_counted() -> None:
    notes = [{"content": f"{word} {'x' * 30_000} {word}"} for word in ("first", "middle", "last")]
    record = {"id": "P4", "incident_number": 4, "urgency": "low", "status": "resolved", "notes": notes}

    read = read_export(json.dumps({**record, "title": "t" * 5000, "priority": {"summary": "P1"}}))

    found = read.accepted["pagerduty:P4"]
    text = found["resolution"]["description"]  # type: ignore[index]
    assert (text[:5], text[-4:], "[...]" in text, len(text) <= 40_000) == ("first", "last", True, True)
    assert read.report.shortened == {"resolution.description": 1}
    assert len(str(found["title"])) == 2000


def test_comments_of_github_name_nobody_and_code_stays_as_it_is() -> None:
    found = attributes("github/gh_issue_list.json", "github:example/shop#12")

    assert found["description"] == (
        "## What happens\n\n`Too many open files` after a day. cc [person]\n\n"
        "```java\n@Override\npublic void close() {}\n```"
    )
    assert found["resolution"] == {
        "description": "The stream is never closed, [person]. Use `with`.\n\nFixed by [person] in #13.",
        "resolution_type": "completed",
    }


def test_updates_of_a_status_page_are_told_in_their_order() -> None:
    found = attributes("statuspage/incidents.json", "statuspage:p31zjtct2jer")

    assert found["description"] == "We see **errors** of the API.\nMore soon.\n\nA fix is in place."
    assert found["resolution"] == {
        "description": "This incident has been resolved. A bad route was withdrawn."
    }
    assert found["created_at"] == "2026-02-10T16:50:00Z"
    assert (found["severity"], found["affected_systems"]) == ("major", ["API", "Webhooks"])


def test_postmortem_becomes_the_root_cause_and_a_date_in_words_is_counted_as_unreadable() -> None:
    read = read_export(FOLDER / "statuspage/rest_incidents_utf16.json")

    assert read.accepted["statuspage:r1"]["severity"] == "critical"
    assert read.accepted["statuspage:r1"]["resolution"]["root_cause"] == "### Cause\n\nA route leak."  # type: ignore[index]
    assert read.report.unreadable == {"resolved_at": 1}


def test_report_names_what_was_left_out_and_no_value_of_it() -> None:
    report = read_export(FOLDER / "jira/search_adf.json").report

    assert set(report.dropped) == {
        "id", "self", "fields.assignee.accountId", "fields.reporter.accountId", "fields.comment.total",
        "fields.customfield_10042",
    }  # fmt: skip
    assert "EMEA" not in str(report.view())


@pytest.mark.parametrize("name", EXPECTED)
def test_naming_the_system_gives_what_recognising_it_gives(name: str) -> None:
    assert read_export(FOLDER / name, from_=Path(name).parts[0]) == read_export(FOLDER / name)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[{"incident_id": "I", "status": "CLOSED"}]', "this is kbsync's own form of incidents"),
        ("a,b\n1,2\n", "no system is recognised in this file"),
        ("{broken", f"no system is recognised in this file: {ENDS}"),
        ("", "no system is recognised in this file"),
        ('[{"number": "7", "title": "t", "state": "open", "url": "u", "short_description": "s"}]',
         "this may come from servicenow and github"),
    ],
    ids=["own form", "unknown", "broken", "empty", "two systems"],
)  # fmt: skip
def test_auto_guesses_nothing(content: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_export(content)

    assert str(raised.value) == said
    assert raised.value.hint
