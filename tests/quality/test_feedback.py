"""What was useful: kept once, redacted, bounded, and asked as long as its answer is searchable."""

from dataclasses import replace

import pytest

from builders import Home, an_incident
from kbsync.errors import RedactionFailedError, ThrottledError, UnknownIncidentError
from kbsync.pipeline.changes import delete_incident, upsert_incidents
from kbsync.pipeline.kept import change_value
from kbsync.pipeline.purge_texts import FEEDBACK, forget_texts
from kbsync.pipeline.sync import sync_once
from kbsync.quality import feedback
from kbsync.quality.feedback import read_feedback, say_useful, take_back, useful_questions
from kbsync.quality.questions import Asked
from kbsync.traces import Traces


@pytest.fixture
def synced(home: Home) -> Home:
    upsert_incidents(home.engine, [an_incident(), an_incident(incident_id="INC-2")])
    sync_once(home.engine)
    return home


def test_answer_to_a_question_is_asked_with_all_that_answer_it(synced: Home) -> None:
    say_useful(synced.engine, "INC-1001", "orders time out")
    say_useful(synced.engine, "INC-2", "orders time out")
    say_useful(synced.engine, "INC-2", "")

    assert useful_questions(synced.engine) == [
        Asked("orders time out", frozenset({"INC-1001", "INC-2"}), "useful")
    ]


def test_word_said_again_counts_once_as_the_newest(synced: Home) -> None:
    for query in ("one", "two", "one"):
        say_useful(synced.engine, "INC-1001", query)

    assert [each.query for each in read_feedback(synced.engine)] == ["two", "one"]


def test_question_is_redacted_before_it_is_kept(synced: Home) -> None:
    said = say_useful(synced.engine, "INC-1001", "login fails with password=hunter2hunter2")

    assert "hunter2" not in said.query + synced.engine.ledger.read_value(FEEDBACK)


def test_question_that_cannot_be_redacted_is_not_kept(synced: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_text: str, _counts: object) -> str:
        raise RedactionFailedError("redaction could not run")

    monkeypatch.setattr(feedback, "redact", fails)

    with pytest.raises(RedactionFailedError):
        say_useful(synced.engine, "INC-1001", "orders time out")
    assert read_feedback(synced.engine) == ()


def test_answer_that_is_gone_is_not_asked_for(synced: Home) -> None:
    say_useful(synced.engine, "INC-1001", "orders time out")
    delete_incident(synced.engine, "INC-1001")
    sync_once(synced.engine)

    assert useful_questions(synced.engine) == []
    with pytest.raises(UnknownIncidentError):
        say_useful(synced.engine, "INC-1001", "orders time out")


def test_word_is_taken_back_for_one_question_or_for_all(synced: Home) -> None:
    for query in ("one", "two", "three"):
        say_useful(synced.engine, "INC-1001", query)
    say_useful(synced.engine, "INC-2", "one")

    assert take_back(synced.engine, "INC-1001", "two") == 1
    assert take_back(synced.engine, "INC-1001", "") == 2
    assert take_back(synced.engine, "INC-1001", "") == 0
    assert [each.incident_id for each in read_feedback(synced.engine)] == ["INC-2"]


def test_oldest_words_go_where_there_are_too_many(synced: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "MOST_BYTES", 500)
    for number in range(20):
        say_useful(synced.engine, "INC-1001", f"question {number}")

    kept = read_feedback(synced.engine)

    assert len(synced.engine.ledger.read_value(FEEDBACK)) <= 500
    assert [each.query for each in kept] == [f"question {number}" for number in range(20 - len(kept), 20)]
    assert len(kept) >= 4


def test_change_by_another_in_between_is_not_lost(synced: Home) -> None:
    """The first try meets a value that somebody has just changed; the second works on that one."""
    ledger, seen = synced.engine.ledger, []

    def change(text: str) -> str:
        if not seen:
            ledger.write_value("counter", "theirs")
        seen.append(text)
        return f"{text}, ours"

    change_value(synced.engine, "counter", change)

    assert seen == ["", "theirs"]
    assert ledger.read_value("counter") == "theirs, ours"


def test_value_that_never_stands_still_is_given_up(synced: Home) -> None:
    ledger = synced.engine.ledger

    def change(text: str) -> str:
        ledger.write_value("counter", f"{text}+")
        return "ours"

    with pytest.raises(ThrottledError):
        change_value(replace(synced.engine), "counter", change)


def test_purge_takes_what_was_said_of_an_incident_or_holds_what_was_searched_for(synced: Home) -> None:
    say_useful(synced.engine, "INC-1001", "orders time out")
    say_useful(synced.engine, "INC-2", "orders of Ana Example time out")
    say_useful(synced.engine, "INC-2", "disk full on sda1")

    for _ in range(2):
        forget_texts(synced.engine, Traces(("INC-1001",), (), lambda text: "Ana Example" in text))

    assert [(each.incident_id, each.query) for each in read_feedback(synced.engine)] == [
        ("INC-2", "disk full on sda1")
    ]
    forget_texts(synced.engine, Traces(("INC-2",), ()))
    assert synced.engine.ledger.read_value(FEEDBACK) == ""
