"""Puts through obstore: what is sent, what each kind of answer becomes, and when boto3 does it instead."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import HTTPClientError, NoCredentialsError

from aws_servers import REGION, free_port
from kbsync.aws.clients import Clients
from kbsync.aws.document_store import CLOCK_ALLOWANCE, S3DocumentStore
from kbsync.aws.lean_puts import LeanPuts, _as_botocore_says
from kbsync.aws.s3_time import LOOK_EVERY_SECONDS, S3Time
from kbsync.errors import (
    AccessDeniedError,
    ConfigInvalidError,
    FatalError,
    KbSyncError,
    ThrottledError,
    UnavailableError,
    WriteConflictError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "incidents/INC-1.md"
S3_SAYS = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


class Bucket(ThreadingHTTPServer):
    """Answers puts as it is told, and keeps what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", free_port()), _Answers)
        self.requests: list[tuple[str, Mapping[str, str], bytes]] = []
        self.answer: tuple[int, str] = (200, "")
        self.drops = False

    @property
    def by_obstore(self) -> list[bool]:
        """Which of the requests came without boto3: it says so of itself."""
        return ["Botocore" not in headers["user-agent"] for _, headers, _ in self.requests]


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bucket

    def do_PUT(self) -> None:
        if self.headers.get("Expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        named = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, named, content))
        if self.server.drops:
            self.close_connection = True
            return
        status, code = self.server.answer
        body = f"<Error><Code>{code}</Code><Message>secret</Message></Error>".encode() if code else b""
        self.send_response_only(status)
        self.send_header("Date", format_datetime(S3_SAYS, usegmt=True))
        self.send_header("ETag", '"e7a6"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_DELETE(self) -> None:
        self.do_PUT()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def a_bucket() -> Iterator[Bucket]:
    server = Bucket()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with a_bucket() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
        yield server


def a_store(*, kms_key_id: str = "") -> S3DocumentStore:
    """A store that has learnt its way: the first put went through boto3."""
    clients = Clients(REGION)
    lean = LeanPuts(clients, "documents", kms_key_id=kms_key_id)
    store = S3DocumentStore(clients, "documents", "incidents/", kms_key_id=kms_key_id, lean=lean)
    put(store)
    return store


def put(store: S3DocumentStore, etag: str = "") -> object:
    return store.put(KEY, b"# t", fingerprint="f" * 64, incident_id="INC-1", if_etag=etag)


def told(request: "tuple[str, Mapping[str, str], bytes]") -> dict[str, str]:
    """What a put asks for, without what differs by client: signature, agent, connection."""
    path, headers, content = request
    names = ("content-type", "if-match", "if-none-match", "x-amz-checksum-sha256")
    kept = {
        name: value
        for name, value in headers.items()
        if name in names or name.startswith(("x-amz-meta-", "x-amz-server-side-encryption"))
    }
    kept.pop("x-amz-meta-synced-at")
    return {**kept, "path": path.partition("?")[0], "content": content.decode()}


@pytest.mark.parametrize("kms_key_id", ["", "arn:aws:kms:eu-west-1:111122223333:key/k"], ids=["plain", "kms"])
@pytest.mark.parametrize("etag", ["", "abc"], ids=["new", "replaced"])
def test_second_put_asks_obstore_for_what_the_first_asked_boto3(
    bucket: Bucket, kms_key_id: str, etag: str
) -> None:
    store = a_store(kms_key_id=kms_key_id)
    bucket.requests.clear()
    puts = store._puts
    puts._lean, lean = None, puts._lean
    put(store, etag)
    puts._lean = lean

    put(store, etag)

    by_boto3, by_obstore = bucket.requests
    assert bucket.by_obstore == [False, True]
    # boto3 streams a body to http with its checksum in a trailer or a header; obstore sends the header.
    wanted = {name: value for name, value in told(by_boto3).items() if name != "content"}
    assert told(by_obstore) == {**wanted, "content": "# t"}
    assert by_obstore[1]["x-amz-content-sha256"] not in ("", "UNSIGNED-PAYLOAD")


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (412, "PreconditionFailed", WriteConflictError),
        (409, "ConditionalRequestConflict", WriteConflictError),
        (404, "NoSuchKey", WriteConflictError),
        (404, "NoSuchBucket", ConfigInvalidError),
        (403, "AccessDenied", AccessDeniedError),
        (400, "ExpiredToken", AccessDeniedError),
        (401, "SignatureDoesNotMatch", AccessDeniedError),
        (503, "SlowDown", ThrottledError),
        (503, "ServiceUnavailable", UnavailableError),
        (500, "InternalError", UnavailableError),
        (400, "BadDigest", UnavailableError),
        (400, "InvalidRequest", FatalError),
        (500, "", UnavailableError),
        (418, "", FatalError),
    ],
)
@pytest.mark.parametrize("etag", ["", "abc"], ids=["new", "replaced"])
def test_answer_means_the_same_by_either_client_and_is_asked_for_once(
    bucket: Bucket, etag: str, status: int, code: str, expected: type[KbSyncError]
) -> None:
    store = a_store()
    bucket.answer = (status, code)
    bucket.requests.clear()

    with pytest.raises(expected) as caught:
        put(store, etag)

    assert type(caught.value) is expected
    assert bucket.by_obstore == [True]
    assert "secret" not in str(caught.value)


def test_reply_that_never_comes_may_have_had_its_effect(bucket: Bucket) -> None:
    store = a_store()
    bucket.drops = True
    bucket.requests.clear()

    with pytest.raises(UnavailableError):
        put(store)

    assert len(bucket.requests) == 1


@pytest.mark.usefixtures("bucket")
def test_time_of_a_put_is_s3s_own_plus_what_has_passed() -> None:
    """The reply to obstore's put shows no time: what boto3's said goes on from the moment it was asked."""
    store = a_store()

    reply = put(store)

    published_at = reply.published_at  # type: ignore[attr-defined]
    assert S3_SAYS + CLOCK_ALLOWANCE < published_at < S3_SAYS + CLOCK_ALLOWANCE + timedelta(seconds=30)
    assert reply.etag == "e7a6"  # type: ignore[attr-defined]


def test_s3s_clock_is_looked_at_again_by_a_put_of_boto3(bucket: Bucket) -> None:
    store = a_store()
    passed = [0.0]
    store._puts._time = S3Time(lambda: passed[0], lambda: passed[0])
    bucket.requests.clear()

    for at in (0.0, 1.0, LOOK_EVERY_SECONDS - 1, LOOK_EVERY_SECONDS, LOOK_EVERY_SECONDS + 1):
        passed[0] = at
        put(store)

    assert bucket.by_obstore == [False, True, True, False, True]


def test_own_certificates_keep_everything_with_boto3(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Obstore trusts the machine's authorities only."""
    store = a_store()
    monkeypatch.setenv("AWS_CA_BUNDLE", "/etc/ssl/own.pem")

    put(store)

    assert not any(bucket.by_obstore)


def test_credentials_are_those_of_boto3s_chain_when_they_are_used(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-a-role")
    store = a_store()

    put(store)

    _, headers, _ = bucket.requests[-1]
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAOTHER/")
    assert headers["x-amz-security-token"] == "token-of-a-role"


def test_credentials_that_are_gone_are_access_denied(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    store = a_store()
    assert store._puts._lean is not None
    monkeypatch.setitem(vars(store._puts._lean._clients), "credentials", None)
    bucket.requests.clear()

    with pytest.raises(AccessDeniedError, match="credentials"):
        put(store)

    assert bucket.requests == []


def test_address_of_a_bucket_in_the_hosts_name_is_kept() -> None:
    """On AWS a bucket is part of the host's name, elsewhere of the path: both as boto3 has it."""
    request = type("Request", (), {})()
    request.headers = {"Authorization": b"AWS4-HMAC-SHA256 Credential=A/20260310/eu-west-1/s3/aws4_request"}
    lean = LeanPuts(Clients(REGION), "documents")
    places = {}
    for url in (
        "https://documents.s3.eu-west-1.amazonaws.com/incidents/INC-1.md",
        "https://s3.eu-west-1.amazonaws.com/documents/incidents/INC-1.md",
    ):
        request.url = url
        lean._learn_place(request)
        places[url] = lean._place
    request.headers = {}
    request.url = "https://elsewhere/documents/unsigned"
    lean._learn_place(request)

    assert [(place.base, place.region) for place in places.values() if place] == [
        ("https://documents.s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("https://s3.eu-west-1.amazonaws.com/documents", "eu-west-1"),
    ]
    assert lean._place == places["https://s3.eu-west-1.amazonaws.com/documents/incidents/INC-1.md"]


def test_errors_without_an_answer_are_told_apart_by_their_class() -> None:
    class UnauthenticatedError(Exception):
        pass

    assert isinstance(_as_botocore_says(UnauthenticatedError("no provider")), NoCredentialsError)
    assert isinstance(_as_botocore_says(ValueError("HTTP error: error sending request")), HTTPClientError)


def test_time_that_passed_while_the_function_was_frozen_counts() -> None:
    """The monotonic clock stands still then, the other goes on; a step back of that one counts nothing."""
    monotonic, wall = [100.0], [5_000.0]
    time = S3Time(lambda: monotonic[0], lambda: wall[0])
    with pytest.raises(LookupError):
        time.latest()
    assert not time.is_known
    time.learn(S3_SAYS, time.moment())

    wall[0] += 600
    assert (time.is_known, time.latest()) == (False, S3_SAYS + timedelta(seconds=600))
    wall[0] -= 4_000
    monotonic[0] += 10
    assert (time.is_known, time.latest()) == (True, S3_SAYS + timedelta(seconds=10))


def test_delete_after_a_put_is_never_earlier_than_it(bucket: Bucket) -> None:
    """S3 says whole seconds, and a put's time has gone on from there: together they keep their order."""
    store = a_store()
    reply = put(store)

    deleted_at = store.delete(KEY, if_etag="e7a6")

    assert deleted_at is not None
    assert deleted_at >= reply.published_at  # type: ignore[attr-defined]
    assert bucket.by_obstore == [False, True, False]


def test_older_look_does_not_replace_a_newer_one() -> None:
    monotonic = [0.0]
    time = S3Time(lambda: monotonic[0], lambda: 0.0)
    early = time.moment()
    monotonic[0] = 5.0
    time.learn(S3_SAYS, time.moment())

    time.learn(S3_SAYS - timedelta(seconds=9), early)

    assert time.latest() == S3_SAYS
