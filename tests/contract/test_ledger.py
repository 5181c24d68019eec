"""The Ledger port's contract, sentence by sentence, over every adapter named in the fixture."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aws_tables import AwsTables, SettableClock
from kbsync.errors import BusyError, LeaseLostError
from kbsync.local.database import LocalDatabase
from kbsync.local.ledger import LocalLedger
from kbsync.model import Lease, Mark, Save, SaveOutcome, Stage, State, SyncRecord, Transition
from kbsync.ports import Ledger
from kbsync.queueing import due_at, due_until, queue_name
from kbsync.run_report import RunError, RunReport

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)


@pytest.fixture
def clock() -> SettableClock:
    """The time by which an adapter that has a clock knows what has expired."""
    return SettableClock(NOON)


@pytest.fixture(params=["local", "aws"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path, clock: SettableClock) -> Iterator[Ledger]:
    """One adapter over an empty table."""
    if request.param == "local":
        database = LocalDatabase(tmp_path / "kbsync.db")
        yield LocalLedger(database, tmp_path / "leases", 1)
        database.close()
    else:
        request.getfixturevalue("ministack")
        tables = AwsTables(clock=clock)
        yield tables.ledger
        tables.close()


def stored(ledger: Ledger, incident_id: str = "INC-1") -> SyncRecord:
    """Return one record that must be there."""
    return ledger.records([incident_id])[incident_id]


def saved(ledger: Ledger, record: SyncRecord) -> None:
    """Write a record over whatever stands."""
    held = ledger.records([record.incident_id]).get(record.incident_id)
    outcome = ledger.save([Save(record, held.due if held else "")])
    assert outcome == [SaveOutcome.SAVED]


def queued(incident_id: str, at: datetime, stage: Stage = Stage.PUBLISH) -> SyncRecord:
    """Return a record with a place in a queue."""
    return SyncRecord(
        incident_id=incident_id, queue=queue_name(stage, incident_id, 1), due=due_at(at), pending_since=at
    )


def take(ledger: Ledger, owner: str, now: datetime) -> Lease:
    """Take the lease for two minutes with a minute's grace."""
    return ledger.acquire_lease("publisher", owner, now=now, seconds=120, grace_seconds=60)


FULL = SyncRecord(
    incident_id="INC-1",
    state=State.INDEXED,
    target=State.EXCLUDED,
    reason="why",
    source_version="v1",
    document_key="incidents/INC-1.md",
    fingerprint="f",
    body_hash="b",
    sidecar_hash="s",
    body_etag="be",
    sidecar_etag="se",
    rendered_by="template=1",
    published_at=NOON,
    indexed_at=LATER,
    ingestion_job_id="job",
    attempts=2,
    refused=True,
    queue="confirm#0",
    due="2026-03-10T12:00:00.000000Z#ab",
    pending_since=NOON,
    searchable_seconds=12.5,
    incident_exists=False,
    purged_at=NOON,
    expires_at=LATER,
    generation=7,
    redactions=(("jwt", 2),),
    notes=("a note", "ñ"),
    transitions=(Transition(NOON, "run-1", State.PUBLISHED, "because"),),
)


def test_record_comes_back_with_every_attribute(ledger: Ledger) -> None:
    """What is written is what is read; nothing about a record is lost."""
    saved(ledger, FULL)

    assert stored(ledger) == FULL
    assert ledger.records(["INC-1", "INC-2"]).keys() == {"INC-1"}


def test_mark_of_an_unknown_incident_creates_a_pending_record(ledger: Ledger) -> None:
    """The first mark makes the record, due at the mark's time."""
    ledger.mark([Mark("INC-1", NOON)])

    record = stored(ledger)
    assert (record.state, record.queue, record.pending_since) == (State.PENDING, "publish#0", NOON)
    assert record.due.startswith("2026-03-10T12:00:00")


def test_mark_that_may_not_create_leaves_no_record(ledger: Ledger) -> None:
    """A mark with `create` false wants a record that exists."""
    ledger.mark([Mark("INC-1", NOON, create=False)])

    assert ledger.records(["INC-1"]) == {}


def test_mark_keeps_state_and_content_and_stops_expiry(ledger: Ledger) -> None:
    """Only the queue attributes change; a marked tombstone no longer expires."""
    saved(ledger, FULL)

    ledger.mark([Mark("INC-1", LATER, create=False)])

    record = stored(ledger)
    assert record == replace(FULL, queue="publish#0", due=record.due, expires_at=None)
    assert record.due.startswith("2026-03-10T12:05:00")


def test_each_mark_has_a_due_of_its_own(ledger: Ledger) -> None:
    """Two marks of one moment can be told apart."""
    ledger.mark([Mark("INC-1", NOON)])
    first = stored(ledger).due
    ledger.mark([Mark("INC-1", NOON), Mark("INC-1", NOON)])

    assert stored(ledger).due != first
    assert stored(ledger).pending_since == NOON


def test_reset_mark_releases_from_quarantine(ledger: Ledger) -> None:
    """Attempts come back, the state is pending again, and the story says so."""
    saved(ledger, SyncRecord(incident_id="INC-1", state=State.QUARANTINED, reason="bad", attempts=3))

    ledger.mark([Mark("INC-1", NOON, create=False, reset=True)])

    record = stored(ledger)
    assert (record.state, record.attempts, record.queue) == (State.PENDING, 0, "publish#0")
    assert record.transitions[-1] == Transition(NOON, "", State.PENDING, "retry requested")


def test_mark_in_doubt_forgets_the_fingerprint_and_nothing_else(ledger: Ledger) -> None:
    """Whoever saw that an object may be another lets the publisher look, without holding its lease."""
    saved(ledger, FULL)

    ledger.mark([Mark("INC-1", LATER, doubt=True)])

    record = stored(ledger)
    unmarked = replace(FULL, fingerprint="", expires_at=None)
    assert (record.queue, record.due > FULL.due) == ("publish#0", True)
    assert replace(record, queue=FULL.queue, due=FULL.due) == unmarked


def test_mark_in_doubt_of_an_unknown_incident_creates_a_pending_record(ledger: Ledger) -> None:
    """What was put too late for an incident that the ledger has forgotten is looked for all the same."""
    ledger.mark([Mark("INC-1", NOON, doubt=True)])

    assert (stored(ledger).state, stored(ledger).queue) == (State.PENDING, "publish#0")


def test_mark_of_a_deletion_is_remembered_and_a_later_mark_leaves_it(ledger: Ledger) -> None:
    """Somebody's deletion is told from a mere absence, whoever marks next; the rest stays."""
    saved(ledger, FULL)

    ledger.mark([Mark("INC-1", LATER, create=False, deleted=True)])
    ledger.mark([Mark("INC-1", LATER)])

    record = stored(ledger)
    assert (record.deleted, record.queue) == (True, "publish#0")
    assert replace(record, queue=FULL.queue, due=FULL.due) == replace(FULL, deleted=True, expires_at=None)


def test_mark_of_a_deletion_creates_nothing_where_nothing_is_known(ledger: Ledger) -> None:
    """An incident of which nothing was published leaves no record behind."""
    ledger.mark([Mark("INC-1", NOON, create=False, deleted=True)])

    assert ledger.records(["INC-1"]) == {}


def test_purge_mark_is_remembered_with_its_moment_until_a_release(ledger: Ledger) -> None:
    """A person's word outlives every later mark; a second purge leaves the first moment."""
    unpurged = replace(FULL, purged_at=None)
    saved(ledger, unpurged)

    ledger.mark([Mark("INC-1", LATER, purge=True)])
    ledger.mark([Mark("INC-1", NOON, purge=True)])
    ledger.mark([Mark("INC-1", LATER)])
    held = stored(ledger)
    ledger.mark([Mark("INC-1", LATER, create=False, purge=False)])

    assert (held.purged_at, held.queue, held.state) == (LATER, "publish#0", FULL.state)
    assert stored(ledger).purged_at is None
    assert replace(stored(ledger), queue=FULL.queue, due=FULL.due) == replace(unpurged, expires_at=None)


def test_purge_mark_of_an_unknown_incident_creates_a_record_that_is_held(ledger: Ledger) -> None:
    """What was never published may not be published later either."""
    ledger.mark([Mark("INC-1", NOON, purge=True)])

    assert (stored(ledger).purged_at, stored(ledger).state) == (NOON, State.PENDING)


def test_save_after_a_purge_mark_keeps_the_purge(ledger: Ledger) -> None:
    """A run that read the record before does not publish over a person's word."""
    read = queued("INC-1", NOON)
    saved(ledger, read)
    ledger.mark([Mark("INC-1", LATER, purge=True)])

    outcome = ledger.save([Save(replace(read, state=State.PUBLISHED, queue="", due=""), read.due)])

    assert outcome == [SaveOutcome.MARKED_MEANWHILE]
    assert (stored(ledger).purged_at, stored(ledger).state) == (LATER, State.PUBLISHED)


def test_reset_mark_changes_the_end_of_a_withdrawal_into_quarantine(ledger: Ledger) -> None:
    """A retry asked for before the withdrawal is over is not lost."""
    saved(ledger, SyncRecord(incident_id="INC-1", state=State.WITHDRAWING, target=State.QUARANTINED))

    ledger.mark([Mark("INC-1", NOON, create=False, reset=True)])

    assert (stored(ledger).state, stored(ledger).target) == (State.WITHDRAWING, State.PENDING)


def test_save_after_a_newer_mark_keeps_the_mark(ledger: Ledger) -> None:
    """Content is written, the queue entry made meanwhile survives (DESIGN.md section 3)."""
    ledger.mark([Mark("INC-1", NOON)])
    read = stored(ledger)
    ledger.mark([Mark("INC-1", LATER)])
    marked = stored(ledger)
    done = replace(read, state=State.INDEXED, fingerprint="f", queue="", due="", pending_since=None)

    assert ledger.save([Save(done, read.due)]) == [SaveOutcome.MARKED_MEANWHILE]

    record = stored(ledger)
    assert (record.state, record.fingerprint) == (State.INDEXED, "f")
    assert (record.queue, record.due, record.pending_since) == (marked.queue, marked.due, NOON)


def test_save_of_an_older_generation_is_fenced(ledger: Ledger) -> None:
    """A publisher that was replaced writes nothing."""
    saved(ledger, SyncRecord(incident_id="INC-1", generation=2, fingerprint="new"))
    late = SyncRecord(incident_id="INC-1", generation=1, fingerprint="old")

    assert ledger.save([Save(late, "")]) == [SaveOutcome.FENCED]
    assert ledger.drop([Save(late, "")]) == [SaveOutcome.FENCED]

    assert stored(ledger).fingerprint == "new"


def test_save_of_a_record_that_is_gone_is_fenced(ledger: Ledger) -> None:
    """Somebody forgot the record after it was read: it is not brought back."""
    outcome = ledger.save([Save(SyncRecord(incident_id="INC-1"), "2026-03-10T12:00:00.000000Z#ab")])

    assert outcome == [SaveOutcome.FENCED]
    assert ledger.records(["INC-1"]) == {}


def test_saves_have_one_outcome_each_in_order(ledger: Ledger) -> None:
    """One record's condition does not touch another's."""
    ledger.mark([Mark("INC-1", NOON), Mark("INC-2", NOON)])
    one, two = stored(ledger, "INC-1"), stored(ledger, "INC-2")
    ledger.mark([Mark("INC-1", LATER)])

    outcomes = ledger.save([Save(one, one.due), Save(two, two.due)])

    assert outcomes == [SaveOutcome.MARKED_MEANWHILE, SaveOutcome.SAVED]


def test_drop_forgets_a_record_unless_it_was_marked_meanwhile(ledger: Ledger) -> None:
    """The condition is the due that was read; dropping what is not there is done already."""
    ledger.mark([Mark("INC-1", NOON), Mark("INC-2", NOON)])
    one, two = stored(ledger, "INC-1"), stored(ledger, "INC-2")
    ledger.mark([Mark("INC-2", LATER)])

    outcomes = ledger.drop([Save(one, one.due), Save(two, two.due), Save(SyncRecord(incident_id="X"), "")])

    assert outcomes == [SaveOutcome.SAVED, SaveOutcome.MARKED_MEANWHILE, SaveOutcome.SAVED]
    assert ledger.records(["INC-1", "INC-2"]).keys() == {"INC-2"}


def test_due_lists_the_oldest_first_within_its_bounds(ledger: Ledger) -> None:
    """After is exclusive, until inclusive, other queues and settled records are not listed."""
    for n in range(5):
        saved(ledger, queued(f"INC-{n}", NOON + timedelta(minutes=n)))
    saved(ledger, queued("INC-8", NOON, Stage.CONFIRM))
    saved(ledger, SyncRecord(incident_id="INC-9"))
    until = due_until(NOON + timedelta(minutes=3))

    first = ledger.due("publish#0", until=until, after="", limit=2)
    rest = ledger.due("publish#0", until=until, after=first[-1].due, limit=10)

    assert [entry.incident_id for entry in first] == ["INC-0", "INC-1"]
    assert [entry.incident_id for entry in rest] == ["INC-2", "INC-3"]
    assert first[0].due == stored(ledger, "INC-0").due
    assert ledger.due("", until=until, after="", limit=10) == []


def test_records_are_listed_in_pages_all_or_by_state(ledger: Ledger) -> None:
    """Each record once, whatever the page size."""
    for n in range(5):
        state = State.QUARANTINED if n % 2 else State.INDEXED
        saved(ledger, SyncRecord(incident_id=f"INC-{n}", state=state))

    def listed(state: State | None) -> list[str]:
        found, cursor = [], ""
        while True:
            page = ledger.list_records(state=state, cursor=cursor, limit=2)
            found += [record.incident_id for record in page.items]
            cursor = page.cursor
            if not cursor:
                return sorted(found)

    assert listed(None) == [f"INC-{n}" for n in range(5)]
    assert listed(State.QUARANTINED) == ["INC-1", "INC-3"]


def test_counts_part_records_from_tombstones(ledger: Ledger) -> None:
    """Records of deleted incidents are counted apart (DESIGN.md section 3)."""
    assert ledger.count_records() == ({}, 0)
    for n, exists in enumerate([True, True, False]):
        saved(ledger, SyncRecord(incident_id=f"INC-{n}", state=State.INDEXED, incident_exists=exists))
    saved(ledger, SyncRecord(incident_id="INC-7", state=State.PENDING))

    assert ledger.count_records() == ({State.INDEXED: 2, State.PENDING: 1}, 1)


def test_oldest_pending_is_over_both_queues(ledger: Ledger) -> None:
    """What waits longest, in whichever queue; settled records wait for nothing."""
    assert ledger.oldest_pending() is None
    saved(ledger, queued("INC-1", LATER))
    saved(ledger, queued("INC-2", NOON, Stage.CONFIRM))

    assert ledger.oldest_pending() == NOON


def test_values_are_written_on_condition(ledger: Ledger) -> None:
    """Only what was expected is replaced; an empty value removes."""
    assert ledger.read_value("x") == ""
    assert ledger.write_value("x", "1", expected="")
    assert not ledger.write_value("x", "2", expected="")
    assert ledger.read_value("x") == "1"
    assert ledger.write_value("x", "3", expected="1")
    assert ledger.write_value("x", "4")
    assert ledger.read_value("x") == "4"
    assert ledger.write_value("x", "")
    assert ledger.read_value("x") == ""


def test_run_records_are_replaced_by_id_and_listed_newest_first(ledger: Ledger) -> None:
    """A run's record is written many times while it goes on."""
    first = RunReport(run_id="a", started_at=NOON, page=("INC-1",), isolated=True)
    second = RunReport(run_id="b", started_at=LATER, errors=(RunError("INC-2", "why"),), messages=("m",))
    ledger.save_run(first)
    ledger.save_run(second)
    ended = replace(first, status="ok", ended_at=LATER, page=())
    ledger.save_run(ended)

    assert ledger.runs(limit=5) == [second, ended]
    assert ledger.runs(limit=1) == [second]


def test_tombstones_go_when_their_time_has_come(ledger: Ledger, clock: SettableClock) -> None:
    """A withdrawn record of a deleted incident leaves the ledger by itself, not before."""
    saved(ledger, SyncRecord(incident_id="INC-1", incident_exists=False, expires_at=NOON))
    saved(ledger, SyncRecord(incident_id="INC-2", incident_exists=False, expires_at=LATER))

    clock.at = NOON + timedelta(seconds=1)
    ledger.save_run(RunReport(run_id="a", started_at=clock.at))

    assert ledger.records(["INC-1", "INC-2"]).keys() == {"INC-2"}
    assert [each.incident_id for each in ledger.list_records(state=None, cursor="", limit=9).items] == [
        "INC-2"
    ]
    assert ledger.count_records() == ({}, 1)


def test_second_owner_finds_the_lease_busy(ledger: Ledger) -> None:
    """One publisher at a time; the error names who and until when."""
    first = take(ledger, "run-1", NOON)

    with pytest.raises(BusyError, match="run-1"):
        take(ledger, "run-2", NOON + timedelta(seconds=179))

    assert (first.generation, first.forced, first.expires_at) == (1, False, NOON + timedelta(seconds=120))


def test_released_lease_is_free_at_once(ledger: Ledger) -> None:
    """A clean hand-over is not a forced one; the generation rises."""
    ledger.release_lease(take(ledger, "run-1", NOON))

    second = take(ledger, "run-2", NOON)

    assert (second.generation, second.forced) == (2, False)


def test_silent_holder_is_replaced_after_expiry_and_grace(ledger: Ledger) -> None:
    """The taker knows that the old holder may still be alive; the old holder learns that it is not ours."""
    first = take(ledger, "run-1", NOON)

    second = take(ledger, "run-2", NOON + timedelta(seconds=180))

    assert (second.generation, second.forced) == (2, True)
    with pytest.raises(LeaseLostError):
        ledger.renew_lease(first, now=NOON + timedelta(seconds=181), seconds=120)
    ledger.release_lease(first)
    with pytest.raises(BusyError, match="run-2"):
        take(ledger, "run-3", NOON + timedelta(seconds=182))


def test_renewed_lease_holds_longer(ledger: Ledger) -> None:
    """Renewing moves the end and keeps generation and origin."""
    first = take(ledger, "run-1", NOON)

    renewed = ledger.renew_lease(first, now=NOON + timedelta(seconds=100), seconds=120)

    assert renewed == replace(first, expires_at=NOON + timedelta(seconds=220))
    with pytest.raises(BusyError):
        take(ledger, "run-2", NOON + timedelta(seconds=279))


def test_released_lease_cannot_be_renewed(ledger: Ledger) -> None:
    """Who has let go has nothing to extend."""
    lease = take(ledger, "run-1", NOON)
    ledger.release_lease(lease)
    ledger.release_lease(lease)

    with pytest.raises(LeaseLostError):
        ledger.renew_lease(lease, now=NOON, seconds=120)


@pytest.mark.parametrize("count", [2_038, 2_039, 2_040, 2_041, 2_048], ids=str)
@pytest.mark.parametrize("tail", ["A", "#", "é"], ids=["plain", "number-sign", "two-bytes"])
def test_longest_ids_of_the_incidents_table_are_held_like_any_other(
    ledger: Ledger, count: int, tail: str
) -> None:
    """An id of up to 2,048 bytes, all that DynamoDB takes, is marked, listed, saved, and kept apart."""
    head = "é" * 40 + "A" * (count - 80 - len(tail.encode()))
    long, near = head + tail, head + "B" * len(tail.encode())
    assert len(long.encode()) == count

    ledger.mark([Mark(long, NOON), Mark(near, NOON), Mark("INC-1", NOON)])
    entries = ledger.due("publish#0", until=due_until(NOON), after="", limit=10)
    records = ledger.records([long, near])
    settled = replace(records[long], state=State.INDEXED, queue="", due="", pending_since=None)

    assert {entry.incident_id for entry in entries} == {long, near, "INC-1"}
    assert ledger.save([Save(settled, records[long].due)]) == [SaveOutcome.SAVED]
    assert stored(ledger, long) == settled
    assert ledger.count_records() == ({State.INDEXED: 1, State.PENDING: 2}, 0)
    page = ledger.list_records(state=None, cursor="", limit=2)
    rest = ledger.list_records(state=None, cursor=page.cursor, limit=2)
    assert {each.incident_id for each in (*page.items, *rest.items)} == {long, near, "INC-1"}
