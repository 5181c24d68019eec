"""P4: what an idle run of an embedded home reads does not depend on its history."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builders import Home, a_home
from kbsync.engine import Policy
from kbsync.pipeline.discover import turn_marking_on
from kbsync.pipeline.sync import sync_once
from settled import settle

LARGE_TABLES = ("incidents", "records", "documents", "attributes", "embeddings")


def home_with(folder: Path, count: int, *, shards: int = 1) -> Home:
    """Open a home with so many settled incidents that has run before."""
    home = a_home(folder, policy=Policy(shards=shards))
    turn_marking_on(home.engine, table_is_empty=True)
    sync_once(home.engine)
    settle(home.ledger._database, count, home.engine.transform.rendered_by)
    return home


@contextmanager
def traced(home: Home) -> Iterator[tuple[list[str], list[int]]]:
    """Note every statement, and every step of SQLite's machine, on both files of the home."""
    statements: list[str] = []
    steps = [0]

    def statement(_cursor: object, sql: str, _bindings: object) -> bool:
        statements.append(sql)
        return True

    def step() -> bool:
        steps[0] += 1
        return False

    connections = (home.ledger._database._connection, home.knowledge_base._file._connection)
    for connection in connections:
        connection.exec_trace = statement
        connection.set_progress_handler(step, 1)
    yield statements, steps
    for connection in connections:
        connection.exec_trace = None
        connection.set_progress_handler(None)


@pytest.mark.parametrize("shards", [1, 4])
def test_idle_run_asks_one_question_a_stage_and_shard_and_never_reads_a_table_through(
    tmp_path: Path, shards: int
) -> None:
    home = home_with(tmp_path / "home", 50, shards=shards)

    with traced(home) as (statements, _):
        report = sync_once(home.engine)

    assert (report.status, report.found, report.indexed) == ("ok", 0, 0)
    due = [sql for sql in statements if "FROM records" in sql and "due > ?" in sql]
    assert len(due) == 2 * shards
    plans = {sql: read_through(home, sql) for sql in statements}
    assert {sql: tables for sql, tables in plans.items() if tables} == {}


def read_through(home: Home, sql: str) -> list[str]:
    """Return the large tables that a statement's plan goes through from end to end."""
    if not sql.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH")):
        return []
    in_index = "documents" in sql or "jobs" in sql
    connection = (home.knowledge_base._file if in_index else home.ledger._database)._connection
    bindings = (None,) * sql.count("?")
    plan = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
    return [
        line for line in plan if line.startswith("SCAN") and any(f" {each}" in line for each in LARGE_TABLES)
    ]


def test_plans_tell_a_table_that_is_read_through(tmp_path: Path) -> None:
    """The test above can fail."""
    home = home_with(tmp_path / "home", 1)

    assert read_through(home, "SELECT count(*) FROM records WHERE content LIKE ?")


def test_idle_run_takes_as_many_steps_with_ten_settled_incidents_as_with_ten_thousand(tmp_path: Path) -> None:
    taken = []
    for count in (10, 10_000):
        home = home_with(tmp_path / str(count), count)
        sync_once(home.engine)  # an earlier run's record is there in both
        with traced(home) as (_, steps):
            sync_once(home.engine)
        taken.append(steps[0])

    assert taken[0] > 100
    assert taken[1] == taken[0]
