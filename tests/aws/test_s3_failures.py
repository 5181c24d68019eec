"""What S3DocumentStore makes of answers that fail, come late, or never come."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError

from bedrock_double.homes import AwsHome
from bedrock_double.subjects import ImpatientClients, new_bucket
from builders import an_incident
from kbsync.aws.clients import Clients
from kbsync.aws.document_store import S3DocumentStore
from kbsync.errors import (
    AccessDeniedError,
    ConfigInvalidError,
    FatalError,
    ThrottledError,
    UnavailableError,
    WriteConflictError,
)
from kbsync.model import State
from kbsync.pipeline.changes import update_incident, upsert_incidents
from kbsync.pipeline.sync import sync_once

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytest_plugins = ["bedrock_double.fixtures"]

KEY = "incidents/INC-1.md"
Send = Callable[..., Any]


class Wire:
    """What goes over the line of one client, where a test can cut it."""

    def __init__(self, client: Any) -> None:
        self._session = client._endpoint.http_session
        self.sent: list[str] = []

    @contextmanager
    def through(self, around: Callable[[Send, Any], Any]) -> Iterator["Wire"]:
        """Let `around` send each request of the block, or not."""
        send = self._session.send

        def sending(request: Any) -> Any:
            self.sent.append(request.method)
            return around(send, request)

        self._session.send = sending
        try:
            yield self
        finally:
            self._session.send = send


def losing_replies(send: Send, request: Any) -> Any:
    """Let the request arrive, and its answer never."""
    send(request)
    raise ReadTimeoutError(endpoint_url=request.url)


def answering(status: int, code: str) -> Callable[[Send, Any], Any]:
    """Answer every request with this error, without sending it."""
    body = f"<Error><Code>{code}</Code><Message>made</Message></Error>".encode()

    def answer(_: Send, request: Any) -> AWSResponse:
        raw = type("Raw", (), {"stream": lambda *_, **__: iter([body])})()
        return AWSResponse(request.url, status, {}, raw)

    return answer


@pytest.fixture
def clients(impatient: ImpatientClients) -> Clients:
    """S3 clients as the product makes them."""
    return impatient


@pytest.fixture
def store(clients: Clients, s3: "S3Client") -> S3DocumentStore:
    return S3DocumentStore(clients, new_bucket(s3), "incidents/")


def put(store: S3DocumentStore, content: bytes = b"one", if_etag: str = "") -> str:
    return store.put(KEY, content, fingerprint="f" * 64, incident_id="INC-1", if_etag=if_etag).etag


def test_put_whose_reply_is_lost_is_sent_once_and_shown_by_head(
    store: S3DocumentStore, clients: Clients
) -> None:
    """The SDK must not repeat it: the repeat would meet our own object and report a conflict."""
    with (
        Wire(clients.s3_once).through(losing_replies) as wire,
        pytest.raises(UnavailableError, match="no answer"),
    ):
        put(store)

    assert wire.sent == ["PUT"]
    with pytest.raises(WriteConflictError):
        put(store)
    head = store.head(KEY)
    assert head is not None
    assert head.fingerprint == "f" * 64


def test_put_whose_reply_is_lost_ends_as_success_and_is_not_put_twice(aws_home: AwsHome) -> None:
    """CASES O-33, P7: the next run meets its own fingerprint and goes on; nobody's attempt is used."""
    upsert_incidents(aws_home.engine, [an_incident()])
    once = aws_home.subject.clients.s3_once
    with Wire(once).through(losing_replies):
        first = sync_once(aws_home.engine)
    wire = Wire(once)
    with wire.through(lambda send, request: send(request)):
        second = sync_once(aws_home.engine)

    assert (first.published, first.indexed) == (0, 0)
    assert (second.status, second.indexed) == ("ok", 1)
    assert second.objects_written == 1  # the document; the sidecar had arrived with the lost reply
    assert aws_home.record().attempts == 0
    assert aws_home.synced() is True


def test_edit_whose_reply_is_lost_ends_with_the_new_content(aws_home: AwsHome) -> None:
    """A conditional put on an ETag behaves as a creating one: what stands decides."""
    upsert_incidents(aws_home.engine, [an_incident()])
    sync_once(aws_home.engine)
    update_incident(aws_home.engine, "INC-1001", {"title": "Quartz oscillator drifted"})
    with Wire(aws_home.subject.clients.s3_once).through(losing_replies):
        sync_once(aws_home.engine)

    report = sync_once(aws_home.engine)

    assert (report.status, report.indexed) == ("ok", 1)
    assert b"Quartz oscillator drifted" in aws_home.documents.get("incidents/INC-1001.md")
    assert aws_home.record().state is State.INDEXED


def test_delete_whose_reply_is_lost_finds_nothing_the_next_time(
    store: S3DocumentStore, clients: Clients
) -> None:
    """Absence is what was wanted, whoever brought it about."""
    etag = put(store)
    with (
        Wire(clients.s3_once).through(losing_replies) as wire,
        pytest.raises(UnavailableError, match="no answer"),
    ):
        store.delete(KEY, if_etag=etag)

    assert wire.sent == ["DELETE"]
    assert store.delete(KEY, if_etag=etag) is None


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (409, "ConditionalRequestConflict", WriteConflictError),
        (409, "OperationAborted", WriteConflictError),
        (412, "PreconditionFailed", WriteConflictError),
        (404, "NoSuchKey", WriteConflictError),
        (404, "NoSuchBucket", ConfigInvalidError),
        (403, "AccessDenied", AccessDeniedError),
        (503, "SlowDown", ThrottledError),
        (500, "InternalError", UnavailableError),
        (400, "RequestTimeout", UnavailableError),
        (400, "BadDigest", UnavailableError),
        (400, "InvalidRequest", FatalError),
    ],
    ids=[
        "race",
        "aborted",
        "etag",
        "gone",
        "bucket",
        "denied",
        "throttle",
        "server",
        "slow line",
        "bad line",
        "fault",
    ],
)
def test_refused_put_says_what_follows_from_it_and_is_sent_once(
    store: S3DocumentStore, clients: Clients, status: int, code: str, error: type[Exception]
) -> None:
    """Errors by consequence; the SDK repeats none of them."""
    wire = Wire(clients.s3_once)

    with wire.through(answering(status, code)), pytest.raises(error, match=f"{code}|not what it was"):
        put(store)

    assert wire.sent == ["PUT"]


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (409, "ConditionalRequestConflict", WriteConflictError),
        (403, "AccessDenied", AccessDeniedError),
        (503, "SlowDown", ThrottledError),
        (400, "RequestTimeout", UnavailableError),
    ],
    ids=["race", "denied", "throttle", "slow line"],
)
def test_refused_delete_leaves_the_object_and_says_what_follows(
    store: S3DocumentStore, clients: Clients, status: int, code: str, error: type[Exception]
) -> None:
    """A delete that did not take place is never taken for one that did."""
    etag = put(store)

    with (
        Wire(clients.s3_once).through(answering(status, code)),
        pytest.raises(error, match=f"{code}|not what it was"),
    ):
        store.delete(KEY, if_etag=etag)

    assert store.head(KEY) is not None


def test_head_that_is_forbidden_names_both_permissions(store: S3DocumentStore, clients: Clients) -> None:
    """Without s3:ListBucket S3 answers 403 for what does not exist: absence must not be guessed."""
    with Wire(clients.s3).through(answering(403, "403")), pytest.raises(AccessDeniedError) as caught:
        store.head(KEY)

    assert "s3:ListBucket" in caught.value.hint
    assert "s3:GetObject" in caught.value.hint


def test_head_with_an_error_of_the_request_is_no_absence(store: S3DocumentStore, clients: Clients) -> None:
    """Only 404 means that there is nothing."""
    with Wire(clients.s3).through(answering(400, "400")), pytest.raises(FatalError):
        store.head(KEY)


def test_get_that_is_denied_is_no_absence(store: S3DocumentStore, clients: Clients) -> None:
    """KeyError is for a missing object only."""
    with Wire(clients.s3).through(answering(403, "AccessDenied")), pytest.raises(AccessDeniedError):
        store.get(KEY)


def test_reply_without_a_date_is_dated_by_our_clock(store: S3DocumentStore, clients: Clients) -> None:
    """A gateway in between may take the header away; the allowance stays."""

    def without_date(send: Send, request: Any) -> Any:
        response = send(request)
        response.headers = {name: value for name, value in response.headers.items() if name.lower() != "date"}
        return response

    before = store._now()
    with Wire(clients.s3_once).through(without_date):
        reply = store.put(KEY, b"1", fingerprint="f", incident_id="INC-1", if_etag="")

    assert 5 <= (reply.published_at - before).total_seconds() < 60


def test_throttled_run_uses_up_nobodys_attempts_and_the_next_one_ends_it(aws_home: AwsHome) -> None:
    """CASES O-33: SlowDown is the service's word about itself, not about an incident."""
    upsert_incidents(aws_home.engine, [an_incident(incident_id=f"INC-{n}") for n in range(3)])
    with Wire(aws_home.subject.clients.s3_once).through(answering(503, "SlowDown")):
        throttled = sync_once(aws_home.engine)

    report = sync_once(aws_home.engine)

    assert (throttled.failed, throttled.published) == (0, 0)
    assert (report.status, report.indexed) == ("ok", 3)
    assert {aws_home.record(f"INC-{n}").attempts for n in range(3)} == {0}
