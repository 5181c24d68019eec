"""Two writers at once on the real protocol: one wins, and the other learns it."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aws_tables import AwsTables, answering, refusal
from kbsync.errors import AccessDeniedError, BusyError, ThrottledError
from kbsync.model import Lease, Mark, Save, SaveOutcome, State, SyncRecord, SyncStatus
from kbsync.ports import IncidentChange

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
ROUNDS = 5


def item(incident_id: str = "INC-1", **more: object) -> dict[str, object]:
    return {"incident_id": incident_id, "sk": "METADATA", "status": "CLOSED", "priority": "P2", **more}


def at_once(*calls: Callable[[], object]) -> list[object]:
    """Start all calls at one moment; returns their results, and the errors of ours among them."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        gate.wait(timeout=10)
        try:
            return call()
        except BusyError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def meanwhile(tables: AwsTables, operation: str, *others: Callable[[], object]) -> Any:
    """Let somebody else write right before each of the next calls of an operation goes out."""
    left = list(others)

    def write(_: dict[str, Any]) -> None:
        left.pop(0)()

    return answering(tables.client, operation, *[write] * len(others))


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_of_two_that_take_the_lease_one_gets_it(tables: AwsTables, round_: int) -> None:
    tables.ledger.release_lease(take(tables, f"before-{round_}"))

    results = at_once(lambda: take(tables, "run-1"), lambda: take(tables, "run-2"))

    [lease] = [each for each in results if isinstance(each, Lease)]
    [error] = [each for each in results if isinstance(each, BusyError)]
    assert lease.generation == 2
    assert lease.owner in str(error)


def take(tables: AwsTables, owner: str, now: datetime = NOON) -> Lease:
    return tables.ledger.acquire_lease("publisher", owner, now=now, seconds=120, grace_seconds=60)


def test_renewal_at_the_last_moment_beats_the_taker_over(tables: AwsTables) -> None:
    """The taker saw a lease that was overdue; before it wrote, the holder came back."""
    late = NOON + timedelta(seconds=300)
    held = take(tables, "run-1")

    with (
        meanwhile(tables, "PutItem", lambda: tables.ledger.renew_lease(held, now=late, seconds=120)),
        pytest.raises(BusyError, match="run-1"),
    ):
        take(tables, "run-2", late)


def test_lease_that_changes_at_every_look_is_busy(tables: AwsTables) -> None:
    """Tries are bounded: whoever is always late does not hang."""
    tables.ledger.release_lease(take(tables, "run-1"))

    with (
        answering(tables.client, "PutItem", *[refusal("ConditionalCheckFailedException")] * 3),
        pytest.raises(BusyError, match="active"),
    ):
        take(tables, "run-2")


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_mark_made_while_a_publisher_saves_is_never_lost(tables: AwsTables, round_: int) -> None:
    """Whoever comes first: the incident ends in the queue, or the save saw the mark (DESIGN.md section 3)."""
    incident_id = f"INC-{round_}"
    tables.ledger.mark([Mark(incident_id, NOON)])
    read = tables.ledger.records([incident_id])[incident_id]
    done = replace(read, state=State.INDEXED, fingerprint="f", queue="", due="", pending_since=None)
    later = Mark(incident_id, NOON + timedelta(minutes=1))

    outcome, _ = at_once(
        lambda: tables.ledger.save([Save(done, read.due)]), lambda: tables.ledger.mark([later])
    )

    record = tables.ledger.records([incident_id])[incident_id]
    assert outcome in ([SaveOutcome.SAVED], [SaveOutcome.MARKED_MEANWHILE])
    assert (record.state, record.fingerprint, record.queue) == (State.INDEXED, "f", "publish#0")
    assert record.due.startswith("2026-03-10T12:01")


def test_mark_takes_nothing_back_that_a_publisher_wrote_after_it_read(tables: AwsTables) -> None:
    """A fingerprint dropped ahead of a put stays dropped, although the mark had read it."""
    record = SyncRecord(
        incident_id="INC-1", fingerprint="old", queue="publish#0", due="d", pending_since=NOON
    )
    tables.ledger.save([Save(record, "")])
    ahead = Save(replace(record, fingerprint=""), "d")

    with meanwhile(tables, "BatchExecuteStatement", lambda: tables.other_ledger().save([ahead])):
        tables.ledger.mark([Mark("INC-1", NOON)])

    assert tables.ledger.records(["INC-1"])["INC-1"].fingerprint == ""


def test_mark_of_a_record_that_was_made_or_settled_meanwhile_is_written_all_the_same(
    tables: AwsTables,
) -> None:
    """The statement no longer holds in either case; the single update that follows asks for nothing."""
    with meanwhile(
        tables, "BatchExecuteStatement", lambda: tables.other_ledger().mark([Mark("INC-1", NOON)])
    ):
        tables.ledger.mark([Mark("INC-1", NOON + timedelta(minutes=1))])

    record = tables.ledger.records(["INC-1"])["INC-1"]
    assert record.due.startswith("2026-03-10T12:01")
    assert record.pending_since == NOON


def test_reset_meets_a_publisher_that_withdraws_and_resets_what_is_then_there(tables: AwsTables) -> None:
    """A retry asked for in the moment of quarantine holds for the state that was written meanwhile."""
    bad = SyncRecord(incident_id="INC-1", state=State.QUARANTINED, attempts=3)
    tables.ledger.save([Save(bad, "")])
    other = tables.other_ledger()
    withdrawing = replace(bad, state=State.WITHDRAWING, target=State.QUARANTINED, generation=1)

    with meanwhile(tables, "BatchExecuteStatement", lambda: other.save([Save(withdrawing, "")])):
        tables.ledger.mark([Mark("INC-1", NOON, create=False, reset=True)])

    record = tables.ledger.records(["INC-1"])["INC-1"]
    assert (record.state, record.target, record.attempts) == (State.WITHDRAWING, State.PENDING, 0)
    assert (record.generation, record.queue) == (1, "publish#0")


def test_record_that_changes_at_every_try_is_a_throttle(tables: AwsTables) -> None:
    """Tries are bounded for marks, saves and drops; nothing is overwritten in the end."""
    bad = SyncRecord(incident_id="INC-1", state=State.QUARANTINED, attempts=3)
    tables.ledger.save([Save(bad, "")])
    failed = refusal("ConditionalCheckFailedException")

    with (
        answering(tables.client, "BatchExecuteStatement", refusal("ValidationException")),
        answering(tables.client, "UpdateItem", *[failed] * 5),
        pytest.raises(ThrottledError, match="again"),
    ):
        tables.ledger.mark([Mark("INC-1", NOON, create=False, reset=True)])
    with answering(tables.client, "PutItem", *[failed] * 5), pytest.raises(ThrottledError, match="again"):
        tables.ledger.save([Save(replace(bad, attempts=4), "")])
    with (
        answering(tables.client, "BatchExecuteStatement", refusal("ValidationException")),
        answering(tables.client, "DeleteItem", *[failed] * 5),
        pytest.raises(ThrottledError, match="again"),
    ):
        tables.ledger.drop([Save(bad, "")])

    assert tables.ledger.records(["INC-1"]) == {"INC-1": bad}


def test_retry_of_a_record_forgotten_meanwhile_brings_nothing_back(tables: AwsTables) -> None:
    """A mark that may create nothing finds nothing at its second look."""
    bad = SyncRecord(incident_id="INC-1", state=State.QUARANTINED, attempts=3)
    tables.ledger.save([Save(bad, "")])

    other = tables.other_ledger()
    with meanwhile(tables, "BatchExecuteStatement", lambda: other.drop([Save(bad, "")])):
        tables.ledger.mark([Mark("INC-1", NOON, create=False, reset=True)])

    assert tables.ledger.records(["INC-1"]) == {}


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_of_two_that_write_a_value_on_the_same_condition_one_does(tables: AwsTables, round_: int) -> None:
    name = f"alert:{round_}"

    results = at_once(*[lambda n=n: tables.ledger.write_value(name, str(n), expected="") for n in (1, 2)])

    assert sorted(map(bool, results)) == [False, True]
    assert tables.ledger.read_value(name) == ("1" if results[0] else "2")


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_of_two_changes_of_the_same_reading_one_is_written(tables: AwsTables, round_: int) -> None:
    """Neither is half written, whichever loses."""
    incident_id = f"INC-{round_}"
    tables.put(item(incident_id, title="before"))
    token = tables.store.read([incident_id])[incident_id].token
    changes = [
        IncidentChange(incident_id, item(incident_id, title=title), token, Mark(incident_id, NOON))
        for title in ("one", "two")
    ]

    results = at_once(*[lambda change=change: tables.store.change([change])[0] for change in changes])

    assert sorted(map(bool, results)) == [False, True]
    title = tables.store.read([incident_id])[incident_id].attributes["title"]
    assert title == ("one" if results[0] else "two")


def test_change_between_reading_and_noting_is_never_overwritten(tables: AwsTables) -> None:
    """The condition is on what was read, at the moment of the write."""
    tables.put(item(title="a"))
    read = tables.store.read(["INC-1"])["INC-1"]

    with meanwhile(tables, "UpdateItem", lambda: tables.put(item(title="b"))):
        written = tables.store.write_sync_status(read, SyncStatus(synced=True))

    assert not written
    assert tables.store.read(["INC-1"])["INC-1"].attributes == item(title="b")


def test_incident_changed_while_its_change_is_on_the_way_is_left_alone(tables: AwsTables) -> None:
    tables.put(item(title="a"))
    token = tables.store.read(["INC-1"])["INC-1"].token
    change = IncidentChange("INC-1", None, token, Mark("INC-1", NOON))

    with meanwhile(tables, "TransactWriteItems", lambda: tables.put(item(title="b"))):
        outcomes = tables.store.change([change])

    assert outcomes == [False]
    assert tables.ledger.records(["INC-1"]) == {}


def test_mark_that_may_not_create_follows_a_record_made_meanwhile(tables: AwsTables) -> None:
    """The transaction checks that there still is no record; where there is one, it is marked."""
    change = IncidentChange("INC-1", item(), "", Mark("INC-1", NOON, create=False))
    other = tables.other_ledger()
    made = SyncRecord(incident_id="INC-1", state=State.INDEXED)

    with meanwhile(tables, "TransactWriteItems", lambda: other.save([Save(made, "")])):
        outcomes = tables.store.change([change])

    record = tables.ledger.records(["INC-1"])["INC-1"]
    assert outcomes == [True]
    assert (record.state, record.queue) == (State.INDEXED, "publish#0")


@pytest.mark.parametrize(
    "reasons", [["TransactionConflict", "None"], ["None", "ThrottlingError"]], ids=["conflict", "throttle"]
)
def test_cancelled_transactions_are_tried_again_a_few_times(
    tables: AwsTables, reasons: Sequence[str]
) -> None:
    """A conflict is not a lost token: it passes, or the caller is told to slow down."""
    change = IncidentChange("INC-1", item(), "", Mark("INC-1", NOON))

    def cancelled(_: dict[str, Any]) -> dict[str, Any]:
        codes = [{"Code": reason} for reason in reasons]
        return {"__type": "TransactionCanceledException", "CancellationReasons": codes, "status": 400}

    with answering(tables.client, "TransactWriteItems", cancelled):
        outcomes = tables.store.change([change])
    with (
        answering(tables.client, "TransactWriteItems", *[cancelled] * 5),
        pytest.raises(ThrottledError, match="by others"),
    ):
        tables.store.change([IncidentChange("INC-2", item("INC-2"), "", Mark("INC-2", NOON))])

    assert outcomes == [True]
    assert tables.store.read(["INC-1", "INC-2"]).keys() == {"INC-1"}


def test_transaction_that_is_not_allowed_is_no_lost_token(tables: AwsTables) -> None:
    change = IncidentChange("INC-1", item(), "", Mark("INC-1", NOON))

    with (
        answering(tables.client, "TransactWriteItems", refusal("AccessDeniedException")),
        pytest.raises(AccessDeniedError, match="TransactWriteItems"),
    ):
        tables.store.change([change])
