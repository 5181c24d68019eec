"""Probes: search itself is asked whether it is as the records say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

import pytest

from builders import Home, an_incident
from kbsync.engine import Engine, Policy
from kbsync.errors import ThrottledError
from kbsync.knowledge import Hit
from kbsync.pipeline.changes import delete_incident, reopen_incident, update_incident, upsert_incidents
from kbsync.pipeline.sync import sync_once
from kbsync.ports import KnowledgeBase
from kbsync.run_report import RunReport
from kbsync.views.status import status_view

OpenHome = Callable[..., Home]
PROBING = Policy(probe_sample=5)


@dataclass
class Faulty:
    """A knowledge base whose search is not as its listing says."""

    inner: KnowledgeBase
    blind: set[str] = field(default_factory=set)
    """Keys that no search brings."""
    outranked: set[str] = field(default_factory=set)
    """Keys that a search by words does not bring."""
    haunted: dict[str, Hit] = field(default_factory=dict)
    """Hits that a search for this incident id brings for ever."""
    refuses: bool = False
    asked: int = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def retrieve(self, query: str, *, limit: int, filter: Mapping[str, Any] | None = None) -> list[Hit]:  # noqa: A002 - Bedrock's word
        self.asked += 1
        if self.refuses:
            raise ThrottledError("slow down")
        hidden = self.blind | (set() if filter else self.outranked)
        hits = self.inner.retrieve(query, limit=limit + len(hidden), filter=filter)
        ghost = self.haunted.get(filter["equals"]["value"]) if filter else None
        return ([ghost] if ghost else []) + [hit for hit in hits if hit.document_key not in hidden][:limit]


@pytest.fixture
def home(open_home: OpenHome) -> Home:
    """A home whose runs probe."""
    return open_home(policy=PROBING)


def faulty(home: Home) -> tuple[Engine, Faulty]:
    knowledge_base = Faulty(home.knowledge_base)
    return replace(home.engine, knowledge_base=cast("KnowledgeBase", knowledge_base)), knowledge_base


def edited(engine: Engine, text: str) -> RunReport:
    update_incident(engine, "INC-1001", {"description": text})
    return sync_once(engine)


def key_of(engine: Engine) -> str:
    return engine.transform.document_key("INC-1001")


def probes_of(engine: Engine) -> dict[str, Any]:
    return cast("dict[str, Any]", status_view(engine)["probes"])


def test_what_is_as_recorded_is_probed_and_nobody_is_told(home: Home) -> None:
    """Three become searchable, one of them is deleted: all four looks agree with the records."""
    upsert_incidents(home.engine, [an_incident(incident_id=f"INC-{n}", title=f"Case {n}") for n in range(3)])
    first = sync_once(home.engine)
    delete_incident(home.engine, "INC-1")
    second = sync_once(home.engine)

    assert [(run.probed, run.probes_failed) for run in (first, second)] == [(3, 0), (1, 0)]
    assert probes_of(home.engine)["failing"] == []
    assert probes_of(home.engine)["last"]["run_id"] == second.run_id
    assert home.alerts() == []


def test_sample_bounds_what_a_run_asks(open_home: OpenHome) -> None:
    """Twenty become searchable, three of them are looked for, and another run takes others."""
    home = open_home(policy=Policy(probe_sample=3))
    engine, search = faulty(home)
    cases = [an_incident(incident_id=f"INC-{n}", title=f"Case{n}", description=f"ERR{n}") for n in range(20)]
    upsert_incidents(engine, cases)

    assert (sync_once(engine).probed, search.asked) == (3, 3)


def test_run_that_finished_nothing_asks_search_for_nothing(home: Home) -> None:
    """P4: an idle run costs no retrieval."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    engine, search = faulty(home)

    assert (sync_once(engine).probed, search.asked) == (0, 0)


def test_missing_incident_is_told_once_after_two_runs_and_again_when_it_is_over(home: Home) -> None:
    """Listed as indexed, and no search brings it: an index may need a moment, two runs in a row are none."""
    engine, search = faulty(home)
    upsert_incidents(engine, [an_incident()])
    search.blind = {key_of(engine)}

    first = sync_once(engine)
    told_of_one = home.alerts()
    second = sync_once(engine)
    third = sync_once(engine)
    told_of_three = len(home.alerts())
    search.blind = set()
    fourth = sync_once(engine)

    assert [run.status for run in (first, second, third, fourth)] == ["ok"] * 4
    assert [run.probes_failed for run in (first, second, third, fourth)] == [1, 1, 1, 0]
    assert told_of_one == []
    assert told_of_three == 1
    assert "INC-1001: missing" in home.alerts()[0]
    assert len(home.alerts()) == 2
    assert probes_of(engine)["failing"] == []


def test_status_names_what_fails_since_when_and_how_often(home: Home) -> None:
    """One screen tells which incident search does not bear out."""
    engine, search = faulty(home)
    upsert_incidents(engine, [an_incident()])
    search.outranked = {key_of(engine)}
    sync_once(engine)
    sync_once(engine)

    (failing,) = probes_of(engine)["failing"]
    assert (failing["incident_id"], failing["finding"], failing["runs"]) == ("INC-1001", "outranked", 2)


def test_one_of_eleven_of_the_same_title_is_found_in_any_of_them(home: Home) -> None:
    """Ten alike before it: whoever searches has the same answer."""
    engine, search = faulty(home)
    upsert_incidents(engine, [an_incident(incident_id=f"INC-{n}") for n in range(1000, 1011)])
    search.outranked = {key_of(engine)}

    assert sync_once(engine).probes_failed == 0


def test_withdrawn_incident_that_still_answers_is_told(home: Home) -> None:
    """P3: the negative canary. The listing lost it, the index did not."""
    engine, search = faulty(home)
    upsert_incidents(engine, [an_incident()])
    sync_once(engine)
    search.haunted = {"INC-1001": Hit(key_of(engine), 1.0, "text")}
    reopen_incident(engine, "INC-1001")

    runs = [sync_once(engine), sync_once(engine)]

    assert [(run.probed, run.probes_failed) for run in runs] == [(1, 1), (1, 1)]
    assert "INC-1001: still_found" in home.alerts()[0]


def test_incident_in_work_again_is_no_question_any_more(home: Home) -> None:
    """What failed and was edited since is judged when it is published anew, not before."""
    engine, search = faulty(home)
    upsert_incidents(engine, [an_incident()])
    search.blind = {key_of(engine)}
    sync_once(engine)
    update_incident(engine, "INC-1001", {"description": "edited"})

    report = sync_once(engine, deadline=home.clock() - timedelta(days=1))
    assert (report.probed, len(probes_of(engine)["failing"])) == (0, 1)
    search.blind = set()
    assert edited(engine, "edited again").probes_failed == 0
    assert probes_of(engine)["failing"] == []


def test_record_that_waits_is_left_alone(home: Home) -> None:
    """A record in the queue claims nothing: it is forgotten and probed when it is through."""
    engine, search = faulty(home)
    upsert_incidents(engine, [an_incident()])
    search.blind = {key_of(engine)}
    sync_once(engine)
    update_incident(engine, "INC-1001", {"description": {"no": "text"}})

    report = sync_once(engine)

    assert (report.failed, report.probed, probes_of(engine)["failing"]) == (1, 0, [])


def test_quarantined_incident_is_no_question(open_home: OpenHome) -> None:
    """Its last good document may stay; nothing is claimed of it."""
    home = open_home(policy=Policy(probe_sample=5, max_attempts=1))
    engine, search = faulty(home)
    upsert_incidents(engine, [an_incident()])
    search.blind = {key_of(engine)}
    sync_once(engine)
    update_incident(engine, "INC-1001", {"description": {"no": "text"}})
    sync_once(engine)

    assert (home.state(), probes_of(engine)["failing"]) == ("quarantined", [])


def test_incident_without_words_is_not_probed(home: Home) -> None:
    """Nothing to search by is no failure."""
    bare = an_incident(title=None, description=None)
    upsert_incidents(home.engine, [bare])

    report = sync_once(home.engine)

    assert (report.indexed, report.probed) == (1, 0)


def test_silent_deletion_leaves_nothing_to_probe(home: Home) -> None:
    """The incident is gone from the table and nobody said so: reconcile finds that, not a probe."""
    engine, search = faulty(home)
    upsert_incidents(engine, [an_incident()])
    search.blind = {key_of(engine)}
    sync_once(engine)
    home.incidents.delete_as_other_writer("INC-1001")

    assert sync_once(engine).probed == 0


def test_search_that_cannot_be_asked_fails_no_run(home: Home) -> None:
    """A throttle of the probes is said, and what was failing before stays so."""
    engine, search = faulty(home)
    upsert_incidents(engine, [an_incident()])
    search.blind = {key_of(engine)}
    sync_once(engine)
    sync_once(engine)
    search.refuses = True

    report = sync_once(engine)

    assert (report.status, report.probed) == ("ok", 0)
    assert report.messages == ("search could not be probed: slow down",)
    assert len(home.alerts()) == 1


def test_without_ingestion_there_is_no_search_to_ask(open_home: OpenHome) -> None:
    """With `INGESTION=none` the document store's word is all there is."""
    home = open_home(policy=Policy(probe_sample=5, ingestion="none"))
    upsert_incidents(home.engine, [an_incident()])

    report = sync_once(home.engine)

    assert (report.indexed, report.probed) == (1, 0)


def test_failing_ones_are_bounded(open_home: OpenHome) -> None:
    """A search that answers nothing at all fills no ledger value: fifty are kept."""
    home = open_home(policy=Policy(probe_sample=60))
    engine, search = faulty(home)
    incidents = [an_incident(incident_id=f"INC-{n}") for n in range(60)]
    upsert_incidents(engine, incidents)
    search.blind = {engine.transform.document_key(str(each["incident_id"])) for each in incidents}

    report = sync_once(engine)

    assert report.probes_failed == 60
    assert len(probes_of(engine)["failing"]) == 50
