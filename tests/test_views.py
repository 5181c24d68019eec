"""Views: numbers that add up, results that are true now, and one incident's whole story."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from builders import NOON, Home, a_home, an_incident
from kbsync.engine import Policy
from kbsync.errors import UnavailableError, UnknownIncidentError, UsageError
from kbsync.local.faults import LocalFaults
from kbsync.model import State
from kbsync.pipeline.changes import (
    close_incident,
    delete_incident,
    reopen_incident,
    update_incident,
    upsert_incidents,
)
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.run_report import RunError, RunReport
from kbsync.views.passages import EXCERPT_CHARACTERS, cut, excerpt_of, sections_of, title_of
from kbsync.views.question import MOST_HITS, Question, retrieval_filter
from kbsync.views.report import iso, report_view, runs_view
from kbsync.views.search import search_mode, search_view
from kbsync.views.status import quarantine_view, status_view
from kbsync.views.story import explain_view, show_view

RESOLUTION = ("Resolución", "Resolution")


def section_of(text: str, headings: tuple[str, ...]) -> str:
    return sections_of(text, {"asked": headings})["asked"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return a_home(tmp_path / "home", policy=Policy(max_attempts=1))


def status_sum(view: Mapping[str, Any]) -> int:
    return sum(view["states"].values()) + view["not_closed"]


def many(count: int) -> list[dict[str, object]]:
    return [an_incident(incident_id=f"INC-{number:04}") for number in range(count)]


# report


def test_report_without_end_has_null_times() -> None:
    view = report_view(RunReport(run_id="r", started_at=NOON, errors=(RunError("INC-1", "why"),)))

    assert view["started_at"] == "2026-03-10T12:00:00Z"
    assert view["ended_at"] is None
    assert view["errors"] == [{"incident_id": "INC-1", "error": "why"}]


def test_time_of_another_zone_is_shown_in_utc() -> None:
    assert iso(NOON.astimezone()) == "2026-03-10T12:00:00Z"


def test_runs_are_listed_newest_first_up_to_the_limit(home: Home) -> None:
    ids = [sync_once(home.engine).run_id for _ in range(3)]

    runs = runs_view(home.engine, limit=2)["runs"]

    assert isinstance(runs, list)
    assert [run["run_id"] for run in runs] == [ids[2], ids[1]]


# status


def test_empty_home_adds_up_to_nothing(home: Home) -> None:
    view = status_view(home.engine)

    assert (status_sum(view), view["incidents"], view["last_run"]) == (0, 0, None)
    assert view["closed_to_searchable_seconds"] == {
        "count": 0, "late": 0, "p50": None, "p95": None, "max": None,
        "by_severity": {}, "days": 7, "objective": 3_900.0,
    }  # fmt: skip


def test_status_adds_up_after_every_kind_of_change(home: Home) -> None:
    engine = home.engine
    upsert_incidents(engine, [*many(6), an_incident(incident_id="OPEN-1", status="OPEN")])
    upsert_incidents(engine, [an_incident(incident_id="BAD-1", description={"not": "a text"})])
    sums = [status_view(engine)]
    sync_once(engine)
    sums.append(status_view(engine))
    reopen_incident(engine, "INC-0000")
    delete_incident(engine, "INC-0001")
    update_incident(engine, "INC-0002", {"title": "Other"})
    delete_incident(engine, "OPEN-1")
    sums.append(status_view(engine))
    sync_once(engine)
    sums.append(status_view(engine))
    close_incident(engine, "INC-0000")
    sums.append(status_view(engine))

    assert [status_sum(view) for view in sums] == [view["incidents"] for view in sums] == [8, 8, 6, 6, 6]
    assert sums[-2]["states"]["indexed"] == 4  # type: ignore[index]
    assert sums[-2]["not_closed"] == 1
    assert sums[-1]["states"]["pending"] == 1  # type: ignore[index]


def test_deleted_incident_counts_as_removed_before_the_next_run(home: Home) -> None:
    upsert_incidents(home.engine, many(3))
    sync_once(home.engine)
    delete_incident(home.engine, "INC-0001")

    view = status_view(home.engine)

    assert view["states"]["indexed"] == 2  # type: ignore[index]
    assert (view["incidents"], view["tombstones"]) == (2, 1)


def test_closed_incident_that_no_record_holds_counts_as_pending(home: Home) -> None:
    home.incidents.put_as_other_writer(an_incident())
    home.incidents.put_as_other_writer(an_incident(incident_id="INC-2", status="OPEN"))
    home.incidents.put_as_other_writer(an_incident(incident_id="INC-3", status=" CLOSED "))

    view = status_view(home.engine)

    assert view["states"]["pending"] == 2  # type: ignore[index]
    assert view["not_closed"] == 1


def test_excluded_incident_has_a_state_of_its_own(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home", rules=TransformRules(exclude=(("category", ("test",)),)))
    upsert_incidents(home.engine, [an_incident(category="test")])
    sync_once(home.engine)

    view = status_view(home.engine)

    assert view["states"]["excluded"] == 1  # type: ignore[index]
    assert status_sum(view) == 1


def test_oldest_pending_is_counted_in_seconds(home: Home) -> None:
    upsert_incidents(home.engine, many(1))
    home.clock.forward(minutes=10)
    upsert_incidents(home.engine, [an_incident(incident_id="LATER")])

    assert status_view(home.engine)["oldest_pending_seconds"] == 600


def test_quarantine_names_reason_and_counts_what_it_leaves_out(home: Home) -> None:
    bad = [an_incident(incident_id=f"BAD-{number}", title={}) for number in range(3)]
    upsert_incidents(home.engine, [*many(6), *bad])
    sync_once(home.engine)

    view = quarantine_view(home.engine, limit=2)

    listed = view["quarantined"]
    assert isinstance(listed, list)
    assert [each["incident_id"] for each in listed] == ["BAD-0", "BAD-1"]
    assert listed[0]["attempts"] == 1
    assert listed[0]["since"].startswith("2026-03-10T12:")
    assert (view["total"], view["left_out"]) == (3, 1)


# passages

DOCUMENT = """# Cola llena \\#

## Problema

La cola de pagos no avanza desde anoche.

## Mensaje de error

````
## Resolución
```
OutOfMemory in worker
````

## Resolución

Se reinició el consumidor.

- y se subió la memoria

## Etiquetas

pagos
"""


def test_section_ends_at_the_next_heading_of_ours() -> None:
    assert section_of(DOCUMENT, RESOLUTION) == "Se reinició el consumidor.\n\n- y se subió la memoria"


def test_heading_inside_a_code_block_is_no_section() -> None:
    assert section_of(DOCUMENT, ("Mensaje de error",)).startswith("````\n## Resolución")


def test_first_section_there_is_wins() -> None:
    assert section_of(DOCUMENT, ("Pasos", "Etiquetas")) == "pagos"


def test_missing_section_is_empty() -> None:
    assert section_of(DOCUMENT, ("Pasos",)) == ""


def test_long_section_is_cut_with_an_ellipsis() -> None:
    assert section_of("## Resolution\n" + "x" * 5000, RESOLUTION).endswith("x…")
    assert len(section_of("## Resolution\n" + "x" * 5000, RESOLUTION)) == 4000


def test_title_is_the_first_line_only() -> None:
    assert title_of(DOCUMENT) == "Cola llena \\#"
    assert title_of("text\n# later") == ""


def test_excerpt_is_the_passage_with_most_of_the_words() -> None:
    assert excerpt_of(DOCUMENT, "REINICIO del consumidor") == "Se reinició el consumidor."
    assert excerpt_of(DOCUMENT, "outofmemory") == "OutOfMemory in worker"


def test_excerpt_without_any_of_the_words_is_the_first_passage() -> None:
    assert excerpt_of(DOCUMENT, "zzz") == "La cola de pagos no avanza desde anoche."


def test_excerpt_of_a_long_passage_stands_around_the_word() -> None:
    text = "start " * 200 + "needle " + "rest " * 200

    found = excerpt_of(text, "needle")

    assert "needle" in found
    assert found.startswith("…")
    assert found.endswith("…")
    assert len(found) <= EXCERPT_CHARACTERS


def test_excerpt_of_nothing_is_empty() -> None:
    assert excerpt_of("# Title\n\n## Problem\n", "x") == ""


def test_text_that_fits_is_not_cut() -> None:
    assert cut("abc", 3) == "abc"


# search


def hits_of(view: Mapping[str, Any]) -> list[str]:
    return [hit["incident_id"] for hit in view["hits"]]


def ask(home: Home, query: str, *conditions: str, limit: int = 5) -> dict[str, Any]:
    return search_view(home.engine, Question(query, limit, conditions))


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ((), None),
        (("severity=high",), {"equals": {"key": "severity", "value": "high"}}),
        (("severity != low",), {"notEquals": {"key": "severity", "value": "low"}}),
        (("resolved_date>=20250101",), {"greaterThanOrEquals": {"key": "resolved_date", "value": 20250101}}),
        (("minutes<1.5",), {"lessThan": {"key": "minutes", "value": 1.5}}),
        (
            ("external_id=77",),
            {
                "orAll": [
                    {"equals": {"key": "external_id", "value": "77"}},
                    {"equals": {"key": "external_id", "value": 77}},
                ]
            },
        ),
        (
            ("external_id!=77",),
            {
                "andAll": [
                    {"notEquals": {"key": "external_id", "value": "77"}},
                    {"notEquals": {"key": "external_id", "value": 77}},
                ]
            },
        ),
        (
            ("a=b=c", "d>1"),
            {"andAll": [{"equals": {"key": "a", "value": "b=c"}}, {"greaterThan": {"key": "d", "value": 1}}]},
        ),
    ],
    ids=["none", "equals", "not equals", "at least", "less", "number or text", "neither", "two"],
)
def test_conditions_become_a_retrieval_filter(conditions: tuple[str, ...], expected: object) -> None:
    assert retrieval_filter(Question(conditions=conditions), NOON) == expected


@pytest.mark.parametrize("condition", ["severity", "=high", "severity=", "resolved_date>old", ""], ids=repr)
def test_condition_that_is_none_is_a_usage_error(condition: str) -> None:
    with pytest.raises(UsageError, match=r"filter|numbers"):
        retrieval_filter(Question(conditions=(condition,)), NOON)


@pytest.mark.parametrize("limit", [0, -1, MOST_HITS + 1], ids=str)
def test_limit_out_of_range_is_a_usage_error(home: Home, limit: int) -> None:
    with pytest.raises(UsageError, match="limit"):
        ask(home, "pool", limit=limit)


def test_deleted_incident_is_left_out_before_its_removal_is_confirmed(home: Home) -> None:
    upsert_incidents(home.engine, many(2))
    sync_once(home.engine)
    delete_incident(home.engine, "INC-0000")

    view = ask(home, "pool exhausted")

    assert hits_of(view) == ["INC-0001"]
    assert view["left_out"] == [
        {"incident_id": "INC-0000", "reason": "deleted; its removal waits for the next run"}
    ]


def test_document_that_is_being_withdrawn_is_left_out_with_its_reason(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home", policy=Policy(max_attempts=1))
    upsert_incidents(home.engine, many(1))
    sync_once(home.engine)
    confidential = TransformRules(confidential=(("category", ("database",)),))
    slow = LocalFaults(delay_polls=100)  # so the knowledge base still holds what was deleted
    stricter = a_home(tmp_path / "home", rules=confidential, clock=home.clock, faults=slow)
    sync_once(stricter.engine, wait=False)

    view = ask(stricter, "pool exhausted")

    assert view["hits"] == []
    assert view["left_out"] == [
        {"incident_id": "INC-0000", "reason": "withdrawing: confidential: category is database"}
    ]
    assert stricter.state("INC-0000") == "withdrawing"


def test_limit_counts_what_is_shown_not_what_is_left_out(home: Home) -> None:
    upsert_incidents(home.engine, many(6))
    sync_once(home.engine)
    for number in (0, 1, 2):
        reopen_incident(home.engine, f"INC-{number:04}")

    assert len(hits_of(ask(home, "pool exhausted", limit=3))) == 3


def test_document_of_nobody_we_know_is_shown(home: Home) -> None:
    folder = home.folder / "documents" / "incidents"
    folder.mkdir(parents=True)
    (folder / "FOREIGN.md").write_text("# Foreign pool\n\nA pool elsewhere.\n", encoding="utf-8")
    upsert_incidents(home.engine, many(1))
    sync_once(home.engine)

    hits = ask(home, "foreign pool elsewhere", limit=1)["hits"]

    assert (hits[0]["title"], hits[0]["incident_id"], hits[0]["closed_at"]) == ("Foreign pool", "", None)
    assert hits[0]["resolution"] == ""


def test_document_that_vanished_from_the_store_still_answers(home: Home) -> None:
    upsert_incidents(home.engine, [an_incident(resolution=None)])
    sync_once(home.engine)
    (home.folder / "documents" / "incidents" / "INC-1001.md").unlink()

    hits = ask(home, "pool exhausted")["hits"]

    assert [hit["resolution"] for hit in hits] == [""]


def test_o63_exact_title_of_quarantined_incident_names_it_with_its_reason(home: Home) -> None:
    bad = an_incident(incident_id="BAD-1", title="Backup is broken", description={"not": "a text"})
    upsert_incidents(home.engine, [*many(6), bad])
    sync_once(home.engine)

    expected = [
        {"incident_id": "BAD-1", "state": "quarantined", "reason": "description is no text: it holds a dict"}
    ]

    assert ask(home, "backup is BROKEN")["not_searchable"] == expected
    assert ask(home, "BAD-1")["not_searchable"] == expected
    assert ask(home, "anything", "incident_id=BAD-1")["not_searchable"] == expected
    assert ask(home, "pool")["not_searchable"] == []


def test_closing_time_falls_back_to_the_resolutions(home: Home) -> None:
    upsert_incidents(home.engine, [an_incident(resolved_at=None)])
    sync_once(home.engine)

    assert ask(home, "pool")["hits"][0]["closed_at"] == "2025-03-10T09:30:00Z"


def test_knowledge_base_that_does_not_describe_itself_is_searched_all_the_same(home: Home) -> None:
    class Silent:
        """The knowledge base without `describe`, as a remote one may be."""

        poll_seconds = 0.0
        retrieve = home.knowledge_base.retrieve

    engine = replace(home.engine, knowledge_base=Silent())  # type: ignore[arg-type]

    assert search_mode(engine) == {}


# story


def test_incident_of_another_writer_without_record_waits_to_be_found(home: Home) -> None:
    home.incidents.put_as_other_writer(an_incident())
    home.incidents.put_as_other_writer(an_incident(incident_id="OPEN-1", status="OPEN"))

    closed, not_closed = explain_view(home.engine, "INC-1001"), explain_view(home.engine, "OPEN-1")

    assert (closed["state"], closed["wants"]) == (None, "a document")
    assert closed["next"] == "the next run that looks at it"
    assert not_closed["next"] == "nothing: it is not closed and nothing is published"


def test_incident_that_waits_for_its_turn_says_not_before_when(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home", policy=Policy(max_attempts=3, backoff_seconds=3600))
    upsert_incidents(home.engine, [*many(6), an_incident(title={})])
    sync_once(home.engine)

    story = explain_view(home.engine, "INC-1001")

    assert story["next"] == f"the next run looks at it, not before {iso(home.clock.at + timedelta(hours=1))}"


def test_story_of_a_rendering_hole_names_the_class_only(home: Home) -> None:
    class Holed:
        rendered_by = "x"

        def desired(self, _stored: object) -> None:
            raise HoleError("secret text")

        def document_key(self, incident_id: str) -> str:
            return f"incidents/{incident_id}.md"

        def title(self, _stored: object) -> None:
            return None

        def shown(self, text: str) -> str:
            return text

    class HoleError(ValueError):
        pass

    home.incidents.put_as_other_writer(an_incident())
    engine = replace(home.engine, transform=Holed())  # type: ignore[arg-type]

    assert explain_view(engine, "INC-1001")["wants"] == "a document that cannot be made (HoleError)"


def test_story_is_told_while_the_knowledge_base_is_away(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home", faults=LocalFaults(unavailable=1))
    upsert_incidents(home.engine, many(1))

    story = explain_view(home.engine, "INC-0000")

    assert story["document"]["knowledge_base_status"] is None  # type: ignore[index]


def test_search_while_the_knowledge_base_is_away_is_no_empty_answer(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home", faults=LocalFaults(unavailable=1))

    with pytest.raises(UnavailableError, match="did not answer"):
        ask(home, "pool")


def test_own_status_of_any_shape_is_shown_as_far_as_it_is_readable(home: Home) -> None:
    home.incidents.put_as_other_writer(an_incident(kb_sync_status={"synced": True, "odd": ["list"]}))
    home.incidents.put_as_other_writer(an_incident(incident_id="TEXT", kb_sync_status="done"))

    assert explain_view(home.engine, "INC-1001")["incident_says"] == {"synced": True, "odd": "['list']"}
    assert explain_view(home.engine, "TEXT")["incident_says"] is None


def test_unknown_id_is_an_unknown_incident(home: Home) -> None:
    with pytest.raises(UnknownIncidentError, match="nothing is known of NOPE"):
        explain_view(home.engine, "NOPE")


def test_document_without_sidecar_is_shown_without_metadata(home: Home) -> None:
    upsert_incidents(home.engine, many(1))
    sync_once(home.engine)
    (home.folder / "documents" / "incidents" / "INC-0000.md.metadata.json").unlink()

    view = show_view(home.engine, "INC-0000")

    assert view["metadata"] is None
    assert view["state"] == str(State.INDEXED)


def test_document_left_by_nobodys_record_is_shown_without_state(home: Home) -> None:
    folder = home.folder / "documents" / "incidents"
    folder.mkdir(parents=True)
    (folder / "INC-1001.md").write_text("# Left\n", encoding="utf-8")

    view = show_view(home.engine, "INC-1001")

    assert (view["state"], view["document"]) == (None, "# Left\n")
