"""The stream marker on real local adapters: what it marks, what it passes over, and what comes again."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from builders import Home, an_incident
from faults import Faults, with_faults
from kbsync.engine import Engine
from kbsync.errors import ConfigInvalidError, ThrottledError
from kbsync.lambda_handlers.batch import handler as batch
from kbsync.lambda_handlers.runtime import use_engine, use_runner
from kbsync.lambda_handlers.stream import handler
from kbsync.pipeline.discover import MARKING
from lambda_.running import Call, Context, call

Capture = pytest.CaptureFixture[str]
Image = Mapping[str, Any]

OPEN = {"status": {"S": "OPEN"}, "title": {"S": "Pool exhausted"}}
CLOSED = {"status": {"S": "CLOSED"}, "title": {"S": "Pool exhausted"}}
SYNCED = {"kb_sync_status": {"M": {"synced": {"BOOL": True}}}}
UNSYNCED = {"kb_sync_status": {"M": {"synced": {"BOOL": False}, "sync_attempts": {"N": "0"}}}}


def a_record(
    incident_id: str = "INC-1001",
    before: Image | None = None,
    after: Image | None = None,
    *,
    sk: str = "METADATA",
    view: str = "NEW_AND_OLD_IMAGES",
) -> dict[str, Any]:
    """Return one stream record. Source: DynamoDB Developer Guide, "DynamoDB Streams and AWS Lambda"."""
    keys = {"incident_id": {"S": incident_id}, "sk": {"S": sk}}
    change: dict[str, Any] = {"Keys": keys, "SequenceNumber": incident_id, "StreamViewType": view}
    if before is not None:
        change["OldImage"] = {**keys, **before}
    if after is not None:
        change["NewImage"] = {**keys, **after}
    name = "INSERT" if before is None else "MODIFY" if after is not None else "REMOVE"
    return {
        "eventID": "1",
        "eventName": name,
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": change,
    }


def deliver(capsys: Capture, *records: dict[str, Any]) -> Call:
    return call(handler, {"Records": list(records)}, capsys)


def due(home: Home) -> list[str]:
    entries = home.ledger.due("publish#0", until="9", after="", limit=100)
    return [entry.incident_id for entry in entries]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, CLOSED),
        (OPEN, CLOSED),
        (CLOSED, {**CLOSED, "title": {"S": "Pool of orders-db exhausted"}}),
        ({**CLOSED, **SYNCED}, {**CLOSED, **UNSYNCED, "tags": {"SS": ["db"]}}),
        (CLOSED, {"status": {"S": "CLOSED"}}),
    ],
    ids=["closed-at-birth", "closing", "edit", "edit-with-our-note", "attribute-removed"],
)
def test_change_of_a_closed_incident_is_marked(
    home: Home, capsys: Capture, before: Image | None, after: Image
) -> None:
    done = deliver(capsys, a_record(before=before, after=after))

    assert done.answer == {"batchItemFailures": []}
    assert due(home) == ["INC-1001"]
    assert done.total == {"ChangesReceived": 1, "ChangesFailed": 0}


@pytest.mark.parametrize(
    "record",
    [
        a_record(before={**CLOSED, **UNSYNCED}, after={**CLOSED, **SYNCED}),
        a_record(before=CLOSED, after={**CLOSED, **SYNCED}),
        a_record(before=None, after=CLOSED, sk="COMMENT#1"),
        a_record(before=None, after=OPEN),
        a_record(before=OPEN, after=None),
    ],
    ids=["our-note", "our-first-note", "another-item", "opened", "open-one-deleted"],
)
def test_what_wants_nothing_of_us_is_not_marked(home: Home, capsys: Capture, record: dict[str, Any]) -> None:
    done = deliver(capsys, record)

    assert done.answer == {"batchItemFailures": []}
    assert due(home) == []
    assert home.state() == "none"


@pytest.mark.parametrize(
    ("apply", "after", "state"),
    [
        (lambda home: home.incidents.put_as_other_writer(an_incident(status="OPEN")), OPEN, "withdrawn"),
        (lambda home: home.incidents.delete_as_other_writer("INC-1001"), None, "withdrawn"),
    ],
    ids=["reopened", "deleted"],
)
def test_reopened_or_deleted_incident_is_withdrawn_by_the_next_tick(
    home: Home, capsys: Capture, apply: Callable[[Home], None], after: Image | None, state: str
) -> None:
    home.incidents.put_as_other_writer(an_incident())
    call(batch, {}, capsys)
    apply(home)

    deliver(capsys, a_record(before=CLOSED, after=after))
    done = call(batch, {"trigger": "tick"}, capsys)

    assert (done.answer["withdrawn"], home.state()) == (1, state)
    assert home.keys() == set()


def test_only_a_removal_is_remembered_as_a_deletion(home: Home, capsys: Capture) -> None:
    for each in ("INC-1", "INC-2"):
        home.incidents.put_as_other_writer(an_incident(incident_id=each))
    call(batch, {}, capsys)

    deliver(capsys, a_record("INC-1", before=CLOSED), a_record("INC-2", before=CLOSED, after=OPEN))

    records = home.ledger.records(["INC-1", "INC-2"])
    assert (records["INC-1"].deleted, records["INC-2"].deleted) == (True, False)


def test_change_delivered_twice_and_late_ends_the_same(home: Home, capsys: Capture) -> None:
    home.incidents.put_as_other_writer(an_incident())
    closing = a_record(before=OPEN, after=CLOSED)

    deliver(capsys, closing, closing)
    first = call(batch, {"trigger": "tick"}, capsys)
    deliver(capsys, closing)
    second = call(batch, {"trigger": "tick"}, capsys)

    assert (first.answer["published"], second.answer["published"]) == (1, 0)
    assert (second.answer["unchanged"], home.state()) == (1, "indexed")


def test_partial_failure_names_only_the_failed_changes(home: Home, capsys: Capture) -> None:
    deliver(capsys, a_record("INC-0", after=CLOSED))  # marking is on: from here on each effect is a mark
    use_engine(with_faults(home.engine, Faults(at=2, before=lambda: ThrottledError("slow down"))))

    done = deliver(capsys, *[a_record(f"INC-{n}", after=CLOSED) for n in (1, 2, 3)])

    assert done.answer == {"batchItemFailures": [{"itemIdentifier": "INC-2"}]}
    assert due(home) == ["INC-0", "INC-1", "INC-3"]
    assert done.total == {"ChangesReceived": 3, "ChangesFailed": 1}


def test_batch_of_which_nothing_could_be_marked_raises(home: Home, capsys: Capture) -> None:
    record = a_record(before=None, after=CLOSED, view="NEW_IMAGE")

    done = deliver(capsys, record)

    assert isinstance(done.error, BatchProcessingError)
    assert ConfigInvalidError.__name__ in str(done.error)
    assert due(home) == []


def test_value_that_no_decoder_takes_is_still_marked(home: Home, capsys: Capture) -> None:
    odd = {**CLOSED, "size": {"N": "1" * 60}, "blob": {"B": "not base64!"}}

    done = deliver(capsys, a_record(before=None, after=odd))

    assert done.answer == {"batchItemFailures": []}
    assert due(home) == ["INC-1001"]


def test_first_delivery_turns_marking_on_and_one_full_pass_follows(home: Home, capsys: Capture) -> None:
    home.incidents.put_as_other_writer(an_incident(incident_id="INC-before"))

    deliver(capsys, a_record("INC-other", before=OPEN, after=OPEN))
    begun = json.loads(home.ledger.read_value(MARKING))
    call(batch, {}, capsys)

    assert (begun["on"], begun["passed"]) == (True, False)
    assert json.loads(home.ledger.read_value(MARKING))["passed"] is True
    assert home.state("INC-before") == "indexed"


class Runner:
    """Who is asked for runs: counts, or refuses."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked, self.error = 0, error

    def run_soon(self, engine: Engine) -> bool:
        assert engine.ledger
        self.asked += 1
        if self.error:
            raise self.error
        return True


def test_batch_that_marked_something_asks_for_one_run(home: Home, capsys: Capture) -> None:
    runner = Runner()
    use_runner(runner)

    done = deliver(capsys, *(a_record(f"INC-{n}", before=OPEN, after=CLOSED) for n in range(3)))

    assert (runner.asked, done.total["RunsAsked"]) == (1, 1)
    assert len(due(home)) == 3


def test_batch_that_marked_nothing_asks_for_none(home: Home, capsys: Capture) -> None:
    runner = Runner()
    use_runner(runner)

    deliver(capsys, a_record(before=CLOSED, after={**CLOSED, **SYNCED}), a_record(after=CLOSED, sk="COMMENT"))

    assert (runner.asked, due(home)) == (0, [])


def test_run_that_cannot_be_asked_for_costs_no_mark(home: Home, capsys: Capture) -> None:
    use_runner(Runner(ThrottledError("slow down")))

    done = deliver(capsys, a_record(before=OPEN, after=CLOSED))

    assert done.answer == {"batchItemFailures": []}
    assert due(home) == ["INC-1001"]


def test_removal_delivered_late_and_out_of_order_ends_as_the_table_is(home: Home, capsys: Capture) -> None:
    """The publisher reads the table: a removal, then the older edit, then both again, a day late."""
    home.incidents.put_as_other_writer(an_incident())
    deliver(capsys, a_record(after=CLOSED))
    batch({"trigger": "tick"}, Context())
    home.incidents.delete_as_other_writer("INC-1001")
    removal, edit = a_record(before=CLOSED), a_record(before=OPEN, after=CLOSED)

    for records in ([removal], [edit], [removal, edit], [edit]):
        deliver(capsys, *records)
        home.clock.forward(days=1)
        batch({"trigger": "tick"}, Context())

    assert (home.keys(), home.listed()) == (set(), set())
