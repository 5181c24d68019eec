"""The ledger table as DynamoDB holds it: keys, expiry, pages, and what its calls cost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aws_tables import AwsTables, answering
from kbsync.aws.tables import EXPIRES_AT, QUEUE_INDEX, incidents_table, ledger_table
from kbsync.model import Mark, Save, SaveOutcome, Stage, State, SyncRecord
from kbsync.ports import IncidentChange
from kbsync.queueing import due_at, due_until, queue_name
from kbsync.run_report import RunReport

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def raw_items(tables: AwsTables) -> list[dict[str, Any]]:
    """Return all items of the ledger table as they are stored."""
    return list(tables.client.scan(TableName=tables.records.name)["Items"])


def tombstone(incident_id: str, ends_at: datetime, generation: int = 0) -> SyncRecord:
    return SyncRecord(
        incident_id=incident_id,
        state=State.WITHDRAWN,
        incident_exists=False,
        expires_at=ends_at,
        generation=generation,
    )


def test_lease_keeps_its_end_as_text_so_that_ttl_never_deletes_its_generation(tables: AwsTables) -> None:
    """TTL looks at numbers only; a lease that it deleted would start at generation 1 again."""
    lease = tables.ledger.acquire_lease("publisher", "run-1", now=NOON, seconds=60, grace_seconds=1)
    tables.ledger.release_lease(lease)

    [item] = raw_items(tables)

    assert item["expires_at"] == {"S": "2026-03-10T12:01:00.000000Z"}
    assert (item["pk"], item["generation"]) == ({"S": "lease#publisher"}, {"N": "1"})


def test_expired_item_counts_as_gone_before_ttl_has_deleted_it(tables: AwsTables) -> None:
    """Source: DynamoDB Developer Guide, "Using time to live": deletion may take days."""
    tables.ledger.save([Save(tombstone("INC-1", NOON, generation=4), "")])
    tables.ledger.save_run(RunReport(run_id="a", started_at=NOON - timedelta(days=91)))
    tables.ledger.save_run(RunReport(run_id="b", started_at=NOON))

    assert len(raw_items(tables)) == 3
    assert tables.ledger.records(["INC-1"]) == {}
    assert tables.ledger.list_records(state=State.WITHDRAWN, cursor="", limit=5).items == ()
    assert tables.ledger.count_records() == ({}, 0)
    assert [run.run_id for run in tables.ledger.runs(limit=5)] == ["b"]


def test_mark_on_an_expired_record_makes_it_due_again_and_one_that_may_not_create_does_not(
    tables: AwsTables,
) -> None:
    """The incident is back, or somebody asks for it: its record stays, and no longer expires."""
    tables.ledger.save([Save(tombstone("INC-1", NOON, generation=4), "")])

    tables.ledger.mark([Mark("INC-1", NOON, create=False)])
    unmarked = tables.ledger.records(["INC-1"])
    tables.ledger.mark([Mark("INC-1", NOON)])

    record = tables.ledger.records(["INC-1"])["INC-1"]
    assert unmarked == {}
    assert (record.queue, record.expires_at, record.generation) == ("publish#0", None, 4)


def test_change_beside_an_expired_record_writes_the_incident_alone(tables: AwsTables) -> None:
    tables.ledger.save([Save(tombstone("INC-1", NOON), "")])
    item = {"incident_id": "INC-1", "sk": "METADATA", "status": "OPEN", "priority": "P2"}

    outcome = tables.store.change([IncidentChange("INC-1", item, "", Mark("INC-1", NOON, create=False))])

    assert outcome == [True]
    assert tables.ledger.records(["INC-1"]) == {}


def test_settled_record_leaves_the_index(tables: AwsTables) -> None:
    """Sparse: only what has work is in it, so that a query costs what is due, whatever the history."""
    tables.ledger.mark([Mark("INC-1", NOON), Mark("INC-2", NOON)])
    read = tables.ledger.records(["INC-1"])["INC-1"]
    tables.ledger.save([Save(replace(read, queue="", due="", pending_since=None), read.due)])

    items = tables.client.scan(TableName=tables.records.name, IndexName=QUEUE_INDEX)["Items"]

    assert [item["pk"] for item in items] == [{"S": "incident#INC-2"}]
    assert items[0].keys() == {"pk", "sk", "queue", "due", "pending_since"}


def test_o_15_due_shows_what_the_index_showed_and_the_record_says_the_truth(tables: AwsTables) -> None:
    """O-15: the index may lag; an entry of the past is seen through by reading the record."""
    tables.ledger.mark([Mark("INC-1", NOON)])
    read = tables.ledger.records(["INC-1"])["INC-1"]
    past = tables.client.query(
        TableName=tables.records.name,
        IndexName=QUEUE_INDEX,
        KeyConditionExpression="queue = :queue",
        ExpressionAttributeValues={":queue": {"S": "publish#0"}},
    )
    tables.ledger.save([Save(replace(read, queue="", due="", pending_since=None), read.due)])

    with answering(tables.client, "Query", lambda _: {"Items": past["Items"]}):
        [entry] = tables.ledger.due("publish#0", until=due_until(NOON), after="", limit=5)

    assert entry.due == read.due
    assert tables.ledger.records([entry.incident_id])["INC-1"].due == ""
    assert tables.ledger.save([Save(replace(read, fingerprint="f"), entry.due)]) == [
        SaveOutcome.MARKED_MEANWHILE
    ]


def test_idle_looks_at_the_queue_are_one_query_each(tables: AwsTables) -> None:
    """Promise P4: what is settled costs nothing, and no look reads a record."""
    tables.ledger.save([Save(SyncRecord(incident_id=f"INC-{n}"), "") for n in range(5)])

    with answering(tables.client, "Query") as queries, answering(tables.client, "BatchGetItem") as reads:
        found = [
            tables.ledger.due(f"{stage}#0", until=due_until(NOON), after="", limit=50) for stage in Stage
        ]

    assert found == [[]] * len(Stage)
    assert (len(queries), len(reads)) == (len(Stage), 0)


def test_due_after_its_end_is_empty_without_a_call(tables: AwsTables) -> None:
    with answering(tables.client, "Query") as queries:
        assert tables.ledger.due("publish#0", until="a", after="b", limit=5) == []

    assert queries == []


def test_records_are_listed_past_whatever_else_the_table_holds(tables: AwsTables) -> None:
    """Values, runs and leases lie between the records; a page is full all the same, or the last."""
    for n in range(6):
        tables.ledger.write_value(f"value-{n}", "x")
        tables.ledger.save_run(RunReport(run_id=str(n), started_at=NOON))
        tables.ledger.save([Save(SyncRecord(incident_id=f"INC-{n}"), "")])

    pages, cursor = [], ""
    while True:
        page = tables.ledger.list_records(state=None, cursor=cursor, limit=4)
        pages.append([record.incident_id for record in page.items])
        cursor = page.cursor
        if not cursor:
            break

    assert [len(page) for page in pages] == [4, 2]
    assert sorted(each for page in pages for each in page) == [f"INC-{n}" for n in range(6)]


def test_scan_follows_pages_that_dynamodb_cuts_at_a_megabyte(tables: AwsTables) -> None:
    """Source: DynamoDB API reference, Scan: a page ends at 1 MB; only a missing key ends the listing."""
    for n in range(5):
        record = SyncRecord(incident_id=f"INC-{n}", notes=("x" * 300_000,), state=State.INDEXED)
        tables.ledger.save([Save(record, "")])

    with answering(tables.client, "Scan") as scans:
        counted = tables.ledger.count_records()

    assert counted == ({State.INDEXED: 5}, 0)
    assert len(scans) > 1


def test_page_of_no_records_is_refused(tables: AwsTables) -> None:
    with pytest.raises(ValueError, match="at least one"):
        tables.ledger.list_records(state=None, cursor="", limit=0)


def test_oldest_pending_reads_the_index_and_covers_every_shard(tables: AwsTables) -> None:
    """Whatever the count of shards was when an entry was marked; back-off hides no age."""
    for n, shards in enumerate((1, 4, 16)):
        since = NOON - timedelta(hours=n)
        record = SyncRecord(
            incident_id=f"INC-{n}",
            queue=queue_name(Stage.PUBLISH, f"INC-{n}", shards),
            due=due_at(NOON + timedelta(hours=n)),
            pending_since=since,
        )
        tables.ledger.save([Save(record, "")])

    with answering(tables.client, "Scan") as scans:
        oldest = tables.ledger.oldest_pending()

    assert oldest == NOON - timedelta(hours=2)
    assert [scan.get("IndexName") for scan in scans] == [QUEUE_INDEX]


def test_runs_are_kept_ninety_days(tables: AwsTables) -> None:
    tables.ledger.save_run(RunReport(run_id="a", started_at=NOON))

    [item] = raw_items(tables)

    assert item[EXPIRES_AT] == {"N": str(int((NOON + timedelta(days=90)).timestamp()))}


def test_definitions_hold_the_originals_names_and_nothing_more() -> None:
    """Source: ORIGINAL_DESIGN.md: keys `incident_id` and `sk`, index `GSI-2-status-priority`."""
    incidents, ledger = incidents_table("incidents"), ledger_table("kbsync")

    [index] = incidents["GlobalSecondaryIndexes"]
    assert [key["AttributeName"] for key in incidents["KeySchema"]] == ["incident_id", "sk"]
    assert index["IndexName"] == "GSI-2-status-priority"
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["status", "priority"]
    for table in (incidents, ledger):
        indexed = {
            key["AttributeName"] for index in table["GlobalSecondaryIndexes"] for key in index["KeySchema"]
        }
        keys = {key["AttributeName"] for key in table["KeySchema"]} | indexed
        assert {each["AttributeName"] for each in table["AttributeDefinitions"]} == keys
