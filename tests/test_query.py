"""What is kept of a pasted stack trace or log before it is searched for."""

import pytest

from kbsync.query import MOST_TELLING_CHARACTERS, headline, telling_part

JAVA = """\
2026-05-03 12:00:02,001 ERROR [http-1] core: servlet failed
java.lang.RuntimeException: could not save the order
\tat com.acme.Orders.save(Orders.java:31)
\tat com.acme.Orders.submit(Orders.java:12)
\t... 20 more
Caused by: java.sql.SQLTransientConnectionException: pool exhausted
\tat com.zaxxer.hikari.HikariPool.get(HikariPool.java:99)
"""


@pytest.mark.parametrize(
    "text",
    [
        "clientes cobrados dos veces",
        "ORA-00060: deadlock detected",
        "a long description\n" * 400,
        "The import failed.\n    at the second file\nERROR 17",
        "",
    ],
    ids=["words", "one error", "long prose", "prose that looks a little like a log", "nothing"],
)
def test_query_without_trace_or_log_stays_as_it_is(text: str) -> None:
    assert telling_part(text) == text


def test_java_trace_puts_the_root_cause_first_with_its_frame() -> None:
    told = telling_part(JAVA).splitlines()

    assert told[:2] == [
        "Caused by: java.sql.SQLTransientConnectionException: pool exhausted",
        "at com.zaxxer.hikari.HikariPool.get(HikariPool.java:99)",
    ]
    assert "java.lang.RuntimeException: could not save the order" in told


def test_what_was_typed_before_a_trace_stays_in_front() -> None:
    told = telling_part("Orders are lost since the release\n\n" + JAVA)

    assert told.startswith("Orders are lost since the release\nCaused by: ")


def test_python_trace_keeps_the_error_below_the_frames() -> None:
    trace = (
        "Traceback (most recent call last):\n"
        '  File "/app/main.py", line 10, in <module>\n    run()\n'
        '  File "/app/db.py", line 33, in run\n    cursor.execute(query)\n'
        "psycopg2.OperationalError: Connection refused\n"
    )

    assert "psycopg2.OperationalError: Connection refused" in telling_part(
        trace.replace("run()", "run()" * 9)
    )


def test_error_at_the_end_of_a_huge_log_is_found_among_what_was_well() -> None:
    quiet = "\n".join(
        f"2026-05-03T12:00:00Z INFO heartbeat {number} without error" for number in range(20_000)
    )

    told = telling_part(f"{quiet}\n{JAVA}")

    assert told.startswith("Caused by: java.sql.SQLTransientConnectionException: pool exhausted")
    assert "heartbeat" not in told


def test_lines_that_differ_in_numbers_only_are_kept_once_and_the_whole_is_bounded() -> None:
    repeated = "".join(f"12:00:{second:02d} ERROR node {second} is unreachable\n" for second in range(60))
    different = "".join(f"12:00:00 ERROR {'x' * length} is unreachable\n" for length in range(1, 300))

    assert telling_part(repeated).splitlines() == ["ERROR node 0 is unreachable"]
    assert 0 < len(telling_part(different)) <= MOST_TELLING_CHARACTERS


def test_log_without_any_error_stays_as_it_is() -> None:
    log = "12:00:01 INFO started\n12:00:02 INFO ready\n12:00:03 INFO listening\n"

    assert telling_part(log) == log


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Pool exhausted on orders-db\n\nConnections time out.", "Pool exhausted on orders-db"),
        ("  Pool exhausted on orders-db \r\nConnections time out.", "Pool exhausted on orders-db"),
        ("Pool exhausted on orders-db", ""),
        ("Two words\nand then the rest of the story", ""),
        ("a long line " * 20 + "\nand then the rest of the story", ""),
        ("", ""),
    ],
    ids=[
        "title",
        "title with white space",
        "one line",
        "no title: two words",
        "no title: too long",
        "nothing",
    ],
)
def test_headline_is_a_first_line_that_reads_like_a_title(text: str, first: str) -> None:
    assert headline(text) == first
