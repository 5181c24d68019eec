"""Failures: one bad incident stays alone, an outage blames nobody, nothing is retried for ever."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from builders import Home, an_incident
from kbsync.engine import Policy
from kbsync.errors import AccessDeniedError, RedactionFailedError, ThrottledError, UnavailableError
from kbsync.local.faults import LocalFaults
from kbsync.model import Mark, State, StoredIncident, SyncStatus
from kbsync.pipeline import changes
from kbsync.pipeline.changes import (
    reopen_incident,
    retry_incidents,
    update_incident,
    upsert_incidents,
)
from kbsync.pipeline.sync import sync_once
from kbsync.ports import Noted

OpenHome = Callable[..., Home]
POISON = {"x": b"\x00\x01"}


def many(count: int, **changes: object) -> list[dict[str, object]]:
    return [an_incident(**{"incident_id": f"INC-{n}", "title": f"Case {n}", **changes}) for n in range(count)]


def test_o_30_one_unreadable_incident_fails_alone(home: Home) -> None:
    """O-30: nine of ten are indexed in the same run; the tenth is named with its reason."""
    items = many(10)
    items[2]["title"] = POISON
    upsert_incidents(home.engine, items)

    report = sync_once(home.engine)

    assert (report.status, report.indexed, report.failed) == ("degraded", 9, 1)
    assert report.errors[0].incident_id == "INC-2"
    assert "title" in report.errors[0].error
    assert home.map_of("INC-2")["last_sync_error"] == report.errors[0].error


def test_o_40_poison_is_quarantined_after_three_attempts_and_released_by_an_edit(home: Home) -> None:
    """O-40: at most N attempts, listed, alerted once, released by itself when its content changes."""
    items = many(3)
    items[0]["title"] = POISON
    upsert_incidents(home.engine, items)

    statuses = [sync_once(home.engine).status for _ in range(5)]

    assert statuses == ["degraded", "failed", "failed", "ok", "ok"]
    record = home.ledger.records(["INC-0"])["INC-0"]
    assert (record.state, record.attempts, record.queue) == (State.QUARANTINED, 3, "")
    assert home.map_of("INC-0")["sync_attempts"] == 3
    assert sum("quarantined" in line for line in home.alerts()) == 1

    update_incident(home.engine, "INC-0", {"title": "Readable now"})
    report = sync_once(home.engine)

    assert (report.indexed, home.state("INC-0")) == (1, "indexed")
    assert home.ledger.records(["INC-0"])["INC-0"].attempts == 0


def test_retry_releases_a_quarantined_incident(home: Home) -> None:
    """One command gives the attempts back; the same failure uses them up again."""
    upsert_incidents(home.engine, [*many(2), an_incident(title=POISON)])
    for _ in range(3):
        sync_once(home.engine)
    assert home.state() == "quarantined"

    assert retry_incidents(home.engine, None) == 1
    sync_once(home.engine)

    record = home.ledger.records(["INC-1001"])["INC-1001"]
    assert (record.state, record.attempts) == (State.PENDING, 1)


def test_marked_again_without_a_change_stays_quarantined(home: Home) -> None:
    """A mark alone does not release: the same bytes would fail again."""
    upsert_incidents(home.engine, [*many(2), an_incident(title=POISON)])
    for _ in range(3):
        sync_once(home.engine)
    home.ledger.mark([Mark("INC-1001", home.clock())])

    report = sync_once(home.engine)

    assert (report.found, report.failed, home.state()) == (1, 0, "quarantined")


def test_unreadable_edit_keeps_the_last_good_document_and_says_unsynced(home: Home) -> None:
    """The last good document stays found, shown as stale; the incident no longer says synced."""
    upsert_incidents(home.engine, [*many(3), an_incident()])
    sync_once(home.engine)
    update_incident(home.engine, "INC-1001", {"title": POISON})
    for _ in range(3):
        sync_once(home.engine)

    assert home.state() == "quarantined"
    assert "INC-1001" in home.found("pool exhausted")
    assert home.map_of()["synced"] is False

    update_incident(home.engine, "INC-1001", {"title": "Pool exhausted on orders-db"})
    report = sync_once(home.engine)

    assert (report.objects_written, home.state(), home.map_of()["synced"]) == (0, "indexed", True)


@pytest.mark.parametrize(
    "status",
    [None, {"synced": None}, {"synced": "false"}, "pending", {"sync_attempts": "2"}, {"synced": True}],
    ids=["missing", "null", "text", "string_map", "odd_attempts", "foreign_true"],
)
def test_o_10_o_14_whatever_stands_in_the_map_counts_as_unsynced(home: Home, status: object) -> None:
    """O-10 and O-14: no form of the map blocks the incident or its failure note."""
    upsert_incidents(home.engine, [an_incident(kb_sync_status=status), *many(2)])

    sync_once(home.engine)

    assert home.map_of()["synced"] is True


@pytest.mark.parametrize("status", [None, {"NULL": True}, "pending", {"sync_attempts": "2"}])
def test_o_10_failure_note_is_written_whatever_the_map_was(home: Home, status: object) -> None:
    """O-10: the failure path replaces the whole map, so it cannot fail on its parent."""
    upsert_incidents(home.engine, [an_incident(title=POISON, kb_sync_status=status), *many(2)])

    report = sync_once(home.engine)

    assert report.indexed == 2
    assert home.map_of()["sync_attempts"] == 1
    assert home.map_of()["synced"] is False


def test_o_35_all_failing_is_told_apart_from_nothing_to_do(home: Home) -> None:
    """O-35: five of five fail: failed, alerted, nobody blamed; nothing to do: ok."""
    assert sync_once(home.engine).status == "ok"
    upsert_incidents(home.engine, many(5, title=POISON))

    report = sync_once(home.engine)

    assert (report.status, report.failed) == ("failed", 5)
    assert "5 of 5" in " ".join(report.messages)
    assert len(home.alerts()) == 1
    assert {r.attempts for r in home.ledger.records([f"INC-{n}" for n in range(5)]).values()} == {0}


@pytest.mark.parametrize("error", [UnavailableError("no answer"), ThrottledError("slow down")])
def test_o_33_outage_of_the_document_store_costs_no_attempt(home: Home, error: Exception) -> None:
    """O-33: the run stops early after a few refusals, one alert, and all are synced when it is over."""
    upsert_incidents(home.engine, many(20))
    put, calls = home.documents.put, []

    def refused(key: str, *_: object, **__: object) -> None:
        calls.append(key)
        raise error

    home.documents.put = refused  # type: ignore[method-assign, assignment]
    statuses = [sync_once(home.engine).status for _ in range(4)]
    assert statuses == ["degraded"] * 4
    assert len(calls) == 4 * 5
    assert len(home.alerts()) == 1
    assert {r.attempts for r in home.ledger.records([f"INC-{n}" for n in range(20)]).values()} == {0}

    home.documents.put = put  # type: ignore[method-assign]
    report = sync_once(home.engine)

    assert (report.status, report.indexed) == ("ok", 20)
    assert [sync_once(home.engine).status for _ in range(2)] == ["ok", "ok"]
    assert len(home.alerts()) == 2


def test_missing_permission_ends_the_run_and_blames_nobody(home: Home) -> None:
    """A fatal error stops at once; what was done stands, and the entry is still due."""
    upsert_incidents(home.engine, many(3))

    def denied(*_: object, **__: object) -> None:
        raise AccessDeniedError("no permission to write")

    put = home.documents.put
    home.documents.put = denied  # type: ignore[method-assign, assignment]
    with pytest.raises(AccessDeniedError):
        sync_once(home.engine)

    home.documents.put = put  # type: ignore[method-assign]
    assert sync_once(home.engine).indexed == 3


def test_o_31_lost_reply_of_a_put_is_recognised_as_ours(home: Home) -> None:
    """O-31: put done, reply lost: the next run finds its own fingerprint and puts nothing twice."""
    upsert_incidents(home.engine, [an_incident()])
    put, calls = home.documents.put, []

    def lost(key: str, content: bytes, **more: str) -> object:
        reply = put(key, content, **more)
        calls.append(key)
        if len(calls) == 1:
            raise UnavailableError("reply lost")
        return reply

    home.documents.put = lost  # type: ignore[method-assign, assignment]
    first = sync_once(home.engine)
    second = sync_once(home.engine)

    assert (first.published, first.pending) == (0, 1)
    assert (second.published, second.objects_written, home.state()) == (1, 1, "indexed")


def test_foreign_object_under_our_key_is_replaced_after_a_second_look(home: Home) -> None:
    """Desired state wins under our prefix, on an ETag that was known before the incident was read."""
    upsert_incidents(home.engine, [an_incident()])
    key = home.engine.transform.document_key("INC-1001")
    home.documents.put(key, b"# old\n", fingerprint="", incident_id="x", if_etag="")

    report = sync_once(home.engine)

    assert (report.status, report.published) == ("ok", 1)
    assert home.documents.get(key).startswith(b"# Pool exhausted")


def test_left_behind_document_of_an_open_incident_is_found_and_withdrawn(home: Home) -> None:
    """A kill before the ledger knew leaves an object; the mark of the reopening makes the run look for it."""
    key = home.engine.transform.document_key("INC-1001")
    upsert_incidents(home.engine, [an_incident(status="OPEN")])
    home.documents.put(key, b"# old\n", fingerprint="f", incident_id="INC-1001", if_etag="")

    report = sync_once(home.engine)

    assert (report.withdrawn, home.keys(), home.state()) == (1, set(), "withdrawn")


def test_object_that_vanished_is_put_again(home: Home) -> None:
    """An edit of an incident whose objects somebody removed publishes both anew."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    record = home.ledger.records(["INC-1001"])["INC-1001"]
    home.documents.delete(record.document_key, if_etag=record.body_etag)
    update_incident(home.engine, "INC-1001", {"description": "New text entirely"})

    report = sync_once(home.engine)

    assert (report.published, home.state()) == (1, "indexed")
    assert len(home.keys()) == 2


def test_object_that_changed_under_a_withdrawal_is_still_removed(home: Home) -> None:
    """A delete on a stale ETag looks again and then removes what stands."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    record = home.ledger.records(["INC-1001"])["INC-1001"]
    home.documents.put(
        record.document_key, b"# x\n", fingerprint="", incident_id="x", if_etag=record.body_etag
    )
    update_incident(home.engine, "INC-1001", {"status": "REOPENED"})

    sync_once(home.engine)

    assert (home.keys(), home.state()) == (set(), "withdrawn")


def test_incident_that_changes_while_it_is_unsynced_is_looked_at_again(home: Home) -> None:
    """The status write is conditional on what was read; a lost race is read again in the same run."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    update_incident(home.engine, "INC-1001", {"description": "First edit"})
    write, raced = home.incidents.write_sync_statuses, []

    def racing(writes: object) -> list[Noted]:
        if not raced:
            raced.append(1)
            stored = home.incidents.read(["INC-1001"])["INC-1001"]
            home.incidents.put_as_other_writer({**stored.attributes, "description": "Second edit"})
        return write(writes)  # type: ignore[arg-type]

    home.incidents.write_sync_statuses = racing  # type: ignore[method-assign]
    sync_once(home.engine)

    assert "Second edit" in home.knowledge_base.retrieve("edit", limit=1)[0].text


def test_o_38_later_incidents_are_synced_while_one_keeps_failing(home: Home) -> None:
    """O-38: no cursor is pinned by a failing incident."""
    upsert_incidents(home.engine, [an_incident(title=POISON)])
    for n in range(4):
        upsert_incidents(home.engine, [an_incident(incident_id=f"NEW-{n}")])
        assert sync_once(home.engine).indexed == 1


def test_o_36_failed_run_between_loses_no_change(home: Home) -> None:
    """O-36: a mark made during a run survives that run and a failed one after it."""
    upsert_incidents(home.engine, many(2))
    documents, asked = home.knowledge_base.documents, []

    def marking(keys: object) -> object:
        if not asked:
            asked.append(1)
            update_incident(home.engine, "INC-1", {"description": "changed after it was read"})
        return documents(keys)  # type: ignore[arg-type]

    home.knowledge_base.documents = marking  # type: ignore[method-assign, assignment]
    sync_once(home.engine)
    jobs = home.knowledge_base.jobs
    home.knowledge_base.jobs = _unavailable  # type: ignore[method-assign, assignment]
    assert sync_once(home.engine).status == "degraded"
    home.knowledge_base.jobs = jobs  # type: ignore[method-assign]

    sync_once(home.engine)

    assert "changed after it was read" in home.knowledge_base.retrieve("changed after read", limit=1)[0].text
    assert home.map_of("INC-1")["synced"] is True


def _unavailable(*_: object, **__: object) -> None:
    raise UnavailableError("503")


def test_refused_document_is_quarantined_and_its_old_version_withdrawn(open_home: OpenHome) -> None:
    """A rejection by the knowledge base withdraws the live document: it must not answer with the old text."""
    home = open_home()
    upsert_incidents(home.engine, [an_incident(), *many(4)])
    sync_once(home.engine)
    home = open_home(faults=LocalFaults(fail_keys=("INC-1001",)))
    update_incident(home.engine, "INC-1001", {"description": "A text the parser does not like"})

    reports = [sync_once(home.engine) for _ in range(3)]

    assert [r.failed for r in reports] == [1, 1, 1]
    assert "FAILED" in reports[0].errors[0].error
    assert home.state() == "withdrawing"
    sync_once(open_home().engine)
    assert home.state() == "quarantined"
    assert "INC-1001" not in home.found("pool exhausted")
    assert home.map_of()["synced"] is False


def test_retry_of_everything_releases_what_is_on_its_way_into_quarantine(
    open_home: OpenHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set aside or about to be: both are tried again; a withdrawal of another reason goes on as it was."""
    monkeypatch.setattr(changes, "RETRY_PAGE", 1)
    home = open_home()
    upsert_incidents(home.engine, [an_incident(), *many(4)])
    sync_once(home.engine)
    home = open_home(faults=LocalFaults(fail_keys=("INC-1001",)))
    update_incident(home.engine, "INC-1001", {"description": "A text the parser does not like"})
    update_incident(home.engine, "INC-0", {"title": POISON})
    for _ in range(3):
        sync_once(home.engine)
    reopen_incident(home.engine, "INC-1")
    sync_once(home.engine, wait=False)
    assert (home.state(), home.state("INC-0"), home.state("INC-1")) == (
        "withdrawing",
        "quarantined",
        "withdrawing",
    )
    update_incident(open_home().engine, "INC-0", {"title": "Readable"})

    released = retry_incidents(home.engine, None)
    home = open_home()
    for _ in range(2):
        sync_once(home.engine)

    assert released == 2
    assert (home.state(), home.state("INC-0"), home.state("INC-1")) == ("indexed", "indexed", "withdrawn")


def test_redaction_failure_withdraws_the_live_document(home: Home) -> None:
    """P6: where redaction cannot run, nothing stays published of the edit's incident."""
    upsert_incidents(home.engine, [an_incident(), *many(4)])
    sync_once(home.engine)
    update_incident(home.engine, "INC-1001", {"description": "whatever"})
    transform, real = home.engine.transform, home.engine.transform.desired

    class Failing:
        def __getattr__(self, name: str) -> object:
            return getattr(transform, name)

        def desired(self, stored: object) -> object:
            if getattr(stored, "incident_id", "") == "INC-1001":
                raise RedactionFailedError("a detector failed")
            return real(stored)  # type: ignore[arg-type]

    engine = replace(home.engine, transform=Failing())  # type: ignore[arg-type]
    sync_once(engine)

    assert home.state() == "quarantined"
    assert "INC-1001" not in home.found("pool exhausted")
    assert home.keys() == {
        k for n in range(4) for k in (f"incidents/INC-{n}.md", f"incidents/INC-{n}.md.metadata.json")
    }


def test_hole_in_the_transform_is_one_incidents_trouble(home: Home) -> None:
    """An unexpected error names its class, never the incident's text, and stops nobody else."""
    upsert_incidents(home.engine, [an_incident(), *many(2)])
    transform, real = home.engine.transform, home.engine.transform.desired

    class Holed:
        def __getattr__(self, name: str) -> object:
            return getattr(transform, name)

        def desired(self, stored: object) -> object:
            if getattr(stored, "incident_id", "") == "INC-1001":
                raise ValueError("secret text of the incident")
            return real(stored)  # type: ignore[arg-type]

    report = sync_once(replace(home.engine, transform=Holed()))  # type: ignore[arg-type]

    assert report.errors[0].error == "the incident could not be rendered (ValueError)"
    assert report.indexed == 2


DIES_ON_INC_3 = """
import os, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from builders import a_home, NOON, TickingClock
from datetime import datetime, UTC
from kbsync.pipeline.sync import sync_once
home = a_home(Path(sys.argv[1]), clock=TickingClock(datetime.fromisoformat(sys.argv[3])))
transform, real = home.engine.transform, home.engine.transform.desired
class Deadly:
    def __getattr__(self, name): return getattr(transform, name)
    def desired(self, stored):
        if stored.incident_id == "INC-3": os.kill(os.getpid(), 9)
        return real(stored)
from dataclasses import replace
sync_once(replace(home.engine, transform=Deadly()))
"""


@pytest.mark.slow
def test_incident_that_kills_the_process_is_isolated_and_quarantined(open_home: OpenHome) -> None:
    """A record that kills the process ends alone in quarantine; its page's neighbours are published.

    Slow: ten processes, each of which dies.
    """
    home = open_home()
    upsert_incidents(home.engine, many(6))
    for _ in range(10):
        command = [sys.executable, "-c", DIES_ON_INC_3, str(home.folder), str(Path(__file__).parents[1])]
        subprocess.run([*command, home.clock().isoformat()], check=False, env=dict(os.environ))
        home.clock.forward(minutes=10)
        if home.state("INC-3") == "quarantined":
            break

    assert home.state("INC-3") == "quarantined"
    assert [home.state(f"INC-{n}") for n in (0, 1, 2, 4, 5)] == ["indexed"] * 5


def test_backoff_grows_and_is_bounded(open_home: OpenHome) -> None:
    """A failing incident waits longer after each attempt; the run between does not touch it."""
    home = open_home(policy=Policy(backoff_seconds=300))
    upsert_incidents(home.engine, [*many(2), an_incident(title=POISON)])
    sync_once(home.engine)

    assert sync_once(home.engine).found == 0
    home.clock.forward(seconds=301)
    assert sync_once(home.engine).failed == 1
    home.clock.forward(seconds=301)
    assert sync_once(home.engine).found == 0
    home.clock.forward(seconds=300)
    assert sync_once(home.engine).quarantined == 1


def test_undeliverable_alert_never_fails_the_run(home: Home) -> None:
    """O-58: a refused alert shows in the report and repeats nothing."""
    upsert_incidents(home.engine, [*many(2), an_incident(title=POISON)])

    class Deaf:
        def send(self, subject: str, body: str) -> None:
            raise UnavailableError(f"{subject} {body}")

    report = sync_once(replace(home.engine, alerts=Deaf()))

    assert report.indexed == 2
    assert "an alert could not be delivered: UnavailableError" in report.messages


def refusing_the_map_of(home: Home, incident_id: str) -> None:
    """Let the table take no `kb_sync_status` on one item, as DynamoDB does where 400 KB are full."""
    write = home.incidents.write_sync_statuses

    def full(writes: Sequence[tuple[StoredIncident, SyncStatus]]) -> list[Noted]:
        written = iter(write([each for each in writes if each[0].incident_id != incident_id]))
        return [Noted.REFUSED if read.incident_id == incident_id else next(written) for read, _ in writes]

    home.incidents.write_sync_statuses = full  # type: ignore[method-assign]


def test_item_without_room_for_the_map_is_set_aside_after_its_attempts(home: Home) -> None:
    """It can never say `synced: true`: counted as its own failure, searchable all the same, others go on."""
    upsert_incidents(home.engine, [*many(3), an_incident()])
    refusing_the_map_of(home, "INC-1001")

    reports = [sync_once(home.engine) for _ in range(4)]

    assert [(each.indexed, each.failed) for each in reports] == [(3, 1), (0, 1), (0, 1), (0, 0)]
    record = home.ledger.records(["INC-1001"])["INC-1001"]
    assert (record.state, record.attempts, record.queue) == (State.QUARANTINED, 3, "")
    assert "400 KB" in record.reason
    assert (reports[1].objects_written, home.found("pool exhausted")[0]) == (0, "INC-1001")


def test_document_is_not_replaced_while_its_incident_cannot_stop_saying_synced(home: Home) -> None:
    """P2: `synced: true` must not stand beside another content; the edit fails as its own."""
    upsert_incidents(home.engine, [*many(3), an_incident()])
    sync_once(home.engine)
    refusing_the_map_of(home, "INC-1001")
    update_incident(home.engine, "INC-1001", {"description": "edited"})

    report = sync_once(home.engine)

    assert (report.failed, report.objects_written) == (1, 0)
    assert "400 KB" in report.errors[0].error


def test_withdrawal_goes_on_although_the_incident_cannot_stop_saying_synced(home: Home) -> None:
    """P3: what must go goes, whatever the item can say."""
    upsert_incidents(home.engine, [*many(3), an_incident()])
    sync_once(home.engine)
    refusing_the_map_of(home, "INC-1001")
    update_incident(home.engine, "INC-1001", {"status": "OPEN"})

    report = sync_once(home.engine)

    assert (report.failed, report.withdrawn, home.state()) == (0, 1, "withdrawn")
