"""Search answers: what they show, the guard against the incidents table, narrowing, likeness and pages."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import NOON, Home, a_home, an_incident
from kbsync.errors import RedactionFailedError, UnknownIncidentError, UsageError
from kbsync.pipeline.changes import delete_incident, reopen_incident, upsert_incidents
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.views.question import MOST_HITS, Narrowing, Question, retrieval_filter
from kbsync.views.search import search_view

SOLVED = an_incident(
    error_message="PoolTimeout: no connection within 30 s",
    environment="production",
    affected_systems=["orders-db"],
    source_url="https://tickets.example.test/EXT-77",
    cline_work={"solution": {"steps": ["Raise the pool", "Restart the service"]}},
)


class Counting:
    """A port that counts its calls."""

    def __init__(self, port: object) -> None:
        self._port = port
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        called: Callable[..., Any] = getattr(self._port, name)

        def counted(*given: Any, **named: Any) -> Any:
            self.calls[name] += 1
            return called(*given, **named)

        return counted


def synced(home: Home, *incidents: dict[str, object]) -> Home:
    upsert_incidents(home.engine, incidents)
    sync_once(home.engine)
    return home


def ask(home: Home, query: str = "", **asked: Any) -> dict[str, Any]:
    return search_view(home.engine, Question(query, **asked))


def ids(view: dict[str, Any]) -> list[str]:
    return [hit["incident_id"] for hit in view["hits"]]


def numbered(count: int) -> list[dict[str, object]]:
    return [an_incident(incident_id=f"INC-{number:04}") for number in range(count)]


def test_hit_shows_symptom_cause_resolution_steps_when_where_and_link(home: Home) -> None:
    (hit,) = ask(synced(home, SOLVED), "pool exhausted")["hits"]

    assert hit["symptom"] == "Connections time out after 30 s."
    assert "PoolTimeout: no connection within 30 s" in hit["error_message"]
    assert hit["root_cause"] == "Leak in retry path."
    assert hit["resolution"] == "Raised the pool size to 40."
    assert hit["steps"] == "1. Raise the pool\n2. Restart the service"
    assert hit["affected_systems"] == "orders-db"
    assert (hit["environment"], hit["source_system"], hit["severity"]) == ("production", "servicenow", "high")
    assert hit["closed_at"] == "2025-03-10T09:30:00Z"
    assert hit["link"] == "https://tickets.example.test/EXT-77"
    assert (hit["state"], hit["stale"], hit["checked"]) == ("indexed", False, True)


def test_guard_costs_one_batch_read_of_the_incidents_for_any_number_of_hits(home: Home) -> None:
    synced(home, *numbered(12))
    reopen_incident(home.engine, "INC-0003")
    incidents, documents, knowledge_base = map(
        Counting, (home.engine.incidents, home.engine.documents, home.engine.knowledge_base)
    )
    engine = replace(home.engine, incidents=incidents, documents=documents, knowledge_base=knowledge_base)  # type: ignore[arg-type]

    view: Any = search_view(engine, Question("pool exhausted", limit=11))

    assert len(view["hits"]) == 11
    assert [each["incident_id"] for each in view["left_out"]] == ["INC-0003"]
    assert incidents.calls == {"read": 1}
    assert knowledge_base.calls["retrieve"] == 1
    assert documents.calls == {}


def test_incident_reopened_by_a_writer_that_does_not_mark_is_left_out(home: Home) -> None:
    synced(home, *numbered(2))
    home.incidents._database.query(
        "UPDATE incidents SET status = 'OPEN', attributes = replace(attributes, 'CLOSED', 'OPEN')"
        " WHERE incident_id = 'INC-0001'"
    )

    view = ask(home, "pool exhausted")

    assert ids(view) == ["INC-0000"]
    assert view["left_out"][0]["reason"] == "no longer closed; its removal waits for the next run"


def test_incident_that_a_new_rule_excludes_is_left_out_before_any_run(tmp_path: Path) -> None:
    home = synced(a_home(tmp_path / "home"), *numbered(1))
    rules = TransformRules(confidential=(("category", ("database",)),))
    stricter = a_home(tmp_path / "home", rules=rules, clock=home.clock)

    view = ask(stricter, "pool exhausted")

    assert view["hits"] == []
    assert view["left_out"][0]["reason"].startswith("confidential: category is database")


def test_incident_that_redaction_cannot_clear_is_left_out(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> str:
        raise RedactionFailedError("redaction could not run")

    synced(home, *numbered(1))
    monkeypatch.setattr("kbsync.pipeline.transform.transform.redact", fails)

    view = ask(home, "pool exhausted")

    assert view["hits"] == []
    assert view["left_out"][0]["reason"].startswith("redaction could not run")


def test_unreadable_edit_of_a_closed_incident_shows_the_last_good_text_as_stale(home: Home) -> None:
    synced(home, an_incident())
    upsert_incidents(home.engine, [an_incident(description={"not": "a text"})])

    (hit,) = ask(home, "pool exhausted")["hits"]

    assert hit["stale"] is True
    assert hit["symptom"] == "Connections time out after 30 s."
    assert hit["resolution"] == "Raised the pool size to 40."


def test_edited_incident_answers_with_its_latest_text_and_is_stale(home: Home) -> None:
    synced(home, an_incident())
    upsert_incidents(home.engine, [an_incident(resolution={"description": "Raised it to 80."})])

    (hit,) = ask(home, "pool exhausted")["hits"]

    assert (hit["resolution"], hit["stale"]) == ("Raised it to 80.", True)


def test_like_an_open_incident_finds_those_that_report_the_same(home: Home) -> None:
    synced(
        home,
        an_incident(),
        an_incident(incident_id="INC-2", title="Printer out of paper", description="Tray two is empty."),
        an_incident(incident_id="NEW-1", status="OPEN", resolution=None),
    )

    view = ask(home, like="NEW-1", limit=1)

    assert ids(view) == ["INC-1001"]
    assert (view["query"], view["like"]) == ("", "NEW-1")


def test_like_a_closed_incident_leaves_itself_out(home: Home) -> None:
    synced(home, *numbered(3))

    assert sorted(ids(ask(home, like="INC-0001"))) == ["INC-0000", "INC-0002"]


def test_like_sends_no_secret_to_the_knowledge_base(home: Home) -> None:
    open_one = an_incident(
        incident_id="NEW-1", status="OPEN", description="password=hunter2hunter2 was refused"
    )
    synced(home, open_one)
    stored = home.incidents.read(["NEW-1"])["NEW-1"]

    text = home.engine.transform.symptom(stored).text

    assert "hunter2" not in text
    assert "was refused" in text


def test_like_an_unknown_incident_is_a_usage_error(home: Home) -> None:
    with pytest.raises(UnknownIncidentError, match="no incident INC-9"):
        ask(home, like="INC-9")


def test_like_a_confidential_incident_is_refused(tmp_path: Path) -> None:
    rules = TransformRules(confidential=(("category", ("database",)),))
    home = synced(a_home(tmp_path / "home", rules=rules), an_incident(status="OPEN"))

    with pytest.raises(UsageError, match="no text to search by"):
        ask(home, like="INC-1001")


def test_pages_follow_one_another_and_show_each_hit_once(home: Home) -> None:
    synced(home, *numbered(7))
    first = ask(home, "pool exhausted", limit=3)

    second = ask(home, "pool exhausted", limit=3, offset=first["next_offset"])
    third = ask(home, "pool exhausted", limit=3, offset=second["next_offset"])

    assert [first["further_hits"], second["further_hits"], third["further_hits"]] == [4, 1, 0]
    assert third["next_offset"] is None
    assert sorted(ids(first) + ids(second) + ids(third)) == [f"INC-{number:04}" for number in range(7)]


@pytest.mark.parametrize(
    "asked",
    [
        {"limit": 0},
        {"limit": MOST_HITS + 1},
        {"offset": -1},
        {"limit": 50, "offset": 51},
        {"query": "x", "like": "INC-1"},
    ],
    ids=["no hits", "too many", "negative offset", "beyond the last", "query and like"],
)
def test_question_that_cannot_be_answered_is_a_usage_error(asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"limit|offset|like"):
        Question(**asked)


@pytest.mark.parametrize(
    ("narrowing", "expected"),
    [
        (Narrowing(since="2025-01-31"), {"greaterThanOrEquals": {"key": "resolved_date", "value": 20250131}}),
        (Narrowing(until="20250131"), {"lessThanOrEquals": {"key": "resolved_date", "value": 20250131}}),
        (Narrowing(since="10d"), {"greaterThanOrEquals": {"key": "resolved_date", "value": 20260228}}),
        (Narrowing(category="77"), {"equals": {"key": "category", "value": "77"}}),
        (
            Narrowing(severity="High"),
            {"orAll": [{"equals": {"key": "severity", "value": each}} for each in ("High", "high", "HIGH")]},
        ),
    ],
    ids=["since", "until", "days ago", "no case", "any case"],
)
def test_narrowing_becomes_a_filter(narrowing: Narrowing, expected: object) -> None:
    assert retrieval_filter(Question(narrowing=narrowing), NOON) == expected


@pytest.mark.parametrize("day", ["yesterday", "2025-02-30", "2025"], ids=str)
def test_day_that_is_none_is_a_usage_error(day: str) -> None:
    with pytest.raises(UsageError, match="is no day"):
        retrieval_filter(Question(narrowing=Narrowing(since=day)), NOON)


def test_search_narrowed_by_system_severity_category_environment_and_day_finds_only_what_fits(
    home: Home,
) -> None:
    others = {
        "source_system": "jira",
        "severity": "low",
        "category": "network",
        "environment": "test",
        "resolved_at": "2024-01-01T00:00:00Z",
    }
    synced(
        home,
        SOLVED,
        *({**SOLVED, "incident_id": f"OTHER-{name}", name: value} for name, value in others.items()),
    )
    wanted = Narrowing("ServiceNow", "HIGH", "Database", "Production", "2025-01-01", "2025-12-31")

    assert ids(ask(home, "pool exhausted", narrowing=wanted)) == ["INC-1001"]
    assert len(ids(ask(home, "pool exhausted", limit=10))) == 6


def test_deleted_incident_named_by_id_is_told_once(home: Home) -> None:
    synced(home, *numbered(2))
    delete_incident(home.engine, "INC-0001")

    view = ask(home, "INC-0001")

    assert [each["incident_id"] for each in view["left_out"]] == ["INC-0001"]
    assert view["not_searchable"] == []
