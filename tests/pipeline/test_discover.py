"""Discovery: what no writer marks is found by the index or one full pass; what is marked needs neither."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from builders import Home, an_incident
from kbsync.engine import Policy
from kbsync.errors import UnavailableError
from kbsync.model import State
from kbsync.pipeline.changes import upsert_incidents
from kbsync.pipeline.discover import MARKING, turn_marking_on
from kbsync.pipeline.plan import plan_once
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform.rules import TransformRules

OpenHome = Callable[..., Home]


def written_by_another(home: Home, *items: dict[str, object]) -> None:
    for item in items:
        home.incidents.put_as_other_writer(item)


def test_o_09_index_is_paged_to_its_end(open_home: OpenHome) -> None:
    """O-09: fifty synced incidents that sort first do not starve ten unsynced ones."""
    home = open_home(policy=Policy(page_size=20))
    done = [an_incident(incident_id=f"A-{n:02}") for n in range(50)]
    written_by_another(home, *done)
    sync_once(home.engine)
    written_by_another(home, *[an_incident(incident_id=f"B-{n}") for n in range(10)])

    report = sync_once(home.engine)

    assert (report.found, report.published, report.indexed) == (10, 10, 10)


def test_foreign_true_without_a_record_counts_as_unsynced(home: Home) -> None:
    """The old function's `synced: true` proves nothing: no record of ours stands behind it."""
    written_by_another(
        home, an_incident(kb_sync_status={"synced": True, "synced_at": "2025-01-01T00:00:00Z"})
    )

    assert sync_once(home.engine).indexed == 1


def test_reopening_by_another_writer_is_found_in_the_configured_statuses(open_home: OpenHome) -> None:
    """O-29 without marks: the other configured statuses are looked through for records we hold."""
    home = open_home(policy=Policy(other_statuses=("REOPENED",)))
    written_by_another(home, an_incident(), an_incident(incident_id="INC-2"))
    sync_once(home.engine)
    written_by_another(home, an_incident(status="REOPENED"))

    report = sync_once(home.engine)

    assert (report.withdrawn, home.state()) == (1, "withdrawn")
    assert sync_once(home.engine).found == 0


def test_full_pass_after_marking_was_turned_on_finds_what_was_there_before(home: Home) -> None:
    """DISCOVERY=auto: one pass over the base table, then the queue alone."""
    written_by_another(home, an_incident(), an_incident(incident_id="INC-2", status="OPEN"))
    turn_marking_on(home.engine, table_is_empty=False)

    first = sync_once(home.engine)
    written_by_another(home, an_incident(incident_id="INC-3"))
    second = sync_once(home.engine)

    assert (first.indexed, second.found) == (1, 0)
    assert json.loads(home.ledger.read_value(MARKING))["passed"] is True


def test_marking_from_an_empty_table_needs_no_pass(home: Home) -> None:
    """A new home marks everything from birth; turning it on twice changes nothing."""
    turn_marking_on(home.engine, table_is_empty=True)
    turn_marking_on(home.engine, table_is_empty=False)

    marking = json.loads(home.ledger.read_value(MARKING))
    assert marking == {"on": True, "passed": True, "cursor": "", "closed": ["CLOSED"]}
    upsert_incidents(home.engine, [an_incident()])
    assert sync_once(home.engine).indexed == 1


def test_idle_run_with_marking_reads_no_incident(home: Home) -> None:
    """P4: an idle run is one query per queue stage and shard, whatever the history."""
    turn_marking_on(home.engine, table_is_empty=True)
    upsert_incidents(home.engine, [an_incident(incident_id=f"INC-{n}") for n in range(5)])
    sync_once(home.engine)
    asked: list[str] = []

    def watched(port: object) -> object:
        class Watched:
            def __getattr__(self, name: str) -> object:
                value = getattr(port, name)
                if callable(value):
                    asked.append(name)
                return value

        return Watched()

    engine = replace(
        home.engine,
        incidents=watched(home.incidents),  # type: ignore[arg-type]
        documents=watched(home.documents),  # type: ignore[arg-type]
        knowledge_base=watched(home.knowledge_base),  # type: ignore[arg-type]
        ledger=watched(home.ledger),  # type: ignore[arg-type]
    )
    sync_once(engine)

    assert asked.count("due") == 2
    assert not {"read", "scan", "list_by_status", "put", "head", "jobs", "documents", "mark"} & set(asked)


def test_queue_mode_never_reads_the_index(open_home: OpenHome) -> None:
    """DISCOVERY=queue: what nobody marks is left to reconcile."""
    home = open_home(policy=Policy(discovery="queue"))
    written_by_another(home, an_incident())

    assert sync_once(home.engine).found == 0


def test_index_mode_reads_it_even_where_marking_is_on(open_home: OpenHome) -> None:
    """DISCOVERY=index: the index is paged in each run."""
    home = open_home(policy=Policy(discovery="index"))
    turn_marking_on(home.engine, table_is_empty=True)
    written_by_another(home, an_incident())

    assert sync_once(home.engine).indexed == 1


def test_quarantined_incident_is_not_read_as_new_by_the_index(home: Home) -> None:
    """A quarantined incident stays unsynced in the index; looking again neither fails nor releases it."""
    written_by_another(home, an_incident(title={"x": b"1"}), an_incident(incident_id="INC-2"))
    for _ in range(3):
        sync_once(home.engine)
    assert home.state() == "quarantined"

    report = sync_once(home.engine)

    assert (report.status, report.failed, home.state()) == ("ok", 0, "quarantined")


def test_deadline_in_discovery_goes_on_from_the_cursor(open_home: OpenHome) -> None:
    """A pass that runs out of time keeps its place."""
    home = open_home(policy=Policy(page_size=1))
    written_by_another(home, *[an_incident(incident_id=f"INC-{n}") for n in range(4)])
    turn_marking_on(home.engine, table_is_empty=False)
    scan, scanned = home.incidents.scan, []

    def slow(*, cursor: str, limit: int) -> object:
        scanned.append(cursor)
        home.clock.forward(seconds=20)
        return scan(cursor=cursor, limit=limit)

    home.incidents.scan = slow  # type: ignore[method-assign, assignment]
    sync_once(home.engine, deadline=home.clock.at.replace(second=30))
    sync_once(home.engine)

    assert len(scanned) == len(set(scanned)) == 4
    assert {home.state(f"INC-{n}") for n in range(4)} == {"indexed"}


def test_deadline_in_the_index_goes_on_from_the_cursor(open_home: OpenHome) -> None:
    """The index cursor is kept between runs, and dropped at the end of the index."""
    home = open_home(policy=Policy(page_size=1))
    written_by_another(home, *[an_incident(incident_id=f"INC-{n}") for n in range(4)])
    real, listed = home.incidents.list_by_status, []

    def slow(status: str, *, cursor: str, limit: int) -> object:
        listed.append(cursor)
        home.clock.forward(seconds=20)
        return real(status, cursor=cursor, limit=limit)

    home.incidents.list_by_status = slow  # type: ignore[method-assign, assignment]
    sync_once(home.engine, deadline=home.clock.at.replace(second=30))
    sync_once(home.engine)

    assert len(listed) == len(set(listed)) == 4
    assert home.ledger.read_value("index_cursor:CLOSED") == ""


@pytest.mark.parametrize("language", ["es", "en"])
def test_o_39_changed_template_setting_rebuilds_each_document_once(
    open_home: OpenHome, language: str
) -> None:
    """O-39: documents made with another setting are rebuilt once and only once."""
    home = open_home()
    upsert_incidents(home.engine, [an_incident(incident_id=f"INC-{n}") for n in range(3)])
    sync_once(home.engine)
    home = open_home(rules=TransformRules(document_language=language))

    first, second = sync_once(home.engine), sync_once(home.engine)

    assert (first.published, second.found) == ((0, 0) if language == "es" else (3, 0))
    assert {r.state for r in home.ledger.records(["INC-0", "INC-1", "INC-2"]).values()} == {State.INDEXED}


def test_lowered_shard_count_strands_no_entry(open_home: OpenHome) -> None:
    """Readers cover the highest count of shards ever stored."""
    home = open_home(policy=Policy(shards=8))
    sync_once(home.engine)
    upsert_incidents(home.engine, [an_incident(incident_id=f"INC-{n}") for n in range(20)])
    home = open_home(policy=Policy(shards=1))

    planned = {change.incident_id for change in plan_once(home.engine)}
    report = sync_once(home.engine)

    assert (len(planned), report.indexed, report.pending) == (20, 20, 0)


def test_status_that_becomes_a_closed_one_is_looked_for_once(open_home: OpenHome) -> None:
    """P1, O-39: incidents of a status that counted as open are found when the setting changes."""
    home = open_home()
    turn_marking_on(home.engine, table_is_empty=True)
    upsert_incidents(home.engine, [an_incident(), an_incident(incident_id="INC-2", status="RESOLVED")])
    sync_once(home.engine)
    both = ("CLOSED", "RESOLVED")
    home = open_home(policy=Policy(closed_statuses=both), rules=TransformRules(closed_statuses=both))

    first, second = sync_once(home.engine), sync_once(home.engine)

    assert (first.indexed, second.found, home.state("INC-2")) == (1, 0, "indexed")


def test_table_that_cannot_be_listed_does_not_stop_what_is_marked(open_home: OpenHome) -> None:
    """O-28: an outage of the listing leaves additions going through; the run says what was wrong."""
    home = open_home(policy=Policy(discovery="index"))
    upsert_incidents(home.engine, [an_incident()])

    def down(*_: object, **__: object) -> object:
        raise UnavailableError("no answer")

    home.incidents.list_by_status = down  # type: ignore[method-assign, assignment]

    report = sync_once(home.engine)

    assert (report.indexed, report.status) == (1, "degraded")
    assert report.messages == ("the incidents could not be listed: no answer",)
