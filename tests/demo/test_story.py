"""The demo's own incidents and what its story leaves behind, with the hash embedder.

Slow on a busy machine: each story is forty incidents through three whole runs.
"""

import re
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from kbsync import build_engine, load_settings
from kbsync.demo.incidents import demo_incidents
from kbsync.demo.story import (
    OPEN,
    QUERIES,
    REOPENED,
    REOPENED_QUERY,
    UNREADABLE,
    WITH_SECRETS,
    Step,
    tell_story,
)
from kbsync.engine import Engine
from kbsync.errors import UsageError
from kbsync.model import State
from kbsync.pipeline.pause import pause, resume
from kbsync.views.passages import words_of
from kbsync.views.question import Question
from kbsync.views.search import search_view

pytestmark = pytest.mark.slow

SECRETS = re.compile(r"(?:TOKEN|password)=([\w-]+)")


def an_engine(folder: Path, embedder: str = "hash") -> Engine:
    return build_engine(load_settings({"home": folder, "embedder": embedder}, {}))


def secrets_of_the_demo() -> list[str]:
    ticket = next(item for item in demo_incidents() if item["incident_id"] == WITH_SECRETS)
    return SECRETS.findall(str(ticket["description"]))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Engine, dict[str, Step]]:
    """The story told once in a fresh folder; the tests below only look at it."""
    folder = tmp_path_factory.mktemp("demo")
    engine = an_engine(folder)
    return folder, engine, {step.name: step for step in tell_story(engine)}


def test_incidents_of_the_demo_are_forty_half_of_them_spanish() -> None:
    items = demo_incidents()

    assert len({str(item["incident_id"]) for item in items}) == 40
    assert Counter(item["language"] for item in items) == {"es": 20, "en": 20}
    assert [item["incident_id"] for item in items if item["status"] != "CLOSED"] == [OPEN]


def test_incidents_of_the_demo_hold_html_jira_markup_and_stack_traces() -> None:
    texts = [f"{item['description']} {item.get('error_message', '')}" for item in demo_incidents()]

    assert sum("<p>" in text for text in texts) >= 2
    assert sum("{code}" in text or "{noformat}" in text for text in texts) >= 2
    assert sum("\n\tat " in text or '\n  File "' in text for text in texts) >= 4


def test_secrets_of_the_demo_are_not_spelled_out_in_its_source() -> None:
    source = files("kbsync.demo").joinpath("incidents.jsonl").read_text(encoding="utf-8")

    secrets = secrets_of_the_demo()

    assert len(secrets) == 2
    assert not [secret for secret in secrets if secret in source]


def test_queries_of_the_demo_are_no_copies_of_a_title() -> None:
    titles = [set(words_of(str(item["title"]))) for item in demo_incidents()]

    for query in (*(query for _, query, _ in QUERIES), REOPENED_QUERY):
        words = set(words_of(query))
        assert max(len(words & title) for title in titles) <= len(words) / 2


def test_every_step_of_the_story_ends_as_promised(told: tuple[Path, Engine, dict[str, Step]]) -> None:
    _, _, steps = told

    assert {name: step.ok for name, step in steps.items()} == dict.fromkeys(
        ("import", "sync", "search_es", "search_en", "redaction", "reopen", "failure", "status"), True
    )


def test_secrets_stand_nowhere_but_in_the_incidents_table(told: tuple[Path, Engine, dict[str, Step]]) -> None:
    folder, engine, steps = told
    elsewhere = [
        path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("kbsync.db")
    ]
    written = {path.name: path.read_bytes() for path in elsewhere}
    written["ledger"] = repr(engine.ledger.records([WITH_SECRETS])).encode()
    written["told"] = repr(steps).encode()

    leaks = [
        name for name, content in written.items() for s in secrets_of_the_demo() if s.encode() in content
    ]

    assert {"knowledge_base.db", f"{WITH_SECRETS}.md"} <= written.keys()
    assert leaks == []
    assert b"[REDACTED:github-token]" in written[f"{WITH_SECRETS}.md"]


def test_reopened_incident_is_gone_from_store_and_search(told: tuple[Path, Engine, dict[str, Step]]) -> None:
    folder, engine, steps = told

    hits = search_view(engine, Question(REOPENED_QUERY, 40))["hits"]

    assert steps["reopen"].outcome["before"][0] == REOPENED
    assert isinstance(hits, list)
    assert REOPENED not in [hit["incident_id"] for hit in hits]
    assert list((folder / "documents").rglob(f"*{REOPENED}*")) == []


def test_unreadable_incident_is_quarantined_with_its_reason(
    told: tuple[Path, Engine, dict[str, Step]],
) -> None:
    _, engine, steps = told

    record = engine.ledger.records([UNREADABLE])[UNREADABLE]

    assert (record.state, record.attempts) == (State.QUARANTINED, 3)
    assert record.reason.startswith("description is no text")
    assert record.reason in " ".join(steps["failure"].lines)


def test_open_incident_has_neither_document_nor_record(told: tuple[Path, Engine, dict[str, Step]]) -> None:
    folder, engine, _ = told

    assert engine.ledger.records([OPEN]) == {}
    assert list((folder / "documents").rglob(f"*{OPEN}*")) == []


def test_every_other_incident_is_indexed_and_says_so_itself(
    told: tuple[Path, Engine, dict[str, Step]],
) -> None:
    _, engine, _ = told
    others = {str(item["incident_id"]) for item in demo_incidents()} - {OPEN, UNREADABLE, REOPENED}

    stored = engine.incidents.read(sorted(others))

    assert {record.state for record in engine.ledger.records(sorted(others)).values()} == {State.INDEXED}
    assert all(item.attributes["kb_sync_status"]["synced"] is True for item in stored.values())


def test_story_told_again_publishes_only_what_it_had_reopened(tmp_path: Path) -> None:
    list(tell_story(an_engine(tmp_path)))

    again = {step.name: step for step in tell_story(an_engine(tmp_path))}

    assert again["import"].outcome == {"incidents": 40, "unchanged": 39, "updated": 1}
    assert again["sync"].outcome["published"] == 1
    assert [step.name for step in again.values() if not step.ok] == []


def test_paused_folder_is_refused_and_goes_on_after_resume(tmp_path: Path) -> None:
    engine = an_engine(tmp_path)
    pause(engine, reason="maintenance")

    with pytest.raises(UsageError, match="paused"):
        list(tell_story(engine))

    resume(engine)
    assert all(step.ok for step in tell_story(engine))


def test_search_by_words_only_finds_the_same_incidents(tmp_path: Path) -> None:
    steps = {step.name: step for step in tell_story(an_engine(tmp_path, "none"))}

    assert [name for name, step in steps.items() if not step.ok] == []
