"""Reconcile where it is hard: names that tell no id, JSON records, pages, pauses and rivals."""

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from test_reconcile import (
    edit_silently,
    filled,
    found,
    ids_of,
    key_of,
    put_stranger,
    remove,
    run_job,
    until_quiet,
)

from builders import Home, a_home, an_incident
from kbsync.engine import Policy
from kbsync.knowledge import DocumentInfo
from kbsync.model import Mark, Save, State, sidecar_key
from kbsync.pipeline import reconcile as module
from kbsync.pipeline import reconcile_look
from kbsync.pipeline.changes import reopen_incident
from kbsync.pipeline.lease import holding_lease
from kbsync.pipeline.reconcile import reconcile
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.ports import Page

JSON_RULES = TransformRules(json_records_prefix="records/")


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every listing be read two at a time."""
    for place, name in (
        (module, "LISTING_PAGE"), (module, "RECORDS_PAGE"), (reconcile_look, "RECORDS_PAGE"),
    ):  # fmt: skip
        monkeypatch.setattr(place, name, 2)


def put_ours(home: Home, key: str, content: bytes = b"{}") -> None:
    home.documents.put(key, content, fingerprint="f" * 64, incident_id="", if_etag="")


@pytest.mark.usefixtures("small_pages")
def test_pages_of_two_find_the_same_as_one_large_page(tmp_path: Path) -> None:
    """What stands on the edge of a page is found once: a sidecar's document may be on the page before."""
    home = a_home(tmp_path / "home", policy=Policy(page_size=1))
    filled(home, ids_of("inc", 5))
    for each in ids_of("gone", 3):
        put_ours(home, key_of(each))
        put_ours(home, sidecar_key(key_of(each)))
    put_ours(home, sidecar_key(key_of("ALONE")))
    remove(home, key_of("INC-4"))

    survey = reconcile(home.engine)

    assert found(survey) == {"missing": 1, "orphan": 4}
    assert sorted(survey.samples["orphan"]) == ["ALONE", *ids_of("gone", 3)]
    assert (survey.compared["incidents"], survey.compared["objects"]) == (5, 16)


@pytest.mark.usefixtures("small_pages")
def test_ids_that_no_key_shows_are_told_by_sidecar_or_ledger(home: Home) -> None:
    """A key made of a hash is traced to its incident before anything is called a stranger's."""
    names = ["lower case", "caída", "otro más"]
    filled(home, names)
    key = home.engine.transform.document_key
    remove(home, sidecar_key(key("lower case")))
    home.incidents.delete_as_other_writer("caída")

    survey = reconcile(home.engine, repair=True)
    until_quiet(home)

    assert found(survey) == {"sidecar_lost": 1, "orphan": 1}
    assert home.keys() == {
        each for name in ("lower case", "otro más") for each in (key(name), sidecar_key(key(name)))
    }
    assert found(reconcile(home.engine)) == {}


def test_our_object_that_nobody_can_be_named_for_is_only_reported(home: Home) -> None:
    """Without an id no incident can be read, and so nothing is deleted."""
    filled(home, ["INC-1"])
    nameless = home.engine.transform.document_key("some lower case id")
    strange = {
        nameless: b"# text",
        "incidents/photo.pdf": b"%PDF",
        "incidents/list.md.metadata.json": b"[]",
        "incidents/odd name.md.metadata.json": b'{"metadataAttributes": []}',
        "incidents/other name.md.metadata.json": b'{"metadataAttributes": {"incident_id": "INC-1"}}',
    }
    for key, content in strange.items():
        put_ours(home, key, content)
    put_ours(home, "elsewhere/INC-1.md")

    survey = reconcile(home.engine, repair=True)
    until_quiet(home)

    assert found(survey) == {"foreign": 5}
    assert set(survey.samples["foreign"]) == {key.removesuffix(".metadata.json") for key in strange}
    assert home.keys() >= strange.keys()


def test_json_records_are_compared_with_their_documents(tmp_path: Path) -> None:
    """A lost one is put again, a lone one goes, and one beside a leftover counts with that."""
    home = a_home(tmp_path / "home", rules=JSON_RULES)
    filled(home, ["INC-1", "INC-2", "one more"])
    remove(home, "records/INC-1.json")
    put_ours(home, "records/GONE.json")
    hashed = home.engine.transform.json_key("gone too")
    put_ours(home, hashed, json.dumps({"incident_id": "gone too"}).encode())
    for key in (key_of("LEFT"), "records/LEFT.json"):
        put_ours(home, key)
    expected = home.keys() - {"records/GONE.json", hashed, key_of("LEFT"), "records/LEFT.json"}

    survey = reconcile(home.engine, repair=True)
    until_quiet(home)

    assert found(survey) == {"stale": 1, "orphan": 3}
    assert home.keys() == expected | {"records/INC-1.json"}
    assert found(reconcile(home.engine)) == {}


def test_without_ingestion_the_knowledge_base_is_not_asked(tmp_path: Path) -> None:
    """With INGESTION=none somebody else indexes: what the knowledge base lists is none of our business."""
    home = a_home(tmp_path / "home", policy=Policy(ingestion="none"))
    filled(home, ["INC-1"])

    survey = reconcile(home.engine)

    assert (survey.ended, found(survey), survey.compared["documents"]) == (True, {}, 0)


def test_ghost_that_is_being_withdrawn_is_in_work(home: Home) -> None:
    """A document deleted a moment ago is listed until a job has run; its record knows of it."""
    filled(home, ["INC-1"])
    reopen_incident(home.engine, "INC-1")
    sync_once(home.engine, wait=False)

    survey = reconcile(home.engine)

    assert (home.keys(), home.listed()) == (set(), {key_of("INC-1")})
    assert (found(survey), survey.in_work) == ({}, 1)


def test_ghost_that_is_gone_at_the_second_look_is_none(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing may lag: each document is asked for by its key before it is counted."""
    filled(home, ["INC-1"])
    ghost = put_stranger(home, "GHOST")
    run_job(home)
    ghost.unlink()
    old = home.knowledge_base.list_documents(cursor="", limit=100)
    run_job(home)
    monkeypatch.setattr(home.knowledge_base, "list_documents", lambda **_: cast("Page[DocumentInfo]", old))

    survey = reconcile(home.engine)

    assert found(survey) == {}


def test_record_that_moves_meanwhile_is_left_to_the_next_time(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that works on an incident between two reads makes no difference of its own."""
    filled(home, ["INC-1"])
    remove(home, key_of("INC-1"))
    records, reads = home.ledger.records, []

    def marking(incident_ids: list[str]) -> object:
        reads.append(incident_ids)
        if len(reads) == 3:
            home.ledger.mark([Mark("INC-1", home.clock())])
        return records(incident_ids)

    monkeypatch.setattr(home.ledger, "records", marking)

    survey = reconcile(home.engine)

    assert found(survey) == {}


def test_empty_listing_of_incidents_deletes_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that ends early is no proof: each incident is read by its id."""
    filled(home, ids_of("inc", 3))
    before = home.keys()
    monkeypatch.setattr(home.incidents, "scan", lambda **_: Page(()))

    survey = reconcile(home.engine, repair=True)
    until_quiet(home)

    assert (found(survey), home.keys()) == ({}, before)


def test_quarantined_incident_whose_document_came_back_loses_it_and_stays(home: Home) -> None:
    """What a quarantine has withdrawn must stay gone: the document goes, the quarantine does not end."""
    filled(home, ["INC-1"])
    quarantine(home, "INC-1")
    put_ours(home, key_of("INC-1"))

    survey = reconcile(home.engine, repair=True)
    until_quiet(home)

    assert found(survey) == {"orphan": 1}
    assert (home.keys(), home.state("INC-1")) == (set(), "quarantined")


def quarantine(home: Home, incident_id: str) -> None:
    """Quarantine an incident as after a refusal: withdrawn first, then set aside."""
    edit_silently(home, incident_id, kb_sync_status={"synced": False})
    record = home.ledger.records([incident_id])[incident_id]
    for key in (key_of(incident_id), sidecar_key(key_of(incident_id))):
        remove(home, key)
    run_job(home)
    set_aside = replace(record, state=State.QUARANTINED, fingerprint="", body_etag="", sidecar_etag="")
    home.ledger.save([Save(set_aside, "")])


def test_closed_incident_of_another_writer_is_published_after_repair(home: Home) -> None:
    """What nobody marked and no discovery looks for becomes searchable."""
    filled(home, ["INC-1"])
    home.incidents.put_as_other_writer(an_incident(incident_id="INC-2", title="Unmarked"))

    reconcile(home.engine, repair=True)
    until_quiet(home)

    assert home.state("INC-2") == "indexed"
    assert home.map_of("INC-2")["synced"] is True


def test_excluded_and_unreadable_incidents_rest_where_the_publisher_left_them(tmp_path: Path) -> None:
    """A rule's exclusion and a quarantine are states to rest in; a rule added since is a difference."""
    folder, broken = tmp_path / "home", an_incident(incident_id="BROKEN", description={"not": "a text"})
    home = a_home(folder, policy=Policy(max_attempts=1))
    filled(home, ["INC-1"])
    home.incidents.put_as_other_writer(broken)
    reconcile(home.engine, repair=True)
    until_quiet(home)
    settled, state = reconcile(home.engine), home.state("BROKEN")

    barred = a_home(folder, rules=TransformRules(exclude=(("category", ("database",)),)), clock=home.clock)
    by_rule = reconcile(barred.engine)
    until_quiet(barred)

    assert (state, found(settled)) == ("quarantined", {})
    assert found(by_rule) == {"orphan": 1, "unsettled": 1}
    assert found(reconcile(barred.engine)) == {}


def test_no_question_is_asked_where_nothing_differs(home: Home) -> None:
    """Incidents that are as they should be are not read a second time, and no lease is taken for them."""
    filled(home, ["INC-1"])

    with holding_lease(home.engine, "a run"):
        survey = reconcile(home.engine, repair=True)

    assert (survey.ended, found(survey)) == (True, {})


@pytest.mark.usefixtures("small_pages")
def test_objects_outside_our_prefixes_are_not_even_listed(tmp_path: Path) -> None:
    """Runs' own pages and other people's objects cost no page; JSON records, under their prefix, do count."""
    home = a_home(tmp_path / "home", rules=TransformRules(json_records_prefix="json/"))
    filled(home, ["INC-1"])
    for key in ("archive/other.md", "json/GONE.json", "runs/1.json", "runs/1.md", "zoo/other.md"):
        put_ours(home, key)

    survey = reconcile(home.engine)

    assert survey.compared["objects"] == 4, "document, sidecar and JSON record, and the record left behind"
    assert found(survey) == {"orphan": 1}
    assert survey.samples["orphan"] == ["GONE"]
