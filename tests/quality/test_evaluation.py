"""Asking a home: rows by set and language, the gate, the history, and what a broken template does to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from builders import Home, a_home
from kbsync.demo.incidents import demo_incidents
from kbsync.errors import ThrottledError, UsageError
from kbsync.knowledge import Hit
from kbsync.pipeline.changes import upsert_incidents
from kbsync.pipeline.run import no_progress
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform import body
from kbsync.ports import KnowledgeBase
from kbsync.quality.evaluation import ask, rows_of
from kbsync.quality.gate import broken_limits, limit_of
from kbsync.quality.golden import golden_questions
from kbsync.quality.history import EVALUATIONS, KEPT, MOST_SETS, course, evaluations, keep
from kbsync.quality.questions import Asked
from kbsync.quality.report import Plan, evaluate

GATE = [limit_of("error:hit@5=.9"), limit_of("hit@5=.9")]


@pytest.fixture(scope="module")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The demo's incidents, searchable; the tests of this module only ask."""
    home = a_home(tmp_path_factory.mktemp("demo"))
    upsert_incidents(home.engine, demo_incidents())
    sync_once(home.engine)
    return home


def asked(name: str, language: str, *relevant: str) -> Asked:
    return Asked("disco lleno en el servidor", frozenset(relevant), name, language)


def test_gate_holds_on_the_demo_incidents(demo_home: Home) -> None:
    questions = golden_questions(demo_home.engine, sample=100)

    _, view = evaluate(demo_home.engine, Plan("golden", questions, GATE), no_progress)

    assert view["broken"] == []
    assert view["ok"]


def test_gate_breaks_where_documents_lose_their_error_messages(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The template is broken on purpose; the questions, made from the incidents, still ask for the errors."""
    monkeypatch.setattr(body, "fence", lambda _text: "")
    upsert_incidents(home.engine, demo_incidents())
    sync_once(home.engine)
    questions = golden_questions(home.engine, sample=100)

    _, view = evaluate(home.engine, Plan("golden", questions, GATE), no_progress)

    assert not view["ok"]
    assert str(view["broken"]).startswith("['error:hit@5 is ")


def test_rows_are_by_set_by_language_where_there_are_several_and_over_all(demo_home: Home) -> None:
    questions = [asked("a", "es", "INC-1"), asked("a", "en", "INC-1"), asked("b", "es", "INC-1")]

    rows = rows_of(ask(demo_home.engine, questions, no_progress))

    assert [(row.set_name, row.language, row.questions) for row in rows] == [
        ("a", "", 2),
        ("a", "en", 1),
        ("a", "es", 1),
        ("b", "", 1),
        ("all", "", 3),
    ]
    assert [row.set_name for row in rows_of(ask(demo_home.engine, questions[2:], no_progress))] == ["b"]


def test_excluded_incident_makes_room_for_the_next(demo_home: Home) -> None:
    query = "Cobros duplicados en tarjeta cuando la pasarela tarda más de 10 segundos"
    own = Asked(query, frozenset({"INC-3101"}), "own")
    [first] = ask(demo_home.engine, [own], no_progress)
    [passed_over] = ask(demo_home.engine, [replace(own, excluded=frozenset({"INC-3101"}))], no_progress)

    assert (first.first, first.places.first) == ("INC-3101", 1)
    assert passed_over.first != "INC-3101"
    assert passed_over.places.found == ()


def test_nothing_to_ask_is_said(home: Home) -> None:
    with pytest.raises(UsageError, match="nothing to ask"):
        evaluate(home.engine, Plan("golden", golden_questions(home.engine, sample=5)), no_progress)


def test_limit_of_one_set_is_not_held_where_that_set_was_not_asked(demo_home: Home) -> None:
    rows = rows_of(ask(demo_home.engine, [asked("mine", "", "INC-1")], no_progress))

    assert broken_limits([limit_of("error:hit@5=0"), limit_of("MRR=0")], rows) == [
        "error:hit@5: no question of this set was asked"
    ]


@pytest.mark.parametrize("text", ["hit@5", "hit@7=.5", "mrr=1.5", "mrr=.", "mrr=-1", "mrr="])
def test_text_that_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no limit"):
        limit_of(text)


def test_history_keeps_the_last_hundred_without_a_word_of_the_questions(home: Home) -> None:
    rows = rows_of(ask(home.engine, [asked("mine", "", "INC-1")], no_progress))
    for number in range(KEPT + 3):
        keep(home.engine, questions=f"set {number}", searched_by="hybrid", rows=rows)

    kept = evaluations(home.engine)

    assert [each.questions for each in kept] == [f"set {number}" for number in range(3, KEPT + 3)]
    assert course(kept, "mine", "hit@5") == [0.0] * KEPT
    assert course(kept, "another", "hit@5") == []
    assert "disco" not in home.engine.ledger.read_value(EVALUATIONS)


def test_history_of_many_sets_keeps_the_sum_of_them(home: Home) -> None:
    questions = [asked(f"set {number:02}", "", "INC-1") for number in range(MOST_SETS + 5)]
    keep(
        home.engine,
        questions="many",
        searched_by="hybrid",
        rows=rows_of(ask(home.engine, questions, no_progress)),
    )

    [kept] = evaluations(home.engine)

    assert len(kept.rows) == MOST_SETS
    assert (kept.rows[-1].set_name, kept.rows[-1].questions) == ("all", MOST_SETS + 5)


@dataclass
class Throttling:
    """A knowledge base that asks to slow down so many times before each answer."""

    inner: KnowledgeBase
    refusals: int
    left: int = 0

    def retrieve(
        self,
        query: str,
        *,
        limit: int,
        filter: Mapping[str, object] | None = None,  # noqa: A002 - Bedrock's word
    ) -> Sequence[Hit]:
        if self.left < self.refusals:
            self.left += 1
            raise ThrottledError("slow down")
        self.left = 0
        return self.inner.retrieve(query, limit=limit, filter=filter)


def test_knowledge_base_that_asks_to_slow_down_is_asked_again_and_then_given_up(demo_home: Home) -> None:
    def throttled(times: int) -> object:
        return replace(
            demo_home.engine,
            knowledge_base=Throttling(demo_home.knowledge_base, times),  # type: ignore[arg-type]
        )

    question = [asked("mine", "", "INC-1")]
    demo_home.clock.slept.clear()

    assert len(ask(throttled(3), question, no_progress)) == 1  # type: ignore[arg-type]
    assert demo_home.clock.slept == [2.0, 4.0, 8.0]
    with pytest.raises(ThrottledError):
        ask(throttled(4), question, no_progress)  # type: ignore[arg-type]
