"""Another bucket, another knowledge base, jobs instead of none: what was proven there is no proof here."""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from builders import Home, a_home, an_incident
from faults import Faults, KilledError, with_faults
from kbsync.engine import Engine, Place
from kbsync.local.embedder import HashEmbedder
from kbsync.local.faults import LocalFaults
from kbsync.local.knowledge_base import LocalKnowledgeBase
from kbsync.pipeline.changes import delete_incident, reopen_incident, upsert_incidents
from kbsync.pipeline.place import PLACE
from kbsync.pipeline.sync import sync_once

OLD = Place("bucket old", "knowledge base old")
IDS = ("INC-0", "INC-1", "INC-2")


def filled(home: Home) -> Engine:
    """Three incidents, searchable in the old place."""
    engine = at(home, OLD)
    upsert_incidents(engine, [an_incident(incident_id=each, title=f"Case {each}") for each in IDS])
    sync_once(engine)
    return engine


def at(home: Home, place: Place, *, stands_in: Home | None = None) -> Engine:
    """Return the home's engine with another place, whose store and knowledge base are another home's."""
    other = stands_in or home
    engine = replace(home.engine, documents=other.documents, knowledge_base=other.knowledge_base)
    policy = replace(engine.policy, place=place, ingestion="job" if place.index else "none")
    return replace(engine, policy=policy)


def with_another_index(home: Home) -> Home:
    """Return the home with a new knowledge base over the same documents."""
    file, root = home.folder / "another.db", home.folder / "documents"
    index = LocalKnowledgeBase(file, root, "incidents/", HashEmbedder(), home.clock, LocalFaults())
    return replace(home, knowledge_base=index)


@pytest.fixture
def elsewhere(tmp_path: Path, home: Home) -> Home:
    return a_home(tmp_path / "elsewhere", clock=home.clock)


def test_another_bucket_gets_every_document_and_the_old_place_is_named(home: Home, elsewhere: Home) -> None:
    """P2: the ledger's word of one bucket is no proof of another; all are put and confirmed there."""
    filled(home)

    report = sync_once(at(home, Place("bucket new", "knowledge base new"), stands_in=elsewhere))

    assert (report.published, report.indexed, report.objects_written) == (3, 3, 6)
    assert elsewhere.keys() == home.keys()
    assert len(elsewhere.listed()) == 3
    assert "bucket old and knowledge base old" in report.messages[0]
    assert "bucket new and knowledge base new" in report.messages[0]


def test_pass_is_made_once(home: Home, elsewhere: Home) -> None:
    """P4: once the new place is known, a run finds nothing due and says nothing of it."""
    filled(home)
    engine = at(home, Place("bucket new", "knowledge base new"), stands_in=elsewhere)
    sync_once(engine)

    report = sync_once(engine)

    assert (report.found, report.messages) == (0, ())


def test_first_run_of_a_ledger_without_a_place_takes_the_present_one(home: Home) -> None:
    """An older ledger says nothing of places: nothing is published anew because of that."""
    engine = filled(home)
    home.ledger.write_value(PLACE, "")

    report = sync_once(engine)

    assert (report.found, report.messages) == (0, ())


@pytest.mark.parametrize("before", [OLD.index, ""], ids=["another_knowledge_base", "jobs_from_now_on"])
def test_another_index_confirms_every_document_and_puts_none(home: Home, before: str) -> None:
    """The bucket is the same: nothing is uploaded, one job is started, and each is confirmed by it."""
    upsert_incidents(home.engine, [an_incident(incident_id=each) for each in IDS])
    sync_once(at(home, Place(OLD.documents, before)))
    home.clock.forward(hours=1)
    other = with_another_index(home)

    report = sync_once(at(home, Place(OLD.documents, "knowledge base new"), stands_in=other))

    assert (report.objects_written, report.unchanged, report.indexed) == (0, 3, 3)
    assert (len(other.listed()), len(other.knowledge_base.jobs(limit=9))) == (3, 1)
    assert {home.map_of(each)["synced"] for each in IDS} == {True}


def test_incident_says_unsynced_until_the_new_index_has_confirmed_it(home: Home) -> None:
    """P2: `synced: true` was said of a knowledge base that nobody asks any more."""
    filled(home)

    new = at(home, Place(OLD.documents, "knowledge base new"), stands_in=with_another_index(home))

    report = sync_once(new, wait=False)

    assert report.indexed == 0
    assert {home.map_of(each)["synced"] for each in IDS} == {False}


def test_withdrawal_under_way_is_confirmed_by_the_new_index(home: Home) -> None:
    """P3: gone from the old index says nothing of the new one."""
    engine = filled(home)
    reopen_incident(engine, "INC-1")
    sync_once(engine, wait=False)
    home.clock.forward(hours=1)
    other = with_another_index(home)

    report = sync_once(at(home, Place(OLD.documents, "knowledge base new"), stands_in=other))

    assert home.state("INC-1") == "withdrawn"
    assert other.knowledge_base.jobs(limit=1)[0].job_id == report.job_id


def test_withdrawal_under_way_ends_where_the_new_bucket_never_had_it(home: Home, elsewhere: Home) -> None:
    """What stands in the old bucket is a person's; in the new one there is nothing to withdraw."""
    engine = filled(home)
    delete_incident(engine, "INC-1")
    sync_once(engine, wait=False)

    sync_once(at(home, Place("bucket new", "knowledge base new"), stands_in=elsewhere))

    assert home.state("INC-1") == "none"
    assert len(elsewhere.listed()) == 2


def test_refused_by_the_old_knowledge_base_is_tried_in_the_new_one(tmp_path: Path) -> None:
    """A refusal was the old knowledge base's word; what cannot be read stays set aside."""
    home = a_home(tmp_path / "home", faults=LocalFaults(fail_keys=("INC-0",)))
    unreadable = an_incident(incident_id="INC-9", title={"x": b"\x00"})
    upsert_incidents(home.engine, [unreadable])
    filled(home)
    for _ in range(5):
        sync_once(at(home, OLD))
    assert (home.state("INC-0"), home.state("INC-9")) == ("quarantined", "quarantined")
    elsewhere = a_home(tmp_path / "elsewhere", clock=home.clock)

    report = sync_once(at(home, Place("bucket new", "knowledge base new"), stands_in=elsewhere))

    assert (report.indexed, home.state("INC-0"), home.state("INC-9")) == (3, "indexed", "quarantined")


@pytest.mark.parametrize("kills", [6, 30], ids=["left_half_way", "seen_through"])
def test_killed_pass_goes_on_and_the_way_back_looks_at_every_document(
    home: Home, elsewhere: Home, kills: int
) -> None:
    """Killed at each of many effects, then back in the old place: every document is proven there again."""
    filled(home)
    new = at(home, Place("bucket new", "knowledge base new"), stands_in=elsewhere)
    new = replace(new, policy=replace(new.policy, page_size=1))
    for n in range(1, kills + 1):
        home.clock.forward(minutes=10)
        with suppress(KilledError):
            sync_once(with_faults(new, Faults(at=n, before=KilledError)))
    home.clock.forward(minutes=10)
    half_way = not json.loads(home.ledger.read_value(PLACE))["done"]

    report = sync_once(at(home, OLD))

    assert half_way == (kills == 6)
    assert (report.status, report.indexed) == ("ok", 3)
    assert {home.state(each) for each in IDS} == {"indexed"}


def test_pass_stops_at_the_deadline_and_goes_on_with_the_next_run(home: Home, elsewhere: Home) -> None:
    """A function's time may be shorter than the pass: nothing is lost, and nothing is judged too early."""
    filled(home)
    new = at(home, Place("bucket new", "knowledge base new"), stands_in=elsewhere)

    first = sync_once(new, deadline=home.clock())
    second = sync_once(new)

    assert (first.published, first.failed) == (0, 0)
    assert (second.published, second.indexed) == (3, 3)
