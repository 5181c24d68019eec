"""search, show, open, explain, status, runs, quarantine, config: what people and programs are told."""

import json
from pathlib import Path

import pytest
from calling import MADE_UP, UNREADABLE, Cli

from builders import an_incident


def test_search_shows_title_passage_and_resolution(cli: Cli) -> None:
    result = cli.synced()("search", "pool exhausted")

    assert result.exit_code == 0
    assert "1. Pool exhausted on orders-db" in result.stdout
    assert "Resolution: Raised the pool size to 40." in result.stdout
    assert "kbsync show INC-1001" in result.stdout


def test_search_as_json_names_document_and_closing_time(cli: Cli) -> None:
    answer = cli.synced().json("search", "certificado caducado", "--limit", "1")

    (hit,) = answer["hits"]
    assert hit["incident_id"] == "INC-1002"
    assert hit["title"] == "Certificado caducado en la pasarela"
    assert hit["resolution"] == "Se renovó el certificado."
    assert hit["excerpt"] == "El certificado TLS venció durante la noche."
    assert hit["document_key"] == "incidents/INC-1002.md"
    assert hit["closed_at"] == "2025-04-01T10:00:00Z"
    assert hit["score"] > 0


def test_search_with_filters_shows_only_what_fits_all(cli: Cli) -> None:
    cli.synced()

    answer = cli.json(
        "search", "database", "--filter", "severity=high", "--filter", "resolved_date>=20250101"
    )

    assert [hit["incident_id"] for hit in answer["hits"]] == ["INC-1001"]


def test_search_before_removal_is_confirmed_leaves_reopened_incident_out(cli: Cli) -> None:
    cli.synced()("reopen", "INC-1001")

    answer = cli.json("search", "pool exhausted")
    shown = cli("search", "pool exhausted")

    assert "INC-1001" not in [hit["incident_id"] for hit in answer["hits"]]
    assert answer["left_out"] == [
        {"incident_id": "INC-1001", "reason": "no longer closed; its removal waits for the next run"}
    ]
    assert "INC-1001 is known and not shown" in shown.stdout


def test_search_for_title_of_quarantined_incident_says_why_it_is_not_found(cli: Cli) -> None:
    cli.synced([*MADE_UP, UNREADABLE], MAX_ATTEMPTS="1")

    shown = cli("search", "Broken backup")

    assert "INC-1004 is known and not shown (quarantined: description is no text" in shown.stdout


def test_search_without_model_says_that_it_goes_by_words(cli: Cli) -> None:
    cli.synced(EMBEDDER="none")

    shown = cli("search", "nothing of that kind whatsoever", EMBEDDER="none")
    answer = cli.json("search", "gateway pasarela", EMBEDDER="none")

    assert "Nothing found." in shown.stdout
    assert "words only" in shown.stdout
    assert answer["mode"] == "lexical"
    assert [hit["incident_id"] for hit in answer["hits"]] == ["INC-1002"]


def test_long_resolution_is_cut_on_the_terminal_and_marked(cli: Cli) -> None:
    steps = "\n".join(f"step {number}" for number in range(1, 20))
    cli.synced([an_incident(resolution={"description": steps})])

    shown = cli("search", "pool exhausted").stdout

    assert "step 6" in shown
    assert "step 7" not in shown
    assert "..." in shown


def test_edited_incident_is_marked_stale_in_search_until_the_next_sync(cli: Cli) -> None:
    cli.synced()("close", "INC-1001", "--resolution", "Pool raised to 80.")

    before = cli("search", "pool exhausted").stdout
    cli("sync")
    after = cli("search", "pool exhausted").stdout

    assert "an edit of it waits" in before
    assert "an edit of it waits" not in after
    assert "Pool raised to 80." in after


@pytest.mark.parametrize(
    "arguments",
    [("", "--limit", "3"), ("x", "--limit", "0"), ("x", "--limit", "101"), ("x", "--filter", "nonsense")],
    ids=["empty query", "limit 0", "limit 101", "filter"],
)
def test_search_that_cannot_be_is_bad_usage(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli.begin()("search", *arguments).exit_code == 2


def test_incident_text_on_the_terminal_has_no_escape_sequences_and_no_markup(cli: Cli) -> None:
    cli.synced([an_incident(title="[bold]Pool[/bold] \x1b[31mred\x1b[0m \x1b]0;title\x07exhausted")])

    for arguments in (("search", "pool"), ("explain", "INC-1001"), ("show", "INC-1001")):
        shown = cli(*arguments).stdout
        assert "\x1b" not in shown
        assert "\x07" not in shown
        assert "[bold]Pool[/bold]" in shown.replace("\\", "")


def test_show_prints_the_document_as_stored(cli: Cli) -> None:
    cli.synced()
    stored = (cli.home / "documents" / "incidents" / "INC-1001.md").read_text(encoding="utf-8")

    shown = cli("show", "INC-1001")
    answer = cli.json("show", "INC-1001")

    assert shown.stdout == stored
    assert answer["document"] == stored
    assert json.loads(answer["metadata"])["metadataAttributes"]["incident_id"] == "INC-1001"


def test_show_of_known_incident_without_document_says_that_it_is_known(cli: Cli) -> None:
    cli.synced([*MADE_UP, UNREADABLE], MAX_ATTEMPTS="1")

    result = cli("show", "INC-1004")

    assert result.exit_code == 2
    assert "INC-1004 is known and has no document: quarantined" in result.stderr


def test_open_prints_a_path_that_exists(cli: Cli) -> None:
    cli.synced()

    shown = cli("open", "INC-1001").stdout.strip()

    assert Path(shown).read_text(encoding="utf-8").startswith("# Pool exhausted")
    assert cli.json("open", "INC-1001")["path"] == shown


def test_open_on_a_terminal_without_a_program_says_how_else(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.synced()
    monkeypatch.setattr("kbsync.cli.looking.is_terminal", lambda _: True)
    monkeypatch.setattr("typer.launch", lambda _: 1)

    assert "kbsync show ID" in cli("open", "INC-1001").stdout


def test_explain_tells_every_step_with_time_and_run(cli: Cli) -> None:
    cli.synced()
    (run,) = cli.json("runs")["runs"]

    story = cli.json("explain", "INC-1001")
    shown = cli("explain", "INC-1001").stdout

    assert [(step["state"], step["run_id"]) for step in story["transitions"]] == [
        ("published", run["run_id"]),
        ("indexed", run["run_id"]),
    ]
    assert all(step["at"].endswith("Z") for step in story["transitions"])
    assert story["document"]["knowledge_base_status"] == "INDEXED"
    assert story["incident_says"]["synced"] is True
    assert run["run_id"] in shown
    assert "it is searchable with its latest content" in shown


def test_explain_while_paused_says_that_nothing_happens_until_resume(cli: Cli) -> None:
    cli.begin()("pause")

    assert cli.json("explain", "INC-1001")["next"].startswith("runs are paused; after `kbsync resume`")


def test_explain_of_deleted_incident_still_tells_its_story(cli: Cli) -> None:
    cli.synced()("delete", "INC-1001", "--yes")
    cli("sync")

    story = cli.json("explain", "INC-1001")

    assert story["incident_exists"] is False
    assert story["state"] == "withdrawn"
    assert "no longer in the table" in cli("explain", "INC-1001").stdout


def test_explain_of_unknown_id_is_bad_usage(cli: Cli) -> None:
    assert cli.begin()("explain", "INC-UNKNOWN").exit_code == 2


def test_status_adds_up_after_sync(cli: Cli) -> None:
    status = cli.synced([*MADE_UP, UNREADABLE], MAX_ATTEMPTS="1").json("status")

    assert status["states"] == {
        "pending": 0,
        "published": 0,
        "indexed": 2,
        "withdrawing": 0,
        "quarantined": 1,
        "excluded": 0,
    }
    assert status["not_closed"] == 1
    assert status["incidents"] == 4
    assert status["oldest_pending_seconds"] is None
    assert status["last_run"]["indexed"] == 2
    assert status["closed_to_searchable_seconds"]["p50"] > 0
    assert status["search"]["embedder"] == "hashed-ngrams-for-tests"


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ((), "kbsync sync"),
        (("pause",), "kbsync resume"),
        (("sync",), "kbsync quarantine"),
        (("delete", "INC-1001", "--yes"), "kbsync sync"),
    ],
    ids=["fresh", "paused", "quarantined", "deleted"],
)
def test_status_names_what_to_do_next(cli: Cli, before: tuple[str, ...], expected: str) -> None:
    cli.begin([*MADE_UP, UNREADABLE])
    if before:
        cli(*before, MAX_ATTEMPTS="1")

    assert f"next: `{expected}`" in cli("status").stdout


def test_status_of_quiet_home_needs_nothing(cli: Cli) -> None:
    shown = cli.synced()("status").stdout

    assert "nothing waits" in shown
    assert "next:" not in shown


def test_status_counts_removed_incidents_apart(cli: Cli) -> None:
    cli.synced()("delete", "INC-1001", "--yes")
    cli("sync")

    assert "removed" in cli("status").stdout


def test_runs_before_the_first_one_says_so(cli: Cli) -> None:
    assert "No run yet." in cli.begin()("runs").stdout


def test_runs_lists_the_newest_first_with_its_messages(cli: Cli) -> None:
    cli.begin()("sync", "--no-wait")
    cli("sync")

    listed = cli.json("runs", "--limit", "5")["runs"]
    shown = cli("runs").stdout

    assert [run["indexed"] for run in listed] == [2, 0]
    assert shown.index(listed[0]["run_id"]) < shown.index(listed[1]["run_id"])
    assert "the next run goes on from here" in shown


def test_quarantine_lists_reasons(cli: Cli) -> None:
    cli.synced([*MADE_UP, UNREADABLE, an_incident(incident_id="INC-1005", title={})], MAX_ATTEMPTS="1")

    listed = cli.json("quarantine")
    first = cli("quarantine", "--limit", "1").stdout

    assert [each["incident_id"] for each in listed["quarantined"]] == ["INC-1004", "INC-1005"]
    assert "description is no text" in first
    assert "1 more" in first


def test_empty_quarantine_says_so(cli: Cli) -> None:
    assert "Nothing is quarantined." in cli.synced()("quarantine").stdout


def test_config_shows_each_setting_with_its_origin(cli: Cli) -> None:
    listed = cli.json("config", BATCH_SIZE="7")["settings"]
    shown = cli("config", "--backend", "local").stdout

    origins = {each["name"]: (each["value"], each["origin"]) for each in listed}
    assert origins["BATCH_SIZE"] == ("7", "environment")
    assert origins["S3_PREFIX"] == ("incidents/", "default")
    assert "KBSYNC_BACKEND" in shown
    assert "flag" in shown


TRACE = b"""Traceback (most recent call last):
  File "/srv/app/pool.py", line 12, in take
PoolTimeout: orders-db pool exhausted \xff
"""


def test_search_reads_a_stack_trace_from_standard_input(cli: Cli) -> None:
    result = cli.synced()("search", "-", "--limit", "1", "--json", given=TRACE)

    answer = json.loads(result.stdout)
    assert [hit["incident_id"] for hit in answer["hits"]] == ["INC-1001"]
    assert answer["query"].startswith("Traceback (most recent call last):")


def test_search_of_empty_standard_input_is_bad_usage(cli: Cli) -> None:
    result = cli.synced()("search", "-", given=b" \n")

    assert result.exit_code == 2
    assert "standard input is empty" in result.stderr


def test_search_like_an_open_incident_with_filters_shows_where_and_why(cli: Cli) -> None:
    cli.synced()

    shown = cli("search", "--like", "INC-1003", "--severity", "HIGH", "--since", "2025-01-01").stdout

    assert "1. Pool exhausted on orders-db" in shown
    assert "closed 2025-03-10T09:30:00Z, servicenow, high" in shown
    assert "Root cause: Leak in retry path." in shown
    assert "INC-1002" not in shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("la base de datos de pedidos se queda sin conexiones libres", "INC-1001"),
        ("the TLS certificate of the gateway has expired", "INC-1002"),
    ],
    ids=["Spanish to English", "English to Spanish"],
)
def test_query_in_one_language_finds_the_incident_in_the_other(cli: Cli, query: str, expected: str) -> None:
    """Slow: the embedding model of the product is loaded, for only that can tell."""
    more = an_incident(incident_id="INC-1005", title="Printer out of paper", description="Tray two is empty.")
    cli.synced([*MADE_UP, more], EMBEDDER="auto")

    hits = cli.json("search", query, "--limit", "1", EMBEDDER="auto")["hits"]

    assert [hit["incident_id"] for hit in hits] == [expected]
