"""Questions from a file, and golden ones from the incidents: what is asked, and what is refused."""

import json
from pathlib import Path

import pytest

from builders import Home, an_incident
from kbsync.errors import UsageError
from kbsync.model import Symptom
from kbsync.pipeline.changes import upsert_incidents
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.quality.golden import first_sentence, golden_questions, questions_of, sampled_ids
from kbsync.quality.questions import MOST_QUESTIONS, Asked, read_questions


def written(folder: Path, *lines: object) -> Path:
    path = folder / "mine.jsonl"
    path.write_text("".join(f"{json.dumps(each)}\n" for each in lines), encoding="utf-8")
    return path


def test_file_gives_its_questions_in_order(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"query": "disk full", "relevant_ids": ["A", "B"], "exclude_ids": ["C"], "direction": "ignored"},
        {"query": "disco lleno", "relevant_ids": ["A"], "set": "spanish", "language": "es"},
    )

    assert read_questions(path) == [
        Asked("disk full", frozenset({"A", "B"}), "mine", "", frozenset({"C"})),
        Asked("disco lleno", frozenset({"A"}), "spanish", "es"),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"query": "x y"}, "line 1 of .*: relevant_ids: Field required"),
        ({"query": " ", "relevant_ids": ["A"]}, "line 1 of .*: query: "),
        ({"query": "x", "relevant_ids": []}, "line 1 of .*: relevant_ids: "),
        ({"query": "x", "relevant_ids": ["A"], "exclude_ids": ["B"] * 51}, "line 1 of .*: exclude_ids: "),
        ("text", "line 1 of .*: the line: "),
    ],
)
def test_line_that_is_no_question_refuses_the_file_with_its_number(
    tmp_path: Path, line: object, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        read_questions(written(tmp_path, line))

    assert "relevant_ids" in refused.value.hint


def test_file_without_questions_or_with_too_many_or_none_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no question"):
        read_questions(written(tmp_path))
    with pytest.raises(UsageError, match="cannot be read"):
        read_questions(tmp_path / "absent.jsonl")
    with pytest.raises(UsageError, match="more than"):
        read_questions(written(tmp_path, *[{"query": "x y", "relevant_ids": ["A"]}] * (MOST_QUESTIONS + 1)))
    bytes_of_another_table = tmp_path / "latin.jsonl"
    bytes_of_another_table.write_bytes(b'{"query": "conexi\xf3n", "relevant_ids": ["A"]}\n')
    with pytest.raises(UsageError, match="not UTF-8"):
        read_questions(bytes_of_another_table)


def test_incident_asks_by_its_title_its_error_and_the_first_sentence_of_its_problem() -> None:
    symptom = Symptom(
        title="Pool exhausted on orders-db",
        error_message="FATAL: remaining connection slots are reserved",
        problem="Connections time out after 30 s. It began at noon.",
        language="es-ES",
    )

    assert list(questions_of("INC-1", symptom)) == [
        Asked("Pool exhausted on orders-db", frozenset({"INC-1"}), "title", "es"),
        Asked("FATAL: remaining connection slots are reserved", frozenset({"INC-1"}), "error", "es"),
        Asked("Connections time out after 30 s.", frozenset({"INC-1"}), "symptom", "es"),
    ]


def test_text_of_under_three_words_asks_nothing() -> None:
    assert list(questions_of("INC-1", Symptom(title="Disk full", error_message="E 28", problem=""))) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("# Steps\n\n- Open the form and press send. Nothing happens.", "Open the form and press send."),
        ("Pool exhausted on orders-db. Clients wait for ever.", "Clients wait for ever."),
        ("Sin conexión desde las 12:30 h", "Sin conexión desde las 12:30 h"),
        ("a b\n!!", ""),
    ],
)
def test_first_sentence_is_the_first_that_says_something_new(text: str, sentence: str) -> None:
    assert first_sentence(text, other_than="Pool exhausted on orders-db") == sentence


def synced(home: Home, *incidents: dict[str, object]) -> Home:
    upsert_incidents(home.engine, incidents)
    sync_once(home.engine)
    return home


def test_golden_questions_are_of_searchable_incidents_alone(home: Home) -> None:
    synced(
        home, an_incident(), an_incident(incident_id="INC-2", status="OPEN", title="Still open, no answer")
    )

    asked = golden_questions(home.engine, sample=10)

    assert {each.set_name for each in asked} == {"title", "symptom"}
    assert {each.relevant for each in asked} == {frozenset({"INC-1001"})}


def test_text_of_two_incidents_is_one_question_that_either_answers(home: Home) -> None:
    synced(home, an_incident(), an_incident(incident_id="INC-2", description="Another symptom altogether."))

    titles = [each for each in golden_questions(home.engine, sample=10) if each.set_name == "title"]

    assert [each.relevant for each in titles] == [frozenset({"INC-1001", "INC-2"})]


def test_sample_keeps_its_incidents_when_others_join(home: Home) -> None:
    """The lowest hashes stay the lowest, but for those that a new one undercuts."""
    synced(home, *(an_incident(incident_id=f"INC-{number}") for number in range(30)))
    before = sampled_ids(home.engine, 10)
    synced(home, *(an_incident(incident_id=f"NEW-{number}") for number in range(5)))

    after = sampled_ids(home.engine, 10)

    assert len(before) == len(set(before)) == 10
    assert [each for each in after if each.startswith("INC-")] == before[: 10 - len(set(after) - set(before))]


def test_secret_in_a_title_is_not_asked(home: Home) -> None:
    synced(home, an_incident(title="Login fails with password=hunter2hunter2 since noon"))

    assert "hunter2" not in str(golden_questions(home.engine, sample=10))


def test_incident_that_became_confidential_or_unreadable_or_vanished_is_not_asked(
    home: Home, tmp_path: Path, open_home: object
) -> None:
    del tmp_path
    synced(home, an_incident(), an_incident(incident_id="INC-2"), an_incident(incident_id="INC-3"))
    upsert_incidents(home.engine, [an_incident(category="personnel")])
    upsert_incidents(home.engine, [an_incident(incident_id="INC-2", description={"not": "a text"})])
    rules = TransformRules(confidential=(("category", ("personnel",)),))
    with_rules = open_home(rules=rules)  # type: ignore[operator]

    asked = golden_questions(with_rules.engine, sample=10)

    assert {each.relevant for each in asked} == {frozenset({"INC-3"})}
