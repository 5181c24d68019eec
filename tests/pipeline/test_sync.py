"""The main job, end to end on the local adapters: closed becomes searchable, and stays true."""

from collections.abc import Callable

import pytest

from builders import Home, a_home, an_incident
from kbsync.engine import Policy
from kbsync.errors import BusyError
from kbsync.model import Mark, State
from kbsync.pipeline.changes import (
    close_incident,
    delete_incident,
    reopen_incident,
    update_incident,
    upsert_incidents,
)
from kbsync.pipeline.pause import pause, resume
from kbsync.pipeline.plan import Action, plan_once
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform.rules import TransformRules

OpenHome = Callable[..., Home]


def test_closed_incident_becomes_searchable_and_says_so(home: Home) -> None:
    """P1 and P2: one run publishes, ingests, confirms, and only then says `synced: true`."""
    upsert_incidents(home.engine, [an_incident()])

    report = sync_once(home.engine)

    assert (report.status, report.published, report.indexed, report.pending) == ("ok", 1, 1, 0)
    assert home.state() == "indexed"
    assert home.map_of()["synced"] is True
    assert home.found("pool exhausted") == ["INC-1001"]


def test_open_incident_has_no_document(home: Home) -> None:
    """An open incident wants nothing, and leaves no record behind."""
    upsert_incidents(home.engine, [an_incident(status="OPEN")])

    report = sync_once(home.engine)

    assert (report.status, report.published) == ("ok", 0)
    assert home.keys() == set()
    assert home.state() == "none"


def test_second_run_without_changes_writes_nothing(home: Home) -> None:
    """P4: nothing is put, started or embedded again when nothing has changed."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    jobs_before = len(home.knowledge_base.jobs(limit=10))
    home.clock.forward(hours=1)

    report = sync_once(home.engine)

    assert (report.status, report.found, report.published, report.objects_written) == ("ok", 0, 0, 0)
    assert len(home.knowledge_base.jobs(limit=10)) == jobs_before


def test_o_34_touching_an_incident_without_changing_its_text_puts_nothing(home: Home) -> None:
    """O-34: no run time, attempt count or tool version is part of the bytes."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    home.clock.forward(hours=1)
    update_incident(home.engine, "INC-1001", {"assignee": "somebody"})

    report = sync_once(home.engine)

    assert (report.found, report.unchanged, report.objects_written) == (1, 1, 0)
    assert home.state() == "indexed"
    assert home.map_of()["synced"] is True


def test_edit_of_a_closed_incident_is_searchable_with_its_new_text(home: Home) -> None:
    """P1: the latest content is what is found, under the same key."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    update_incident(home.engine, "INC-1001", {"description": "Kernel oom killer took the proxy"})

    report = sync_once(home.engine)

    assert (report.published, report.indexed) == (1, 1)
    hit = home.knowledge_base.retrieve("oom killer", limit=1)[0]
    assert "Kernel oom killer" in hit.text
    assert len(home.keys()) == 2


def test_metadata_only_edit_puts_the_sidecar_alone(home: Home) -> None:
    """A changed severity changes no word of the body, so only the sidecar is put and nothing is embedded."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    body_etag = home.ledger.records(["INC-1001"])["INC-1001"].body_etag
    update_incident(home.engine, "INC-1001", {"severity": "low"})

    report = sync_once(home.engine)

    assert (report.published, report.metadata_only, report.objects_written) == (0, 1, 1)
    assert home.ledger.records(["INC-1001"])["INC-1001"].body_etag == body_etag
    assert home.found("pool", severity="low") == ["INC-1001"]
    assert home.state() == "indexed"


def test_o_29_reopened_incident_is_gone_and_returns_with_its_new_resolution(home: Home) -> None:
    """O-29 and P3: withdrawn when reopened, published anew when closed again."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    reopen_incident(home.engine, "INC-1001")

    first = sync_once(home.engine)

    assert (first.status, first.withdrawn) == ("ok", 1)
    assert home.found("pool exhausted") == []
    assert home.keys() == set()
    assert home.state() == "withdrawn"
    assert home.map_of()["synced"] is False

    close_incident(home.engine, "INC-1001", resolution={"description": "Replaced the proxy."})
    sync_once(home.engine)

    hit = home.knowledge_base.retrieve("pool exhausted", limit=1)[0]
    assert "Replaced the proxy." in hit.text
    assert "Raised the pool size" not in hit.text


def test_o_27_deleted_incident_is_withdrawn_and_its_neighbour_stays(home: Home) -> None:
    """O-27: what is removed at the source no longer answers."""
    upsert_incidents(home.engine, [an_incident(), an_incident(incident_id="INC-2", title="Disk full")])
    sync_once(home.engine)
    delete_incident(home.engine, "INC-1001")

    report = sync_once(home.engine)

    assert report.withdrawn == 1
    assert home.found("pool exhausted disk full") == ["INC-2"]
    record = home.ledger.records(["INC-1001"])["INC-1001"]
    assert record.state is State.WITHDRAWN
    assert record.expires_at is not None


def test_o_37_two_incidents_with_one_text_both_survive(home: Home) -> None:
    """O-37: identity is the table's key, never a shared reference or the text."""
    upsert_incidents(home.engine, [an_incident(incident_id="INC-1"), an_incident(incident_id="INC-2")])

    sync_once(home.engine)

    assert sorted(home.found("pool exhausted")) == ["INC-1", "INC-2"]
    delete_incident(home.engine, "INC-1")
    sync_once(home.engine)
    assert home.found("pool exhausted") == ["INC-2"]


def test_o_26_late_arrival_with_the_same_second_is_synced(home: Home) -> None:
    """O-26: discovery is by marks, so equal timestamps lose nothing."""
    upsert_incidents(home.engine, [an_incident(incident_id="A")])
    sync_once(home.engine)
    upsert_incidents(home.engine, [an_incident(incident_id="B")])

    report = sync_once(home.engine)

    assert (report.found, report.published) == (1, 1)
    assert home.state("B") == "indexed"


def test_o_39_changed_exclusion_is_reconsidered_without_touching_the_item(open_home: OpenHome) -> None:
    """O-39: a decision taken under an old setting is taken again, once."""
    home = open_home(rules=TransformRules(exclude=(("category", ("database",)),)))
    upsert_incidents(home.engine, [an_incident()])
    first = sync_once(home.engine)
    assert (first.excluded, home.state()) == (1, "excluded")

    home = open_home()
    second = sync_once(home.engine)
    third = sync_once(home.engine)

    assert (second.published, home.state()) == (1, "indexed")
    assert third.found == 0


def test_exclusion_withdraws_what_was_published(open_home: OpenHome) -> None:
    """P3: an incident that a new rule excludes disappears, and says which rule."""
    home = open_home()
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)

    home = open_home(rules=TransformRules(confidential=(("category", ("database",)),)))
    report = sync_once(home.engine)

    assert report.withdrawn == 1
    assert home.state() == "excluded"
    assert home.found("pool exhausted") == []
    assert "confidential" in home.ledger.records(["INC-1001"])["INC-1001"].reason


def test_changed_prefix_moves_the_document_once(open_home: OpenHome) -> None:
    """O-39: a document under an old key is withdrawn and published under the new one."""
    home = open_home()
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    home = open_home(rules=TransformRules(prefix="incidents/v2/"))

    for _ in range(3):
        report = sync_once(home.engine)

    assert home.keys() == {"incidents/v2/INC-1001.md", "incidents/v2/INC-1001.md.metadata.json"}
    assert home.state() == "indexed"
    assert (report.found, report.objects_written) == (0, 0)


def test_o_55_second_run_at_once_ends_as_busy_without_work(home: Home) -> None:
    """O-55: the loser says that another run is active; nothing is done twice."""
    upsert_incidents(home.engine, [an_incident()])
    lease = home.ledger.acquire_lease("publisher", "other", now=home.clock(), seconds=120, grace_seconds=60)

    with pytest.raises(BusyError):
        sync_once(home.engine)

    assert home.keys() == set()
    home.ledger.release_lease(lease)
    assert sync_once(home.engine).published == 1


def test_o_57_expired_lease_is_taken_over_and_the_old_holder_is_fenced(home: Home) -> None:
    """O-57: after expiry and grace another run works; the old generation can no longer write."""
    upsert_incidents(home.engine, [an_incident()])
    home.ledger.acquire_lease("publisher", "stalled", now=home.clock(), seconds=120, grace_seconds=60)
    home.clock.forward(seconds=181)

    report = sync_once(home.engine)

    assert report.indexed == 1
    assert home.ledger.records(["INC-1001"])["INC-1001"].generation == 2


def test_paused_run_does_nothing_until_resumed(home: Home) -> None:
    """A person's pause outranks the schedule."""
    upsert_incidents(home.engine, [an_incident()])
    pause(home.engine, reason="migration")

    paused = sync_once(home.engine)

    assert paused.messages == ("paused: migration",)
    assert home.keys() == set()
    resume(home.engine)
    assert sync_once(home.engine).published == 1


def test_dry_run_plans_and_writes_nothing(home: Home) -> None:
    """The plan names each incident and why; no adapter is written to."""
    upsert_incidents(home.engine, [an_incident(), an_incident(incident_id="INC-2", status="OPEN")])

    planned = {change.incident_id: change.action for change in plan_once(home.engine)}

    assert planned == {"INC-1001": Action.PUBLISH, "INC-2": Action.LOOK}
    assert home.keys() == set()
    assert home.ledger.runs(limit=1) == []


def test_run_without_waiting_leaves_confirmation_to_the_next(home: Home) -> None:
    """A run that may not wait starts the job; the next one confirms without a second put or job."""
    upsert_incidents(home.engine, [an_incident(incident_id=f"INC-{n}") for n in range(3)])

    first = sync_once(home.engine, wait=False)
    second = sync_once(home.engine)

    assert (first.status, first.published, first.objects_written) == ("ok", 3, 6)
    assert second.objects_written == 0
    assert len(home.knowledge_base.jobs(limit=10)) == 1
    assert [home.state(f"INC-{n}") for n in range(3)] == ["indexed"] * 3


def test_ingestion_none_confirms_by_the_document_store(open_home: OpenHome) -> None:
    """With `INGESTION=none`, synced means that the document store has it; gone, that it has not."""
    home = open_home(policy=Policy(ingestion="none"))
    upsert_incidents(home.engine, [an_incident()])

    published = sync_once(home.engine)

    assert (published.indexed, home.state(), home.map_of()["synced"]) == (1, "indexed", True)
    assert home.knowledge_base.jobs(limit=10) == []
    reopen_incident(home.engine, "INC-1001")
    sync_once(home.engine)
    assert (home.state(), home.keys()) == ("withdrawn", set())


def test_deadline_stops_between_pages_and_the_next_run_goes_on(open_home: OpenHome) -> None:
    """O-54: a run that has no time left says so; nothing is repeated by the next."""
    home = open_home(policy=Policy(page_size=2))
    upsert_incidents(home.engine, [an_incident(incident_id=f"INC-{n}") for n in range(5)])
    puts = []
    original = home.documents.put

    def counted(key: str, content: bytes, **more: str) -> object:
        puts.append(key)
        home.clock.forward(seconds=1)
        return original(key, content, **more)

    home.documents.put = counted  # type: ignore[method-assign, assignment]
    first = sync_once(home.engine, deadline=home.clock.at.replace(second=5))
    second = sync_once(home.engine)

    assert 0 < first.published < 5
    assert "deadline" in " ".join(first.messages)
    assert second.indexed == 5
    assert len(puts) == len(set(puts)) == 10


def test_a_home_is_the_same_after_reopening(open_home: OpenHome) -> None:
    """State is on disk: another process goes on where this one ended."""
    home = open_home()
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)

    assert open_home().state() == "indexed"
    assert a_home(home.folder).found("pool exhausted") == ["INC-1001"]


def test_mark_of_an_incident_that_never_was_leaves_nothing_after_one_run(home: Home) -> None:
    """Nothing is published and nothing is owed, so the record goes with the run that finds that out."""
    home.ledger.mark([Mark("INC-gone", home.clock())])

    report = sync_once(home.engine)

    assert (report.status, home.state("INC-gone")) == ("ok", "none")
