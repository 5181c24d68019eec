"""What doctor finds in both tables, and what the ledger tells it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from aws_setup import SetUp, denied

from doctor.naming import Expected, assert_named, cases
from kbsync.aws.tables import incidents_table, ledger_table
from kbsync.doctor.finding import Code, Severity
from kbsync.model import Mark
from kbsync.run_report import RunReport


def _incidents(setup: SetUp) -> Any:
    return incidents_table(setup.settings.incidents_table)


def _ledger(setup: SetUp) -> Any:
    return ledger_table(setup.settings.kbsync_table)


def no_table(setup: SetUp) -> None:
    setup.change(incidents_table="nowhere")


def other_table_keys(setup: SetUp) -> None:
    definition = _incidents(setup)
    definition["KeySchema"] = definition["KeySchema"][:1]
    definition["AttributeDefinitions"] = [
        each for each in definition["AttributeDefinitions"] if each["AttributeName"] != "sk"
    ]
    setup.replace_table(definition)


def table_of_another_region(setup: SetUp) -> None:
    def move(parsed: dict[str, Any]) -> None:
        if "incidents-" in parsed["Table"]["TableName"]:
            parsed["Table"]["TableArn"] = parsed["Table"]["TableArn"].replace("eu-west-1", "eu-west-2")

    setup.alter("dynamodb.DescribeTable", move)


def table_in_the_making(setup: SetUp) -> None:
    def making(parsed: dict[str, Any]) -> None:
        if "incidents-" in parsed["Table"]["TableName"]:
            parsed["Table"]["TableStatus"] = "CREATING"

    setup.alter("dynamodb.DescribeTable", making)


def projection_without_status_map(setup: SetUp) -> None:
    definition = _incidents(setup)
    definition["GlobalSecondaryIndexes"][0]["Projection"] = {
        "ProjectionType": "INCLUDE",
        "NonKeyAttributes": ["title"],
    }
    setup.replace_table(definition)


def index_by_priority(setup: SetUp) -> None:
    definition = _incidents(setup)
    definition["GlobalSecondaryIndexes"][0]["KeySchema"] = [
        {"AttributeName": "priority", "KeyType": "HASH"},
        {"AttributeName": "status", "KeyType": "RANGE"},
    ]
    setup.replace_table(definition)


def _alter_index(setup: SetUp, **values: object) -> None:
    def change(parsed: dict[str, Any]) -> None:
        if "incidents-" in parsed["Table"]["TableName"]:
            parsed["Table"]["GlobalSecondaryIndexes"][0].update(values)

    setup.alter("dynamodb.DescribeTable", change)


def index_in_the_making(setup: SetUp) -> None:
    _alter_index(setup, IndexStatus="CREATING")


def costly_index(setup: SetUp) -> None:
    _alter_index(setup, ItemCount=2_000_000, IndexSizeBytes=8192 * 1_001)


def index_that_may_not_be_queried(setup: SetUp) -> None:
    setup.hook("dynamodb.Query", denied)


def no_ledger(setup: SetUp) -> None:
    setup.change(kbsync_table="nowhere")


def other_ledger_keys(setup: SetUp) -> None:
    definition = _ledger(setup)
    definition["KeySchema"] = [
        {"AttributeName": "sk", "KeyType": "HASH"},
        {"AttributeName": "pk", "KeyType": "RANGE"},
    ]
    setup.replace_table(definition)


def ledger_of_another_region(setup: SetUp) -> None:
    def move(parsed: dict[str, Any]) -> None:
        if "kbsync-" in parsed["Table"]["TableName"]:
            parsed["Table"]["TableArn"] = parsed["Table"]["TableArn"].replace("eu-west-1", "eu-west-2")

    setup.alter("dynamodb.DescribeTable", move)


def ledger_index_by_due(setup: SetUp) -> None:
    definition = _ledger(setup)
    definition["GlobalSecondaryIndexes"][0]["KeySchema"] = [
        {"AttributeName": "due", "KeyType": "HASH"},
        {"AttributeName": "queue", "KeyType": "RANGE"},
    ]
    setup.replace_table(definition)


def ledger_without_index(setup: SetUp) -> None:
    definition = _ledger(setup)
    del definition["GlobalSecondaryIndexes"]
    definition["AttributeDefinitions"] = definition["AttributeDefinitions"][:2]
    setup.replace_table(definition)


def ledger_index_without_age(setup: SetUp) -> None:
    definition = _ledger(setup)
    definition["GlobalSecondaryIndexes"][0]["Projection"] = {"ProjectionType": "KEYS_ONLY"}
    setup.replace_table(definition)


def newest_run_failed(setup: SetUp) -> None:
    at = setup.now() + timedelta(seconds=1)
    setup.ledger.save_run(RunReport(run_id="run-2", status="failed", started_at=at, ended_at=at))


def paused(setup: SetUp) -> None:
    setup.ledger.write_value("pause", '{"at": "2026-03-10T12:00:00+00:00", "reason": "moving"}')


def withdrawals_that_wait(setup: SetUp) -> None:
    setup.ledger.write_value("brake", '{"waiting": 30, "causes": {"deleted": 30}}')


def old_entry_in_the_queue(setup: SetUp) -> None:
    setup.ledger.mark([Mark("INC-1", setup.now() - timedelta(hours=2))])


def lease_of_a_dead_run(setup: SetUp) -> None:
    setup.ledger.acquire_lease(
        "publisher", "run-0", now=setup.now() - timedelta(hours=1), seconds=120, grace_seconds=60
    )


def lease_from_a_clock_ahead(setup: SetUp) -> None:
    setup.ledger.acquire_lease(
        "publisher", "run-0", now=setup.now() + timedelta(hours=9), seconds=120, grace_seconds=60
    )


def runs_that_may_not_be_read(setup: SetUp) -> None:
    setup.refuse("dynamodb.Scan", "AccessDeniedException")


BROKEN = {
    no_table: ("table-missing", "error", "check INCIDENTS_TABLE (here nowhere)"),
    other_table_keys: ("table-keys", "error", "incident_id and sk"),
    table_of_another_region: ("wrong-region", "error", "set AWS_REGION=eu-west-2"),
    table_in_the_making: ("table-missing", "error", "wait until it is ACTIVE"),
    projection_without_status_map: ("index-projection", "error", "kb_sync_status"),
    index_by_priority: ("index-keys", "error", "the partition key status"),
    index_in_the_making: ("index-not-active", "warning", "wait until it is ACTIVE"),
    costly_index: ("index-cost", "warning", "deploy the stream marker"),
    no_ledger: ("ledger-missing", "error", "check KBSYNC_TABLE (here nowhere)"),
    ledger_of_another_region: ("wrong-region", "error", "set AWS_REGION=eu-west-2"),
    newest_run_failed: ("run-failed", "warning", "`kbsync runs`"),
    paused: ("paused", "warning", "`kbsync resume`"),
    withdrawals_that_wait: ("withdrawals-held", "warning", "`kbsync approve`"),
    old_entry_in_the_queue: ("queue-old", "warning", "`kbsync sync`"),
    lease_of_a_dead_run: ("lease-stale", "warning", "nothing to do"),
    lease_from_a_clock_ahead: ("lease-stuck", "error", "clock"),
    runs_that_may_not_be_read: ("permission-missing", "error", "allow dynamodb:Scan"),
}


@cases(BROKEN)
def test_broken_table_is_named_with_its_remedy(
    setup: SetUp, spoil: Callable[[SetUp], None], expected: Expected
) -> None:
    spoil(setup)

    assert_named(setup.wrong(), expected)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        pytest.param(other_ledger_keys, "ledger-keys", id="keys"),
        pytest.param(ledger_without_index, "ledger-index", id="no index"),
        pytest.param(ledger_index_by_due, "ledger-index", id="index keys"),
        pytest.param(ledger_index_without_age, "ledger-index", id="projection"),
    ],
)
def test_ledger_of_another_shape_is_an_error(setup: SetUp, spoil: Callable[[SetUp], None], code: str) -> None:
    spoil(setup)

    wrong = setup.wrong()

    assert set(wrong) == {code, "ledger-ttl", "ledger-backup"}  # the new table lost these two as well
    assert wrong[code].severity is Severity.ERROR
    assert "deploy the stack" in wrong[code].remedy


def test_denied_query_names_the_action_for_index_and_ledger(setup: SetUp) -> None:
    index_that_may_not_be_queried(setup)

    denials = [each for each in setup.findings() if each.code is Code.PERMISSION_MISSING]

    assert [each.subject for each in denials] == [
        "index GSI-2-status-priority",
        f"table {setup.settings.kbsync_table}",
    ]
    assert all("allow dynamodb:Query" in each.remedy for each in denials)


def test_queue_alone_needs_a_stream_and_no_index(setup: SetUp) -> None:
    setup.change(discovery="queue")
    definition = _incidents(setup)
    del definition["GlobalSecondaryIndexes"]
    definition["AttributeDefinitions"] = definition["AttributeDefinitions"][:2]
    setup.replace_table(definition)

    wrong = setup.wrong()

    assert {code: each.severity for code, each in wrong.items()} == {
        "index-missing": Severity.WARNING,
        "stream-missing": Severity.WARNING,
    }


def test_cost_of_the_index_is_told_until_writers_mark(setup: SetUp) -> None:
    _alter_index(setup, ItemCount=100, IndexSizeBytes=81_920)
    before = {each.code: each for each in setup.findings()}
    setup.ledger.write_value("marking", '{"on": true, "passed": true, "cursor": "", "closed": ["CLOSED"]}')

    after = {each.code for each in setup.findings()}

    assert before[Code.INDEX_COST].severity is Severity.OK
    assert "up to 10 units (100 items, 81920 bytes" in before[Code.INDEX_COST].seen
    assert "7200 a month" in before[Code.INDEX_COST].seen
    assert Code.INDEX_COST not in after


def test_long_time_without_a_run_is_told_with_its_length(setup: SetUp) -> None:
    setup.clock_ahead = timedelta(hours=5)

    wrong = setup.wrong()

    assert set(wrong) == {"run-old", "clock-skew"}
    assert "5 h ago" in wrong["run-old"].seen


def test_missing_index_is_no_error_once_writers_mark(setup: SetUp) -> None:
    definition = _incidents(setup)
    del definition["GlobalSecondaryIndexes"]
    definition["AttributeDefinitions"] = definition["AttributeDefinitions"][:2]
    setup.replace_table(definition)
    setup.ledger.write_value("marking", '{"on": true, "passed": true, "cursor": "", "closed": ["CLOSED"]}')

    wrong = setup.wrong()

    assert {code: each.severity for code, each in wrong.items()} == {"index-missing": Severity.WARNING}


def test_index_that_is_always_paged_tells_its_cost_although_writers_mark(setup: SetUp) -> None:
    setup.change(discovery="index")
    setup.ledger.write_value("marking", '{"on": true, "passed": true, "cursor": "", "closed": ["CLOSED"]}')

    assert Code.INDEX_COST in {each.code for each in setup.findings()}


def test_projection_that_includes_the_status_map_is_well(setup: SetUp) -> None:
    definition = _incidents(setup)
    definition["GlobalSecondaryIndexes"][0]["Projection"] = {
        "ProjectionType": "INCLUDE",
        "NonKeyAttributes": ["kb_sync_status"],
    }
    setup.replace_table(definition)

    assert setup.wrong() == {}


def test_lease_of_a_live_run_is_well(setup: SetUp) -> None:
    setup.ledger.acquire_lease("publisher", "run-9", now=setup.now(), seconds=120, grace_seconds=60)

    found = {each.code: each for each in setup.findings()}

    assert found[Code.LEASE].seen.startswith("held by run run-9 until ")
