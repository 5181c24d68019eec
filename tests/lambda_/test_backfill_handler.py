"""The back-fill worker on a home, reading an export from an S3 that answers as S3 does."""

import gzip
import json
from collections.abc import Iterator

import boto3
import pytest

from aws_servers import REGION
from builders import Home, an_incident
from exports import export_lines
from kbsync.errors import FatalError, UsageError
from kbsync.lambda_handlers.backfill import handler
from kbsync.lambda_handlers.runtime import RESERVE
from kbsync.pipeline.sync import sync_once
from lambda_.running import Context, call

KEY = "AWSDynamoDB/0170/data/a.json.gz"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def bucket(ministack: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket with an export of 250 closed incidents in it, and the variables of a function."""
    for name, value in {
        "S3_BUCKET": "documents",
        "KB_ID": "VH6SRH9ZNO",
        "DATA_SOURCE_ID": "ABCDEFGHIJ",
    }.items():
        monkeypatch.setenv(name, value)
    assert ministack
    client, name = boto3.client("s3", region_name=REGION), "exports-of-the-tests"
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    items = [an_incident(incident_id=f"INC-{number:03}") for number in range(250)]
    client.put_object(Bucket=name, Key=KEY, Body=gzip.compress(export_lines(items)))
    client.put_object(Bucket=name, Key="cut", Body=gzip.compress(export_lines(items))[:-9])
    yield name
    for each in (KEY, "cut"):
        client.delete_object(Bucket=name, Key=each)
    client.delete_bucket(Bucket=name)


def test_file_of_an_export_is_marked_and_measured(home: Home, bucket: str, capsys: Capture) -> None:
    done = call(handler, {"bucket": bucket, "key": KEY, "position": ""}, capsys)

    assert (done.answer["done"], done.answer["marked"], done.answer["position"]) == (True, 250, "250")
    assert done.total == {"BackfillsStarted": 1, "BackfillMarked": 250, "BackfillUnreadable": 0}
    assert json.loads(json.dumps(done.answer)) == done.answer
    assert len(home.ledger.due("publish#0", until="~", after="", limit=300)) == 250


def test_too_little_time_gives_the_position_to_go_on_from(home: Home, bucket: str, capsys: Capture) -> None:
    short = Context(remaining_milliseconds=int(RESERVE.total_seconds() * 1000))
    event = {"bucket": bucket, "key": KEY, "position": ""}
    marked, calls = 0, 0
    while True:
        answer = call(handler, event, capsys, short).answer
        marked, calls = marked + answer["marked"], calls + 1
        if answer["done"]:
            break
        event = {**event, "position": answer["position"]}

    assert (marked, calls) == (250, 4)
    assert len(home.ledger.due("publish#0", until="~", after="", limit=300)) == 250


def test_second_delivery_marks_nothing_twice(home: Home, bucket: str, capsys: Capture) -> None:
    event = {"bucket": bucket, "key": KEY, "position": ""}
    call(handler, event, capsys)
    sync_once(home.engine)

    assert call(handler, event, capsys).answer["marked"] == 250  # the table has none of them any more
    sync_once(home.engine)
    assert home.state("INC-001") == "none"


@pytest.mark.parametrize(
    "event", [{}, {"bucket": "b", "key": "k"}, {"bucket": "", "key": "k", "position": ""}]
)
@pytest.mark.usefixtures("home")
def test_event_that_names_no_file_is_an_error(capsys: Capture, event: dict[str, object]) -> None:
    assert isinstance(call(handler, event, capsys).error, UsageError)


def test_file_that_is_cut_is_an_error_and_what_was_read_is_marked(
    home: Home, bucket: str, capsys: Capture
) -> None:
    done = call(handler, {"bucket": bucket, "key": "cut", "position": ""}, capsys)

    assert isinstance(done.error, UsageError)
    assert home.ledger.due("publish#0", until="~", after="", limit=300)


@pytest.mark.usefixtures("home")
def test_file_that_is_not_there_is_an_error(bucket: str, capsys: Capture) -> None:
    done = call(handler, {"bucket": bucket, "key": "none", "position": ""}, capsys)

    assert isinstance(done.error, FatalError)
