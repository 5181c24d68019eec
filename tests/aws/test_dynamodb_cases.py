"""Real faults of DynamoDB (docs/CASES.md), on the adapter and with the whole pipeline over it."""

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aws_tables import AwsTables, answering, refusal
from builders import NOON, Home, TickingClock, a_home, an_incident
from kbsync.engine import Engine
from kbsync.errors import IncidentRejectedError, UsageError
from kbsync.model import Document, Mark, State, StoredIncident, SyncStatus
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.pipeline.transform.transform import IncidentTransform
from kbsync.ports import IncidentChange, Noted


@dataclass
class Stack:
    """An engine whose incidents and ledger are DynamoDB's, and whose documents lie in a folder."""

    tables: AwsTables
    home: Home
    engine: Engine

    def state(self, incident_id: str = "INC-1001") -> str:
        """Return where an incident stands."""
        record = self.engine.ledger.records([incident_id]).get(incident_id)
        return str(record.state) if record else "none"


@pytest.fixture
def stack(tables: AwsTables, tmp_path: Path) -> Stack:
    """The pipeline over both tables."""
    home = a_home(tmp_path / "home", clock=TickingClock())
    engine = replace(home.engine, incidents=tables.store, ledger=tables.ledger)
    return Stack(tables, home, engine)


def put_raw(tables: AwsTables, **raw: dict[str, Any]) -> None:
    """Write BASE with attributes in DynamoDB's own form, as other programs do."""
    tables.put(an_incident())
    names = {f"#{name}": name for name in raw}
    tables.client.update_item(
        TableName=tables.incidents.name,
        Key={"incident_id": {"S": "INC-1001"}, "sk": {"S": "METADATA"}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in raw),
        ExpressionAttributeNames=names,
        ExpressionAttributeValues={f":{name}": value for name, value in raw.items()},
    )


def read_base(tables: AwsTables) -> StoredIncident:
    return tables.store.read(["INC-1001"])["INC-1001"]


def document_of(stored: StoredIncident) -> Document:
    document = IncidentTransform(TransformRules()).desired(stored)
    assert isinstance(document, Document)
    return document


@pytest.mark.slow
def test_o_09_one_run_syncs_what_sorts_behind_a_full_page_of_synced_ones(stack: Stack) -> None:
    """O-09: fifty synced P1 incidents do not starve ten unsynced P2 ones.

    Slow: sixty incidents through the whole pipeline are what the case is about.
    """
    synced = [an_incident(incident_id=f"INC-{n}", priority="P1") for n in range(50)]
    stack.tables.put_many(synced)
    first = sync_once(stack.engine)
    late = [an_incident(incident_id=f"INC-9{n}", priority="P2", title=f"t{n}") for n in range(10)]
    stack.tables.put_many(late)

    second = sync_once(stack.engine)

    assert (first.indexed, first.status, second.indexed, second.status) == (50, "ok", 10, "ok")
    found = stack.tables.store.read([f"INC-9{n}" for n in range(10)])
    assert all(each.attributes["kb_sync_status"]["synced"] is True for each in found.values())


def test_o_09_empty_page_with_a_key_is_not_the_end(tables: AwsTables) -> None:
    """O-09: a page may hold nothing; only a missing key ends the listing."""
    tables.put(an_incident(sk="COMMENT#1"))
    tables.put(an_incident())

    pages, cursor = [], ""
    while True:
        page = tables.store.list_by_status("CLOSED", cursor=cursor, limit=1)
        pages.append([each.incident_id for each in page.items])
        cursor = page.cursor
        if not cursor:
            break

    assert [page for page in pages if page] == [["INC-1001"]]
    assert [] in pages


def test_items_that_are_no_incidents_are_passed_over(tables: AwsTables) -> None:
    """The customer's table holds comments and history beside the incident, under other sort keys."""
    tables.put(an_incident())
    tables.put(an_incident(sk="COMMENT#1"))

    assert [each.attributes["sk"] for each in tables.store.scan(cursor="", limit=9).items] == ["METADATA"]
    assert tables.store.count_by_status() == {"CLOSED": 1}
    assert tables.store.read(["INC-1001"]).keys() == {"INC-1001"}


@pytest.mark.parametrize(
    "status",
    [None, {"NULL": True}, {"S": "pending"}, {"M": {"sync_attempts": {"S": "2"}}}, {"M": {}}],
    ids=["absent", "null", "text", "text-attempts", "empty"],
)
@pytest.mark.parametrize("way", ["single", "batch"])
def test_o_10_note_is_written_whatever_the_map_was(
    tables: AwsTables, status: dict[str, Any] | None, way: str
) -> None:
    """O-10: the whole map is set, so that no path inside it needs to exist."""
    if status:
        put_raw(tables, kb_sync_status=status)
    else:
        tables.put(an_incident(kb_sync_status=None))
    note = SyncStatus(synced=False, sync_attempts=1, last_sync_error="refused")
    read = read_base(tables)

    if way == "single":
        written = tables.store.write_sync_status(read, note)
    else:
        written = tables.store.write_sync_statuses([(read, note)]) == [Noted.WRITTEN]

    assert written
    assert read_base(tables).attributes["kb_sync_status"] == {
        "synced": False,
        "sync_attempts": Decimal(1),
        "last_sync_error": "refused",
    }


def test_o_11_numbers_in_odd_forms_make_the_same_document_every_time(tables: AwsTables) -> None:
    """O-11: what is read is compared by value, rendered the same twice, and can be noted on."""
    number = {"M": {"list": {"L": [{"N": "1E+3"}, {"N": "0.10"}, {"N": "5432.0"}]}}}
    put_raw(tables, metrics=number, error_message={"S": "x"}, affected_systems={"L": [{"N": "5432.0"}]})

    first, second = read_base(tables), read_base(tables)

    assert first.token == second.token
    assert document_of(first) == document_of(second)
    assert "5432" in document_of(first).body.decode()
    assert "5432.0" not in document_of(first).body.decode()
    assert tables.store.write_sync_statuses([(first, SyncStatus(synced=True))]) == [Noted.WRITTEN]


@pytest.mark.parametrize("tags", [["weekend", "db", "alpha"], ["db"]], ids=["three", "one"])
def test_o_12_sets_are_read_compared_and_rendered_in_one_order(tables: AwsTables, tags: list[str]) -> None:
    """O-12: the same bytes as from a sorted list; and a set stands in no condition's way."""
    put_raw(tables, tags={"SS": tags})
    read = read_base(tables)

    assert document_of(read).body == document_of(replace_tags(read, sorted(tags))).body
    assert tables.store.write_sync_status(read, SyncStatus(synced=False))
    again = read_base(tables)
    assert tables.store.write_sync_statuses([(again, SyncStatus(synced=True))]) == [Noted.WRITTEN]


def replace_tags(read: StoredIncident, tags: list[str]) -> StoredIncident:
    return replace(read, attributes={**read.attributes, "tags": tags})


def test_o_13_computed_durations_are_stored_exactly(stack: Stack) -> None:
    """O-13: a float of the run reaches the ledger and comes back; the incident is not lost."""
    stack.tables.put(an_incident())
    sync_once(stack.engine)
    record = stack.engine.ledger.records(["INC-1001"])["INC-1001"]

    assert record.state is State.INDEXED
    assert isinstance(record.searchable_seconds, float)
    change = IncidentChange("INC-1001", an_incident(minutes=90.1), read_base(stack.tables).token, mark())
    assert stack.engine.incidents.change([change]) == [True]
    assert read_base(stack.tables).attributes["minutes"] == Decimal("90.1")


def mark() -> Mark:
    return Mark("INC-1001", NOON)


@pytest.mark.parametrize(
    "status",
    [{"M": {"synced": {"NULL": True}}}, {"M": {"synced": {"S": "false"}}}, {"M": {"synced": {"S": "true"}}}],
    ids=["null", "text-false", "text-true"],
)
def test_o_14_anything_but_a_true_boolean_is_not_synced(stack: Stack, status: dict[str, Any]) -> None:
    """O-14: the run finds it, publishes it and says so in the original's form."""
    put_raw(stack.tables, kb_sync_status=status, title={"S": ""})
    stack.tables.put(an_incident(incident_id="INC-2"))

    report = sync_once(stack.engine)

    assert (report.indexed, report.status) == (2, "ok")
    assert read_base(stack.tables).attributes["kb_sync_status"]["synced"] is True


def test_o_15_index_that_shows_the_past_publishes_nothing(stack: Stack) -> None:
    """O-15: the index says CLOSED, the table says REOPENED: the run reads the table before it acts."""
    stack.tables.put(an_incident())
    past = {"Items": stack.tables.client.scan(TableName=stack.tables.incidents.name)["Items"]}
    stack.tables.put(an_incident(status="REOPENED"))

    with answering(stack.tables.client, "Query", lambda _: past):
        report = sync_once(stack.engine)

    assert (report.published, report.objects_written, report.status) == (0, 0, "ok")
    assert stack.home.keys() == set()


def test_o_15_index_that_lags_behind_a_finished_sync_causes_no_second_one(stack: Stack) -> None:
    """O-15: the index says unsynced, the table says synced with this content: no put, no job."""
    stack.tables.put(an_incident())
    past = {"Items": stack.tables.client.scan(TableName=stack.tables.incidents.name)["Items"]}
    sync_once(stack.engine)
    jobs = len(stack.engine.knowledge_base.jobs(limit=9))
    stack.home.clock.forward(minutes=61)

    with answering(stack.tables.client, "Query", lambda _: past):
        report = sync_once(stack.engine)

    assert (report.published, report.objects_written, report.status) == (0, 0, "ok")
    assert len(stack.engine.knowledge_base.jobs(limit=9)) == jobs


@pytest.mark.parametrize("way", ["single", "batch"])
def test_o_16_status_of_a_deleted_incident_creates_no_item(tables: AwsTables, way: str) -> None:
    """O-16: UpdateItem would make a phantom; the condition that the item exists forbids it."""
    tables.put(an_incident())
    tables.put(an_incident(incident_id="INC-2"))
    read = tables.store.read(["INC-1001", "INC-2"])
    tables.delete("INC-1001")
    note = SyncStatus(synced=True, synced_at=NOON)

    if way == "single":
        written = [tables.store.write_sync_status(read[each], note) for each in ("INC-1001", "INC-2")]
    else:
        outcomes = tables.store.write_sync_statuses([(read["INC-1001"], note), (read["INC-2"], note)])
        written = [outcome is Noted.WRITTEN for outcome in outcomes]

    assert written == [False, True]
    assert tables.store.read(["INC-1001"]) == {}
    assert tables.client.scan(TableName=tables.incidents.name)["Count"] == 1


def test_o_16_incident_deleted_in_the_middle_of_a_run_stays_deleted_and_is_withdrawn(stack: Stack) -> None:
    """O-16: deleted before the status is written: no phantom, and its document goes."""
    stack.tables.put(an_incident())
    stack.tables.put(an_incident(incident_id="INC-2"))
    sync_once(stack.engine, wait=False)
    stack.tables.delete("INC-1001")

    for _ in range(3):
        stack.home.clock.forward(minutes=10)
        sync_once(stack.engine)

    assert stack.tables.store.read(["INC-1001"]) == {}
    assert (stack.state("INC-1001"), stack.state("INC-2")) == ("withdrawn", "indexed")
    assert "INC-1001" not in " ".join(stack.home.keys())


@pytest.mark.parametrize("way", ["single", "batch"])
def test_o_18_note_fits_beside_a_description_of_399000_bytes(tables: AwsTables, way: str) -> None:
    """O-18: the bounded note of a failure finds room in an item near its limit; all of it is compared."""
    tables.put(an_incident(description="x" * 399_000))
    read = read_base(tables)
    note = SyncStatus(synced=False, sync_attempts=1, last_sync_error="e" * 500, last_sync_attempt=NOON)

    if way == "single":
        written = tables.store.write_sync_status(read, note)
    else:
        written = tables.store.write_sync_statuses([(read, note)]) == [Noted.WRITTEN]

    assert written
    assert not tables.store.write_sync_status(read, note)


def filled(tables: AwsTables, room_bytes: int) -> StoredIncident:
    """Write BASE without a map so that so many bytes are left of 400 KB, and return it as read.

    Source: DynamoDB Developer Guide, "Item sizes and formats"; the stand-in may count a little more.
    """
    tables.put(an_incident(kb_sync_status=None, description="x" * (400 * 1024 - BASE_BYTES - room_bytes)))
    return read_base(tables)


BASE_BYTES = 600
"""About what BASE takes beside its description."""


@pytest.mark.parametrize("way", ["single", "batch"])
def test_o_18_note_that_finds_little_room_is_written_without_times_and_error(
    tables: AwsTables, way: str
) -> None:
    """O-18: what the incident must say is said, however full its item is."""
    read = filled(tables, 600)
    note = SyncStatus(synced=False, sync_attempts=1, last_sync_attempt=NOON, last_sync_error="e" * 1000)

    if way == "single":
        written = tables.store.write_sync_status(read, note)
    else:
        written = tables.store.write_sync_statuses([(read, note)]) == [Noted.WRITTEN]

    assert written
    assert read_base(tables).attributes["kb_sync_status"] == {"synced": False, "sync_attempts": Decimal(1)}


def test_o_18_note_that_finds_no_room_stops_no_other(tables: AwsTables) -> None:
    """O-18: where not even that fits, it is this item's failure, and the run goes on with the others."""
    read = filled(tables, 0)
    tables.put(an_incident(incident_id="INC-2"))
    other = tables.store.read(["INC-2"])["INC-2"]
    note = SyncStatus(synced=False, sync_attempts=1)
    refused = refusal("ValidationException")

    with (
        answering(tables.client, "UpdateItem", refused, refused),
        answering(tables.client, "BatchExecuteStatement", no_room),
    ):
        outcomes = tables.store.write_sync_statuses([(read, note), (other, note)])

    with (
        answering(tables.client, "UpdateItem", refused, refused),
        pytest.raises(IncidentRejectedError, match="refuses kb_sync_status"),
    ):
        tables.store.write_sync_status(read, note)
    assert outcomes == [Noted.REFUSED, Noted.WRITTEN]


def no_room(asked: dict[str, Any]) -> dict[str, Any]:
    """Answer a batch whose statements all failed on their items."""
    failed = {"Error": {"Code": "ValidationError", "Message": "Item size has exceeded the limit"}}
    return {"Responses": [failed for _ in asked["Statements"]]}


@pytest.mark.parametrize(
    "change", [{"description": "x" * 410_000}, {"priority": 2}], ids=["too-large", "number-in-an-index-key"]
)
def test_change_that_the_table_refuses_is_told_and_marks_nothing(
    tables: AwsTables, change: dict[str, object]
) -> None:
    """Both or neither: what cannot be written leaves no mark."""
    with pytest.raises(UsageError, match="refuses INC-1001"):
        tables.store.change([IncidentChange("INC-1001", an_incident(**change), "", mark())])

    assert tables.ledger.records(["INC-1001"]) == {}


def test_item_of_more_attributes_than_a_condition_holds_is_noted_and_still_watched(tables: AwsTables) -> None:
    """An expression holds 4 KB: what documents are made from comes first, the rest as far as it goes."""
    many = {f"custom_field_{n:03}": n for n in range(600)}
    tables.put(an_incident(**many))
    read = read_base(tables)

    assert tables.store.write_sync_statuses([(read, SyncStatus(synced=False))]) == [Noted.WRITTEN]
    again = read_base(tables)
    assert tables.store.write_sync_status(again, SyncStatus(synced=True))
    tables.put(an_incident(**many, title="changed"))
    assert tables.store.write_sync_statuses([(again, SyncStatus(synced=True))]) == [Noted.CHANGED]


@pytest.mark.parametrize("name", ["a-b", "a.b", 'a"b', "ñ", "status#1", "name"], ids=ascii)
def test_attributes_with_odd_names_stand_in_no_way(tables: AwsTables, name: str) -> None:
    """Names are placeholders or quoted, reserved words and all."""
    tables.put(an_incident(**{name: "x"}))
    read = read_base(tables)

    assert tables.store.write_sync_statuses([(read, SyncStatus(synced=False))]) == [Noted.WRITTEN]
    assert tables.store.write_sync_status(read_base(tables), SyncStatus(synced=True))


@pytest.mark.parametrize("incident_id", ["", "x" * 2049, "\ud800"], ids=["empty", "too-long", "half-a-pair"])
def test_ids_that_no_key_can_be_have_no_item(tables: AwsTables, incident_id: str) -> None:
    """A read leaves them out instead of failing for all that were asked with them."""
    tables.put(an_incident())

    assert tables.store.read([incident_id, "INC-1001"]).keys() == {"INC-1001"}


def test_several_changes_of_one_incident_in_one_call_build_on_each_other(tables: AwsTables) -> None:
    """Each is judged by what stands when its turn comes."""
    tables.put(an_incident())
    token = read_base(tables).token
    one = IncidentChange("INC-1001", an_incident(title="one"), token, mark())

    assert tables.store.change([one, one]) == [True, False]
    assert read_base(tables).attributes["title"] == "one"


def test_idle_run_on_marked_tables_asks_each_queue_once(stack: Stack) -> None:
    """Promise P4 on DynamoDB: no read of an incident or record, whatever the history."""
    stack.tables.put_many([an_incident(incident_id=f"INC-{n}") for n in range(8)])
    sync_once(stack.engine)
    engine = replace(stack.engine, policy=replace(stack.engine.policy, discovery="queue"))
    stack.home.clock.forward(minutes=61)

    with (
        answering(stack.tables.client, "Query") as queries,
        answering(stack.tables.client, "BatchGetItem") as reads,
        answering(stack.tables.client, "Scan") as scans,
    ):
        report = sync_once(engine)

    assert report.status == "ok"
    assert (len(reads), len(scans)) == (0, 0)
    due = [each for each in queries if each.get("IndexName") == "queue-due"]
    assert [each["ExpressionAttributeValues"][":queue"]["S"] for each in due] == ["publish#0", "confirm#0"]


def test_second_run_over_unchanged_tables_writes_no_incident(stack: Stack) -> None:
    """Nothing wasted: what is synced is neither noted nor put again."""
    stack.tables.put(an_incident())
    sync_once(stack.engine)
    stack.home.clock.forward(minutes=61)

    with (
        answering(stack.tables.client, "UpdateItem") as updates,
        answering(stack.tables.client, "BatchExecuteStatement") as statements,
    ):
        report = sync_once(stack.engine)

    assert (report.published, report.objects_written, statements) == (0, 0, [])
    assert [each for each in updates if each["TableName"] == stack.tables.incidents.name] == []
    assert stack.engine.now() - NOON > timedelta(minutes=61)
