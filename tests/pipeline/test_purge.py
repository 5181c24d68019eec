"""Purge: nothing of the incident is left in any file of the home, it stays out, and that is certified."""

import itertools
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from builders import Home, TickingClock, a_home, an_incident
from faults import Faults, KilledError, with_faults
from kbsync.engine import Policy
from kbsync.errors import UnknownIncidentError, UsageError
from kbsync.local.faults import LocalFaults
from kbsync.model import State
from kbsync.pipeline.alerting import ALERTS
from kbsync.pipeline.changes import delete_incident, update_incident, upsert_incidents
from kbsync.pipeline.plan import Action, plan_once
from kbsync.pipeline.purge import Order, hold, look_at, purge, release
from kbsync.pipeline.purge_certificate import Certificate, Gone, keep_certificate, read_certificate
from kbsync.pipeline.purge_certificate import read_certificates as certificates
from kbsync.pipeline.purge_search import find_matches, read_patterns
from kbsync.pipeline.reconcile import reconcile
from kbsync.pipeline.sync import sync_once
from kbsync.ports import ObjectVersion, Page
from kbsync.views.question import Question
from kbsync.views.search import search_view
from kbsync.views.story import explain_view

SECRET = "Zyxwvu Quillfeather"
"""A customer's name that no detector knows: only a purge takes it out."""
ORDER = Order(incident_ids=("INC-1001",))


def purged(home: Home, *ids: str) -> Certificate:
    certificate, waiting = purge(home.engine, Order(incident_ids=ids), run=partial(sync_once, home.engine))
    assert waiting == ()
    return certificate


def files_with(folder: Path, text: str) -> list[str]:
    """Return the files in which one of the words stands, in any case: the word index folds it."""
    words = [word.lower().encode() for word in text.split()]
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and any(word in path.read_bytes().lower() for word in words)
    )


def filled(home: Home) -> None:
    """Three searchable incidents; the first names the customer, in a version before and in this one."""
    named = an_incident(title=f"Order of {SECRET}", tags=[SECRET])
    others = [an_incident(incident_id=f"INC-{number}") for number in (2, 3)]
    upsert_incidents(home.engine, [named, *others])
    sync_once(home.engine)
    update_incident(home.engine, "INC-1001", {"description": f"{SECRET} cannot pay."})
    sync_once(home.engine)
    assert files_with(home.folder, SECRET) != []


def test_deleted_and_purged_incident_leaves_no_trace_in_any_file_of_the_home(home: Home) -> None:
    filled(home)
    delete_incident(home.engine, "INC-1001")

    certificate = purged(home, "INC-1001")

    assert files_with(home.folder, SECRET) == []
    assert [each.incident_id for each in certificate.gone] == ["INC-1001"]
    assert home.listed() == {"incidents/INC-2.md", "incidents/INC-3.md"}


def test_item_that_its_owner_cleaned_leaves_no_trace_of_what_it_said(home: Home) -> None:
    """The item is the customer's and stays; all that kbsync made of its earlier text goes."""
    filled(home)
    update_incident(home.engine, "INC-1001", {"title": "Order", "description": "Cannot pay.", "tags": None})

    certificate = purged(home, "INC-1001")

    assert files_with(home.folder, SECRET) == []
    assert certificate.gone == (Gone("INC-1001", "incidents/INC-1001.md", 0, in_table=True),)


def test_vectors_and_words_of_the_others_stay(home: Home) -> None:
    filled(home)

    purged(home, "INC-1001")

    assert set(home.found("connections time out")) == {"INC-2", "INC-3"}
    with sqlite3.connect(home.folder / "knowledge_base.db") as file:
        assert file.execute("SELECT count(*) FROM embeddings").fetchone() == (1,)  # both have one text


def test_what_failures_said_of_it_goes_from_runs_alerts_jobs_and_its_own_map(
    home: Home, open_home: Callable[..., Home]
) -> None:
    """A refusal is told in the run, the job, the alert and the incident; a purge takes all four back."""
    failing = open_home(faults=LocalFaults(fail_keys=("INC-1001.md",)))
    upsert_incidents(failing.engine, [an_incident(), *(an_incident(incident_id=f"I-{n}") for n in range(6))])
    for _ in range(4):
        sync_once(failing.engine)
        failing.clock.forward(days=1)
    assert failing.state() == "quarantined"
    assert any("INC-1001" in line for line in failing.alerts())
    home.engine.alerts.send("kbsync: another", "INC-10012: refused")

    purged(open_home(), "INC-1001")

    assert [json.loads(line)["body"] for line in home.alerts()] == ["INC-10012: refused"]
    runs = home.ledger.runs(limit=100)
    assert not any(error.incident_id == "INC-1001" for run in runs for error in run.errors)
    assert [run.failed for run in runs if run.failed] == [1, 1, 1], "counts stay as they were"
    jobs = [home.knowledge_base.job(job.job_id) for job in home.knowledge_base.jobs(limit=100)]
    assert not any("INC-1001" in reason for job in jobs for reason in job.failure_reasons)
    assert dict(home.map_of()) == {"synced": False, "sync_attempts": 0}


def test_undelivered_message_that_names_it_is_dropped_and_others_stay(home: Home) -> None:
    filled(home)
    outbox = '{"lasting": {}, "outbox": [["a", "INC-1001: refused"], ["b", "INC-10012: refused"]]}'
    home.ledger.write_value(ALERTS, outbox)

    purge(home.engine, ORDER, run=lambda: _sync_keeping(home, outbox))

    assert [line.partition(": ")[2] for line in home.alerts()] == []
    assert home.ledger.read_value(ALERTS) == '{"lasting": {}, "outbox": [["b", "INC-10012: refused"]]}'


def _sync_keeping(home: Home, outbox: str) -> None:
    """Sync, with an alert channel that takes nothing."""
    home.ledger.write_value(ALERTS, "")
    sync_once(home.engine)
    home.ledger.write_value(ALERTS, outbox)


def test_half_written_files_of_killed_puts_go_too(home: Home) -> None:
    filled(home)
    (home.folder / "documents" / "incidents" / ".x1.part").write_text(SECRET, encoding="utf-8")
    delete_incident(home.engine, "INC-1001")

    purged(home, "INC-1001")

    assert files_with(home.folder, SECRET) == []


def test_purged_incident_stays_out_whatever_becomes_of_it(home: Home) -> None:
    """Edited, deleted and imported anew, looked at by reconcile: it is not published again."""
    filled(home)
    purged(home, "INC-1001")

    update_incident(home.engine, "INC-1001", {"title": "Another title"})
    planned = [change.action for change in plan_once(home.engine)]
    sync_once(home.engine)
    delete_incident(home.engine, "INC-1001")
    sync_once(home.engine)
    home.clock.forward(days=400)
    sync_once(home.engine)
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    survey = reconcile(home.engine)

    assert planned == [Action.LOOK]
    assert (home.state(), home.found("pool exhausted", incident_id="INC-1001")) == ("excluded", [])
    assert sum(survey.found.values()) == 0
    story = explain_view(home.engine, "INC-1001")
    assert story["reason"] == "purged: until `kbsync purge --release`"
    assert "purged" in story["wants"]


def test_held_incident_is_out_of_search_before_any_run(home: Home) -> None:
    filled(home)

    hold(home.engine, ["INC-1001"])

    view = search_view(home.engine, Question("order cannot pay"))
    assert "INC-1001" not in {hit["incident_id"] for hit in view["hits"]}
    assert {"incident_id": "INC-1001", "reason": "purged by a person"} in view["left_out"]


def test_release_publishes_it_again(home: Home) -> None:
    filled(home)
    purged(home, "INC-1001")

    release(home.engine, ["INC-1001"])
    sync_once(home.engine)

    assert home.state() == "indexed"
    with pytest.raises(UnknownIncidentError, match="INC-1001 is not purged"):
        release(home.engine, ["INC-1001"])
    with pytest.raises(UnknownIncidentError):
        release(home.engine, ["INC-never"])


def test_set_aside_and_open_incidents_are_purged_like_any_other(home: Home) -> None:
    """A quarantined one with its old text still there, and one that was never closed."""
    filled(home)
    upsert_incidents(
        home.engine,
        [an_incident(title={"not": "a text"}), an_incident(incident_id="INC-open", status="OPEN")],
    )
    for _ in range(home.engine.policy.max_attempts):
        sync_once(home.engine)
        home.clock.forward(days=1)
    assert home.state() == "quarantined"

    certificate = purged(home, "INC-1001", "INC-open")

    assert len(certificate.gone) == 2
    assert (home.state(), home.state("INC-open")) == ("excluded", "excluded")
    assert home.documents.head("incidents/INC-1001.md") is None


def test_killed_before_any_effect_a_repeat_ends_it(tmp_path: Path) -> None:
    """P7: the process dies before its n-th effect beside the sync, for every n there is."""
    count = itertools.count(1)
    finished = False
    while not finished:
        step = next(count)
        clock = TickingClock()
        home = a_home(tmp_path / str(step), clock=clock)
        upsert_incidents(home.engine, [an_incident()])
        sync_once(home.engine)
        faults = Faults(at=step, before=KilledError)
        faulty = with_faults(home.engine, faults)
        try:
            purge(faulty, ORDER, run=partial(sync_once, home.engine))
        except KilledError:
            home = a_home(tmp_path / str(step), clock=clock)
            clock.forward(hours=1)
        else:
            finished = True
        assert len(purged(home, "INC-1001").gone) == 1, (step, faults.log)
        assert home.state() == "excluded"
        assert home.keys() | home.listed() == set()
    assert "documents.forget" in faults.log


def test_what_is_not_confirmed_gone_is_held_and_not_certified(
    home: Home, open_home: Callable[..., Home]
) -> None:
    """The knowledge base does nothing: the incident waits, and the same call goes on later."""
    filled(home)
    stuck = open_home(faults=LocalFaults(zero_scan=True))

    certificate, waiting = purge(stuck.engine, ORDER, run=partial(sync_once, stuck.engine))

    assert (certificate.gone, waiting, stuck.state()) == ((), ("INC-1001",), "withdrawing")
    stuck.clock.forward(hours=1)
    assert [each.incident_id for each in purged(open_home(), "INC-1001").gone] == ["INC-1001"]


def test_run_while_nobody_ingests_needs_no_word_of_the_knowledge_base(
    open_home: Callable[..., Home],
) -> None:
    """With `INGESTION=none` the document store is all there is."""
    home = open_home(policy=Policy(ingestion="none"))
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)

    assert len(purged(home, "INC-1001").gone) == 1
    assert home.keys() == set()


def test_look_says_what_would_go_and_writes_nothing(home: Home) -> None:
    filled(home)

    (found,) = look_at(home.engine, ["INC-1001"])

    assert (found.state, found.in_table, found.versions, found.listed) == (State.INDEXED, True, 2, True)
    assert home.state() == "indexed"
    with pytest.raises(UnknownIncidentError):
        list(look_at(home.engine, ["INC-never"]))


def test_patterns_find_items_old_documents_and_records(home: Home) -> None:
    """In the item as it is now, in a document that an unreadable edit left, in a reason; not elsewhere."""
    filled(home)
    nested = an_incident(incident_id="INC-4", cline_work={"notes": [{"who": "Ann"}, b"of Quillfeather"]})
    upsert_incidents(home.engine, [nested, an_incident(title={"not": "a text"})])
    home.documents.put("incidents/stray.md", SECRET.encode(), fingerprint="", incident_id="", if_etag="")

    plain = find_matches(home.engine, read_patterns(["", "Quillfeather\n"]))
    regular = find_matches(home.engine, read_patterns(["re:Zyx[a-z]+ Q"]))
    none = find_matches(home.engine, read_patterns(["quillfeather"]))

    assert (set(plain.order.incident_ids), plain.stray_keys) == (
        {"INC-1001", "INC-4"},
        ("incidents/stray.md",),
    )
    assert set(regular.order.incident_ids) == {"INC-1001"}
    assert (none.order.incident_ids, none.stray_keys) == ((), ())


def test_pattern_in_a_note_of_the_ledger_is_found(home: Home) -> None:
    filled(home)
    home.ledger.write_value("x", "")

    found = find_matches(home.engine, read_patterns(["its document is being replaced"]))

    assert found.order.incident_ids == ("INC-1001",), "only it was edited"


def test_pattern_is_stored_and_printed_as_a_hash_only(home: Home) -> None:
    filled(home)
    order = find_matches(home.engine, read_patterns([SECRET])).order
    delete_incident(home.engine, "INC-1001")

    certificate, _ = purge(home.engine, order, run=partial(sync_once, home.engine))

    assert SECRET not in str(certificate.as_map())
    assert files_with(home.folder, SECRET) == []
    # SHA-256 of the text, by `printf %s 'Zyxwvu Quillfeather' | sha256sum`.
    stored = read_certificate(home.engine, certificate.certificate_id)
    assert stored == certificate.as_map()
    assert stored["patterns_sha256"] == order.patterns_sha256


@pytest.mark.parametrize("lines", [[], ["", "  "], ["re:("]], ids=["empty", "blank", "no-expression"])
def test_pattern_file_without_a_pattern_is_wrong_usage(lines: list[str]) -> None:
    with pytest.raises(UsageError):
        read_patterns(lines)


def test_certificates_are_kept_whole_in_parts_the_newest_first(home: Home) -> None:
    gone = tuple(Gone(f"I-{number}", f"incidents/I-{number}.md", 1, in_table=False) for number in range(250))
    first = Certificate(certificate_id="purge-1", at=home.clock(), gone=gone)
    keep_certificate(home.engine, first)
    keep_certificate(home.engine, Certificate(certificate_id="purge-2", at=home.clock()))

    assert read_certificate(home.engine, "purge-1") == first.as_map()
    assert [(each["certificate"], each["incidents"]) for each in certificates(home.engine)] == [
        ("purge-2", 0),
        ("purge-1", 250),
    ]
    assert read_certificate(home.engine, "purge-3") is None


def test_what_the_knowledge_base_knows_again_is_not_certified(home: Home) -> None:
    """Confirmed gone, and then listed anew: only what is seen to be gone at the end is certified."""
    filled(home)

    def run_and_list_it_again() -> None:
        sync_once(home.engine)
        home.documents.put(
            "incidents/INC-1001.md", b"# again", fingerprint="", incident_id="INC-1001", if_etag=""
        )
        job = home.knowledge_base.start_job(description="", client_token="x" * 33)
        while not home.knowledge_base.job(job.job_id).status.is_final:
            pass

    certificate, waiting = purge(home.engine, ORDER, run=run_and_list_it_again)

    assert (certificate.gone, waiting) == ((), ())
    assert home.documents.head("incidents/INC-1001.md") is None


def test_search_goes_through_every_page_and_past_what_goes_meanwhile(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kbsync.pipeline.purge_search.PAGE", 1)
    monkeypatch.setattr("kbsync.pipeline.purge.VERSIONS_PAGE", 1)
    filled(home)
    present = find_matches(home.engine, read_patterns(["Raised the pool size"])).order.incident_ids

    def gone(version: ObjectVersion) -> bytes:
        raise KeyError(version.key)

    monkeypatch.setattr(home.documents, "version", gone)
    absent = find_matches(home.engine, read_patterns(["## "])).order.incident_ids

    assert (set(present), absent) == ({"INC-1001", "INC-2", "INC-3"}, ())
    assert len(purged(home, "INC-2").gone) == 1


class WithMarker:
    """A document store whose versions hold the trace of a deletion, as those of a bucket do."""

    def __init__(self, store: object) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def versions(self, *, begins: str, cursor: str, limit: int) -> Page[ObjectVersion]:
        page = self._store.versions(begins=begins, cursor=cursor, limit=limit)  # type: ignore[attr-defined]
        return replace(page, items=(ObjectVersion("incidents/GONE.md", "1", is_marker=True), *page.items))


def test_trace_of_a_deletion_holds_no_text_to_search(home: Home) -> None:
    """A delete marker has no bytes: it is passed over, and what is beside it is found."""
    filled(home)
    engine = replace(home.engine, documents=WithMarker(home.documents))  # type: ignore[arg-type] # the port

    found = find_matches(engine, read_patterns(["Quillfeather"]))

    assert found.order.incident_ids == ("INC-1001",)
