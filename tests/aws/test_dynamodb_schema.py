"""The ledger table's version: noted by the first write, brought up where older, refused where newer."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from aws_tables import AwsTables
from kbsync.aws.attributes import attributes_of, item_of
from kbsync.aws.dynamo_table import DynamoTable
from kbsync.aws.ledger import DynamoLedger
from kbsync.aws.record_marks import RecordMarks
from kbsync.aws.schema import MIGRATIONS, SCHEMA_KEY, checked_table
from kbsync.errors import SchemaTooNewError, UnavailableError
from kbsync.model import Mark


@pytest.fixture
def tables(ministack: str) -> Iterator[AwsTables]:
    assert ministack
    made = AwsTables()
    yield made
    made.close()


def ledger_of(tables: AwsTables, *migrations: Callable[[DynamoTable], None]) -> DynamoLedger:
    """Return the ledger as an engine of a release with these migrations has it."""
    return DynamoLedger(checked_table(tables.records, migrations or MIGRATIONS), 1, tables.clock)


def stored(tables: AwsTables) -> int | None:
    answer = tables.client.get_item(TableName=tables.records.name, Key=SCHEMA_KEY)
    return int(str(attributes_of(answer["Item"])["version"])) if "Item" in answer else None


def store(tables: AwsTables, version: int) -> None:
    tables.client.put_item(
        TableName=tables.records.name, Item={**SCHEMA_KEY, **item_of({"version": version})}
    )


@pytest.mark.parametrize(
    "use",
    [
        lambda ledger: ledger.read_value("pause"),
        lambda ledger: ledger.records(["INC-1"]),
        lambda ledger: ledger.runs(limit=1),
        lambda ledger: ledger.write_value("pause", "now"),
        lambda ledger: ledger.mark([Mark("INC-1", ledger._now())]),
    ],
    ids=["value", "records", "runs", "write", "mark"],
)
def test_newer_table_is_neither_read_nor_written(
    tables: AwsTables, use: Callable[[DynamoLedger], object]
) -> None:
    store(tables, 2)

    with pytest.raises(SchemaTooNewError, match="version 2; this kbsync knows versions up to 1"):
        use(ledger_of(tables))

    assert tables.client.scan(TableName=tables.records.name)["Count"] == 1


def test_marks_of_our_own_api_refuse_a_newer_table(tables: AwsTables) -> None:
    store(tables, 2)
    marks = RecordMarks(checked_table(tables.records), 1, tables.clock)

    with pytest.raises(SchemaTooNewError, match="knows versions up to 1"):
        marks.read(["INC-1"])


def test_first_write_notes_the_version_and_reading_does_not(tables: AwsTables) -> None:
    ledger = ledger_of(tables)

    ledger.read_value("pause")
    ledger.due("publish#0", until="9", after="", limit=1)
    after_reading = stored(tables)
    ledger.write_value("pause", "now")

    assert (after_reading, stored(tables)) == (None, 1)


def test_version_is_looked_at_once_for_each_engine(tables: AwsTables) -> None:
    sent: list[str] = []

    def note(params: dict[str, Any], **_: object) -> None:
        sent.append(str(params["Key"]["pk"]["S"]))

    ledger = ledger_of(tables)
    event = "before-parameter-build.dynamodb.GetItem"
    tables.client.meta.events.register(event, note)
    try:
        for _ in range(3):
            ledger.read_value("pause")
    finally:
        tables.client.meta.events.unregister(event, note)

    assert sent == ["schema", "value#pause", "value#pause", "value#pause"]


def test_older_table_is_brought_up_one_version_at_a_time_before_the_first_write(tables: AwsTables) -> None:
    store(tables, 1)
    done: list[str] = []

    def second(table: DynamoTable) -> None:
        done.append("second")
        table.client.put_item(TableName=table.name, Item=item_of({"pk": "value#moved", "sk": "value"}))

    ledger = ledger_of(tables, lambda _: done.append("first"), second, lambda _: done.append("third"))
    ledger.write_value("pause", "now")
    ledger.write_value("pause", "")

    assert done == ["second", "third"]
    assert stored(tables) == 3


def test_migration_that_is_cut_short_is_run_again_by_the_next_engine(tables: AwsTables) -> None:
    store(tables, 1)
    done: list[str] = []

    def breaking(_: DynamoTable) -> None:
        done.append("begun")
        raise UnavailableError("gone")

    with pytest.raises(UnavailableError, match="gone"):
        ledger_of(tables, lambda _: None, breaking).write_value("pause", "now")
    between = stored(tables)
    ledger_of(tables, lambda _: None, lambda _: done.append("ended")).write_value("pause", "now")

    assert (between, done, stored(tables)) == (1, ["begun", "ended"], 2)


def test_engine_that_another_overtakes_in_a_migration_refuses_the_newer_table(tables: AwsTables) -> None:
    def overtaken(_: DynamoTable) -> None:
        store(tables, 5)

    ledger = ledger_of(tables, overtaken)

    with pytest.raises(SchemaTooNewError, match="version 5"):
        ledger.write_value("pause", "now")

    assert tables.client.scan(TableName=tables.records.name)["Count"] == 1


def test_two_engines_that_note_the_version_at_once_both_go_on(tables: AwsTables) -> None:
    ledger = ledger_of(tables, lambda _: store(tables, 1))

    assert ledger.write_value("pause", "now")
    assert stored(tables) == 1


def test_version_is_no_record_and_counts_as_none(tables: AwsTables) -> None:
    ledger = ledger_of(tables)
    ledger.mark([replace(Mark("INC-1", tables.clock()), create=True)])

    page = ledger.list_records(state=None, cursor="", limit=10)

    assert [record.incident_id for record in page.items] == ["INC-1"]
    assert sum(ledger.count_records()[0].values()) == 1
