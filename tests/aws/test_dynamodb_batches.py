"""What DynamoDB leaves undone inside a good answer: unprocessed keys, failed statements, throttles."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ParamValidationError

from aws_tables import Answer, AwsTables, answering, losing_first_reply, refusal, service
from kbsync.aws.attributes import value_of
from kbsync.aws.dynamo_table import Statement, calls_of, quoted
from kbsync.aws.record_statements import save_statement
from kbsync.errors import (
    AccessDeniedError,
    ConfigInvalidError,
    FatalError,
    ThrottledError,
    UnavailableError,
    UsageError,
)
from kbsync.model import Mark, Save, SaveOutcome, State, SyncRecord, SyncStatus
from kbsync.ports import IncidentChange, Noted

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def item(incident_id: str, **more: object) -> dict[str, object]:
    return {"incident_id": incident_id, "sk": "METADATA", "status": "CLOSED", "priority": "P2", **more}


def all_unprocessed(asked: dict[str, Any]) -> dict[str, Any]:
    """Answer a BatchGetItem with nothing but its keys."""
    return {"Responses": {}, "UnprocessedKeys": asked["RequestItems"]}


def statements_fail(code: str) -> Answer:
    """Answer a BatchExecuteStatement whose every statement failed with this code."""
    failed = {"Error": {"Code": code, "Message": "injected"}}
    return lambda asked: {"Responses": [failed for _ in asked["Statements"]]}


def marked_saves(tables: AwsTables, count: int) -> list[Save]:
    """Mark so many incidents, and return the saves that settle them."""
    ids = [f"INC-{n}" for n in range(count)]
    tables.ledger.mark([Mark(each, NOON) for each in ids])
    records = tables.ledger.records(ids)
    settled = {"state": State.INDEXED, "queue": "", "due": "", "pending_since": None, "fingerprint": "f"}
    return [Save(replace(records[each], **settled), records[each].due) for each in ids]


def test_o_32_unprocessed_keys_are_read_again(tables: AwsTables) -> None:
    """O-32: what a good answer left out is asked for, until it is there."""
    tables.put_many([item(f"INC-{n}") for n in range(120)])

    with answering(tables.client, "BatchGetItem", all_unprocessed, service, all_unprocessed) as asked:
        found = tables.store.read([f"INC-{n}" for n in range(120)])

    assert len(found) == 120
    assert [len(each["RequestItems"][tables.incidents.name]["Keys"]) for each in asked] == [100, 100, 20, 20]
    assert len(tables.slept) == 2


def test_rounds_that_bring_something_are_not_counted(tables: AwsTables) -> None:
    """Large items come a few at a time: 16 MB an answer, or less under load."""
    tables.put_many([item(f"INC-{n}") for n in range(12)])

    def one_by_one(asked: dict[str, Any]) -> dict[str, Any]:
        [first, *rest] = asked["RequestItems"][tables.incidents.name]["Keys"]
        left = {tables.incidents.name: {"Keys": rest}} if rest else {}
        return {"Responses": {tables.incidents.name: [first]}, "UnprocessedKeys": left}

    with answering(tables.client, "BatchGetItem", *[one_by_one] * 12):
        found = tables.store.read([f"INC-{n}" for n in range(12)])

    assert len(found) == 12


def test_keys_that_stay_unprocessed_are_a_throttle(tables: AwsTables) -> None:
    """The rounds are bounded, and each waits longer than the last."""
    with (
        answering(tables.client, "BatchGetItem", *[all_unprocessed] * 7),
        pytest.raises(ThrottledError, match="2 keys stayed unprocessed"),
    ):
        tables.store.read(["INC-1", "INC-2"])

    assert tables.slept == sorted(tables.slept)
    assert sum(tables.slept) < 5


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ProvisionedThroughputExceededException", ThrottledError),
        ("ThrottlingException", ThrottledError),
        ("TransactionConflictException", ThrottledError),
        ("AccessDeniedException", AccessDeniedError),
        ("ResourceNotFoundException", ConfigInvalidError),
    ],
)
def test_refusals_are_told_apart_by_their_consequence(
    tables: AwsTables, code: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK tries throttles three times; what remains is ours to name. Its waits are not waited here."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)

    with answering(tables.client, "UpdateItem", *[refusal(code)] * 3), pytest.raises(error, match=code):
        tables.ledger.renew_lease(a_lease(tables), now=NOON, seconds=1)


def test_server_errors_are_no_answer(tables: AwsTables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    broken = [refusal("InternalServerError", 500)] * 3

    with answering(tables.client, "Scan", *broken), pytest.raises(UnavailableError, match="Scan"):
        tables.ledger.count_records()


def a_lease(tables: AwsTables) -> Any:
    return tables.ledger.acquire_lease("publisher", "run-1", now=NOON, seconds=60, grace_seconds=1)


def test_saves_go_in_calls_of_twenty_five(tables: AwsTables) -> None:
    saves = marked_saves(tables, 60)

    with answering(tables.client, "BatchExecuteStatement") as asked:
        outcomes = tables.ledger.save(saves)

    assert outcomes == [SaveOutcome.SAVED] * 60
    assert [len(each["Statements"]) for each in asked] == [25, 25, 10]
    assert tables.ledger.records(["INC-59"])["INC-59"] == saves[59].record


def test_notes_and_drops_go_in_calls_of_twenty_five_and_none_alone(tables: AwsTables) -> None:
    tables.put_many([item(f"INC-{n}", tags={"b", "a"}, resolution={"x": [1, None]}) for n in range(30)])
    read = tables.store.read([f"INC-{n}" for n in range(30)])
    saves = marked_saves(tables, 30)

    with (
        answering(tables.client, "BatchExecuteStatement") as asked,
        answering(tables.client, "UpdateItem") as updates,
        answering(tables.client, "DeleteItem") as deletes,
    ):
        noted = tables.store.write_sync_statuses([(each, SyncStatus(synced=True)) for each in read.values()])
        dropped = tables.ledger.drop(saves)

    assert (noted, dropped) == ([Noted.WRITTEN] * 30, [SaveOutcome.SAVED] * 30)
    assert [len(each["Statements"]) for each in asked] == [25, 5, 25, 5]
    assert (updates, deletes) == ([], [])


def test_o_32_statements_that_failed_inside_a_good_answer_are_written_one_by_one(tables: AwsTables) -> None:
    """O-32: 200 with errors inside is not success; none is lost and none is reported falsely."""
    saves = marked_saves(tables, 3)

    with answering(tables.client, "BatchExecuteStatement", statements_fail("InternalServerError")):
        outcomes = tables.ledger.save(saves)

    assert outcomes == [SaveOutcome.SAVED] * 3
    assert tables.ledger.records([each.record.incident_id for each in saves]) == {
        each.record.incident_id: each.record for each in saves
    }


def test_o_32_one_failed_statement_leaves_the_others_done(tables: AwsTables) -> None:
    """O-32: only what was confirmed changes; the one in whose way a mark stands says so."""
    saves = marked_saves(tables, 3)
    tables.ledger.mark([Mark("INC-1", NOON)])

    outcomes = tables.ledger.save(saves)

    assert outcomes == [SaveOutcome.SAVED, SaveOutcome.MARKED_MEANWHILE, SaveOutcome.SAVED]


def test_throttled_statements_are_tried_again_and_only_they(tables: AwsTables) -> None:
    saves = marked_saves(tables, 2)

    def one_throttled(asked: dict[str, Any]) -> dict[str, Any]:
        [_, second] = asked["Statements"]
        tables.client.execute_statement(Statement=second["Statement"], Parameters=second["Parameters"])
        throttled = {"Error": {"Code": "ThrottlingError", "Message": "injected"}}
        return {"Responses": [throttled, {"TableName": tables.records.name}]}

    with answering(tables.client, "BatchExecuteStatement", one_throttled) as asked:
        outcomes = tables.ledger.save(saves)

    assert outcomes == [SaveOutcome.SAVED] * 2
    assert [len(each["Statements"]) for each in asked] == [2, 1]
    assert len(tables.slept) == 1


def test_statements_that_stay_throttled_end_in_a_throttle(
    tables: AwsTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the rounds the single write decides; where that is throttled too, the caller hears of it."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    saves = marked_saves(tables, 2)
    exceeded = refusal("ProvisionedThroughputExceededException")

    with (
        answering(tables.client, "BatchExecuteStatement", *[statements_fail("ThrottlingError")] * 6),
        answering(tables.client, "PutItem", *[exceeded] * 3),
        pytest.raises(ThrottledError, match="PutItem"),
    ):
        tables.ledger.save(saves)

    assert len(tables.slept) == 6
    assert tables.ledger.records(["INC-0"])["INC-0"].state is State.PENDING


@pytest.mark.parametrize("code", ["UnknownOperationException", "ValidationException"])
def test_service_without_statements_is_written_item_by_item(tables: AwsTables, code: str) -> None:
    """Marks, saves, drops and notes on incidents end as well where a batch is refused as a whole."""
    tables.put(item("INC-0"))
    read = tables.store.read(["INC-0"])["INC-0"]

    with answering(tables.client, "BatchExecuteStatement", *[refusal(code)] * 4):
        saves = marked_saves(tables, 2)
        outcomes = tables.ledger.save(saves[:1])
        dropped = tables.ledger.drop(saves[1:])
        noted = tables.store.write_sync_statuses([(read, SyncStatus(synced=True))])

    assert (outcomes, dropped, noted) == ([SaveOutcome.SAVED], [SaveOutcome.SAVED], [Noted.WRITTEN])
    assert tables.ledger.records(["INC-0", "INC-1"]) == {"INC-0": saves[0].record}


def test_refused_permission_for_a_batch_is_not_worked_around(tables: AwsTables) -> None:
    denied = refusal("AccessDeniedException")

    with (
        answering(tables.client, "BatchExecuteStatement", denied),
        pytest.raises(AccessDeniedError, match="BatchExecuteStatement"),
    ):
        tables.ledger.mark([Mark("INC-1", NOON)])


@pytest.mark.parametrize("operation", ["BatchExecuteStatement", "PutItem"])
def test_o_32_save_whose_reply_was_lost_is_known_as_saved(
    tables: AwsTables, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O-32's reverse: the retry meets its own effect, which is no newer mark and no other publisher."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    [save] = marked_saves(tables, 1)
    if operation == "PutItem":
        save = Save(SyncRecord(incident_id="INC-9", queue="confirm#0", due="d", pending_since=NOON), "")

    with losing_first_reply(tables.client, operation) as tries:
        outcomes = tables.ledger.save([save])

    assert outcomes == [SaveOutcome.SAVED]
    assert len(tries) == 2


def test_note_whose_reply_was_lost_is_known_as_written(
    tables: AwsTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    tables.put(item("INC-1"))
    read = tables.store.read(["INC-1"])["INC-1"]

    with losing_first_reply(tables.client, "UpdateItem") as tries:
        written = tables.store.write_sync_status(read, SyncStatus(synced=True, synced_at=NOON))

    assert written
    assert len(tries) == 2


def test_value_and_lease_whose_replies_were_lost_are_ours(
    tables: AwsTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)

    with losing_first_reply(tables.client, "PutItem"):
        written = tables.ledger.write_value("x", "1", expected="")
    with losing_first_reply(tables.client, "PutItem"):
        lease = a_lease(tables)

    assert written
    assert (lease.owner, lease.generation) == ("run-1", 1)


def test_marks_of_many_incidents_are_a_read_in_hundreds_and_a_write_in_twenty_fives(
    tables: AwsTables,
) -> None:
    marks = [Mark(f"INC-{n}", NOON) for n in range(130)]

    with (
        answering(tables.client, "BatchGetItem") as reads,
        answering(tables.client, "BatchExecuteStatement") as writes,
        answering(tables.client, "UpdateItem") as singles,
    ):
        tables.ledger.mark(marks)

    assert (len(reads), len(writes), len(singles)) == (2, 6, 0)


def test_retry_of_many_is_written_in_twenty_fives_as_well(tables: AwsTables) -> None:
    """A redrive of everything costs no call for each: what it resets is conditional inside its statement."""
    ids = [f"INC-{n}" for n in range(60)]
    bad = [SyncRecord(incident_id=each, state=State.QUARANTINED, attempts=3, reason="bad") for each in ids]
    tables.ledger.save([Save(each, "") for each in bad])

    with (
        answering(tables.client, "BatchGetItem") as reads,
        answering(tables.client, "BatchExecuteStatement") as writes,
        answering(tables.client, "UpdateItem") as singles,
    ):
        tables.ledger.mark([Mark(each, NOON, create=False, reset=True) for each in ids])

    records = tables.ledger.records(ids).values()
    assert (len(reads), len(writes), len(singles)) == (1, 3, 0)
    assert {(each.state, each.attempts, each.queue) for each in records} == {(State.PENDING, 0, "publish#0")}
    assert {each.transitions[-1].reason for each in records} == {"retry requested"}


def test_several_marks_of_one_incident_count_in_their_order(tables: AwsTables) -> None:
    """Deleted, in doubt, and marked again: one write has all of it, as on the other backend."""
    full = SyncRecord(incident_id="INC-1", state=State.INDEXED, fingerprint="f", body_etag="e")
    tables.ledger.save([Save(full, "")])
    later = NOON.replace(hour=13)

    tables.ledger.mark(
        [Mark("INC-1", NOON, deleted=True), Mark("INC-1", NOON, doubt=True), Mark("INC-1", later)]
    )

    record = tables.ledger.records(["INC-1"])["INC-1"]
    assert (record.deleted, record.fingerprint, record.body_etag) == (True, "", "e")
    assert record.due.startswith("2026-03-10T13")


def changes_of(count: int, **more: object) -> list[IncidentChange]:
    ids = [f"INC-{n:03}" for n in range(count)]
    return [IncidentChange(each, item(each, **more), "", Mark(each, NOON)) for each in ids]


def test_incidents_are_written_with_their_marks_fifty_at_a_time(tables: AwsTables) -> None:
    """An import of many costs a fiftieth of the calls, and each pair is still written together."""
    with answering(tables.client, "TransactWriteItems") as writes:
        outcomes = tables.store.change(changes_of(120))

    assert outcomes == [True] * 120
    assert [len(each["TransactItems"]) for each in writes] == [100, 100, 40]
    ids = [f"INC-{n:03}" for n in range(120)]
    assert tables.store.read(ids).keys() == tables.ledger.records(ids).keys() == set(ids)


def test_one_stale_token_among_many_stops_no_other(tables: AwsTables) -> None:
    """What changed before the look is left out; what changes after it is found out one by one."""
    tables.put(item("INC-001", title="somebody's"))

    outcomes = tables.store.change(changes_of(4))

    assert outcomes == [True, False, True, True]
    with answering(
        tables.client, "TransactWriteItems", refusal("TransactionCanceledException"), service
    ) as writes:
        later = [IncidentChange(f"NEW-{n}", item(f"NEW-{n}"), "", Mark(f"NEW-{n}", NOON)) for n in range(3)]
        assert tables.store.change(later) == [True] * 3
    assert [len(each["TransactItems"]) for each in writes] == [6, 2, 2, 2]


def test_item_that_the_table_refuses_is_named_and_those_before_it_are_written(tables: AwsTables) -> None:
    """One item over 400 KB among others: the error says whose it is."""
    changes = changes_of(3)
    changes[1] = replace(changes[1], attributes=item("INC-001", text="x" * 500_000))

    with pytest.raises(UsageError, match="INC-001"):
        tables.store.change(changes)

    assert tables.store.read(["INC-000", "INC-001", "INC-002"]).keys() == {"INC-000"}


def test_large_items_are_cut_into_several_transactions(tables: AwsTables) -> None:
    """A transaction takes four megabytes; no incident is twice in one."""
    big = changes_of(12, text="x" * 390_000)
    again = replace(big[0], token="stale")

    with answering(tables.client, "TransactWriteItems") as writes:
        outcomes = tables.store.change([*big, again])

    assert outcomes == [True] * 12 + [False]
    assert [len(each["TransactItems"]) for each in writes] == [14, 10]


def test_statements_are_cut_by_number_size_and_item() -> None:
    small, large = [value_of("x")], [value_of("x" * 600_000)]
    many = [Statement(str(n), "", small) for n in range(26)]
    big = [Statement("a", "", large), Statement("b", "", large), Statement("c", "", small)]
    same = [Statement("a", "", small), Statement("b", "", small), Statement("a", "", small)]

    assert [len(call) for call in calls_of(many)] == [25, 1]
    assert [len(call) for call in calls_of(big)] == [1, 2]
    assert [len(call) for call in calls_of(same)] == [2, 1]
    assert list(calls_of([])) == []


def test_names_are_quoted_as_partiql_quotes_them() -> None:
    assert quoted('od"d') == '"od""d"'


SEEN = 'UPDATE {} SET "seen" = ? WHERE "incident_id" = ? AND "sk" = ?'


def test_calls_of_one_batch_go_side_by_side_and_their_answers_keep_its_order(tables: AwsTables) -> None:
    """Three calls are under way before any is answered; each code stands where its statement did."""
    tables.put_many([item(f"INC-{n}") for n in range(60) if n != 33])
    wide = replace(tables.incidents, calls_at_once=8)
    under_way = threading.Barrier(3)

    class Client:
        def batch_execute_statement(self, **asked: Any) -> Any:
            under_way.wait(10)
            return tables.client.batch_execute_statement(**asked)

    updates = [
        Statement(
            f"INC-{n}",
            SEEN.format(quoted(wide.name)),
            [value_of("yes"), value_of(f"INC-{n}"), value_of("METADATA")],
        )
        for n in range(60)
    ]

    codes = replace(wide, client=Client()).run_statements(updates)  # type: ignore[arg-type] # one call of it

    assert [n for n, code in enumerate(codes) if code] == [33]
    assert len(tables.store.read([f"INC-{n}" for n in range(60)])) == 59


def test_call_that_fails_beside_others_is_raised_when_they_have_ended(tables: AwsTables) -> None:
    """What the others wrote stays, as the port says: repeat it."""
    written = marked_saves(tables, 60)
    wide = replace(tables.records, calls_at_once=8)
    first = threading.Lock()

    class Client:
        refused = False

        def batch_execute_statement(self, **asked: Any) -> Any:
            with first:
                refuse, self.refused = not self.refused, True
            if refuse:
                raise ParamValidationError(report="refused")
            return tables.client.batch_execute_statement(**asked)

    statements = [save_statement(wide.name, save) for save in written]
    with pytest.raises(FatalError):
        replace(wide, client=Client()).run_statements(statements)  # type: ignore[arg-type] # one call of it

    indexed = [
        each
        for each in tables.ledger.records([s.record.incident_id for s in written]).values()
        if not each.due
    ]
    assert len(indexed) in (35, 50)


def test_statements_on_one_item_are_never_sent_side_by_side(tables: AwsTables) -> None:
    """The second one of an item waits for the first."""
    tables.put_many([item("INC-1")])
    inside = []

    class Client:
        def batch_execute_statement(self, **asked: Any) -> Any:
            inside.append(threading.current_thread())
            return tables.client.batch_execute_statement(**asked)

    text = SEEN.format(quoted(tables.incidents.name))
    twice = [Statement("INC-1", text, [*map(value_of, (seen, "INC-1", "METADATA"))]) for seen in ("a", "b")]
    replace(tables.incidents, client=Client(), calls_at_once=8).run_statements(twice)  # type: ignore[arg-type]

    assert inside == [threading.current_thread()] * 2
    assert tables.store.read(["INC-1"])["INC-1"].attributes["seen"] == "b"
