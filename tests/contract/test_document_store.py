"""The DocumentStore port's contract, sentence by sentence, over every adapter named in the fixture."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aws_servers import REGION
from bedrock_double.subjects import new_bucket, s3_at
from kbsync.aws.clients import Clients
from kbsync.aws.document_store import S3DocumentStore
from kbsync.aws.lean_puts import LeanPuts
from kbsync.errors import WriteConflictError
from kbsync.local.document_store import LocalDocumentStore
from kbsync.model import PutReply
from kbsync.ports import DocumentStore, ObjectVersion

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


class LocalSubject:
    """The folder of documents; another adapter brings a class with the same attributes."""

    def __init__(self, folder: Path) -> None:
        self.time = NOON
        self._root = folder / "documents"
        self.store: DocumentStore = LocalDocumentStore(self._root, "", self.now)

    def now(self) -> datetime:
        """Return the clock's time, a second later each time."""
        self.time += timedelta(seconds=1)
        return self.time

    def overwrite(self, key: str, content: bytes) -> None:
        """Store something under a key as a person does who knows nothing of kbsync."""
        path = self._root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


class AwsSubject:
    """A bucket of its own at the stand-in, with versioning as the template's has."""

    def __init__(self, address: str, clients: Clients, *, is_lean: bool = False) -> None:
        self._s3 = s3_at(address)
        self._bucket = new_bucket(self._s3)
        lean = LeanPuts(clients, self._bucket) if is_lean else None
        self.store: DocumentStore = S3DocumentStore(clients, self._bucket, "", lean=lean)
        if lean is not None:  # the first put goes through boto3, and teaches the way
            self.store.put("first", b"", fingerprint="", incident_id="", if_etag="")
            self._s3.delete_object(Bucket=self._bucket, Key="first")
            assert lean.are_ready
        enabled = {"Status": "Enabled"}
        self._s3.put_bucket_versioning(Bucket=self._bucket, VersioningConfiguration=enabled)  # type: ignore[arg-type]

    def overwrite(self, key: str, content: bytes) -> None:
        """Store something under a key as a person does who knows nothing of kbsync."""
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=content)


Subject = LocalSubject | AwsSubject


@pytest.fixture(scope="module")
def aws(ministack: str) -> tuple[str, Clients]:
    """The stand-in's address and clients that reach it, for all tests of this module."""
    return ministack, Clients(REGION)


@pytest.fixture(params=["local", "aws", "aws by obstore"])
def subject(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """One adapter over an empty folder or bucket."""
    if request.param == "local":
        return LocalSubject(tmp_path)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)  # with it, boto3 puts everything
    return AwsSubject(*request.getfixturevalue("aws"), is_lean=request.param != "aws")


def put(subject: Subject, content: bytes, *, if_etag: str = "", key: str = "incidents/a.md") -> PutReply:
    """Store an object as the publisher does."""
    fingerprint = hashlib.sha256(content).hexdigest()
    return subject.store.put(key, content, fingerprint=fingerprint, incident_id="ñ-1", if_etag=if_etag)


def test_put_object_is_read_back_whole(subject: Subject) -> None:
    """Bytes, size, ETag and fingerprint are those of the put."""
    reply = put(subject, b"# t\n\xc3\xb1")

    assert subject.store.get("incidents/a.md") == b"# t\n\xc3\xb1"
    head = subject.store.head("incidents/a.md")
    assert head is not None
    assert (head.etag, head.size_bytes) == (reply.etag, 6)
    assert head.fingerprint == hashlib.sha256(b"# t\n\xc3\xb1").hexdigest()
    assert head.modified_at >= reply.published_at - timedelta(seconds=1)


def test_absent_object_has_no_head_and_no_bytes(subject: Subject) -> None:
    """Absence is an answer for head and an error for get."""
    assert subject.store.head("incidents/a.md") is None
    with pytest.raises(KeyError):
        subject.store.get("incidents/a.md")


def test_put_over_an_existing_object_needs_its_etag(subject: Subject) -> None:
    """An empty ETag means: the object must not exist."""
    first = put(subject, b"one")

    with pytest.raises(WriteConflictError):
        put(subject, b"two")
    assert subject.store.get("incidents/a.md") == b"one"
    second = put(subject, b"two", if_etag=first.etag)
    with pytest.raises(WriteConflictError):
        put(subject, b"three", if_etag=first.etag)

    assert subject.store.get("incidents/a.md") == b"two"
    assert second.published_at >= first.published_at


def test_put_on_an_etag_of_what_is_gone_conflicts(subject: Subject) -> None:
    """A stalled publisher cannot bring back what was deleted."""
    first = put(subject, b"one")
    subject.store.delete("incidents/a.md", if_etag=first.etag)

    with pytest.raises(WriteConflictError):
        put(subject, b"two", if_etag=first.etag)

    assert subject.store.head("incidents/a.md") is None


def test_object_of_somebody_else_has_no_fingerprint_of_ours(subject: Subject) -> None:
    """What was overwritten from outside is another object."""
    reply = put(subject, b"one")
    subject.overwrite("incidents/a.md", b"edited by hand")

    head = subject.store.head("incidents/a.md")

    assert head is not None
    assert head.fingerprint == ""
    assert head.etag != reply.etag


def test_delete_needs_the_etag_and_is_idempotent(subject: Subject) -> None:
    """A wrong ETag conflicts; an absent object is what was wanted."""
    reply = put(subject, b"one")

    with pytest.raises(WriteConflictError):
        subject.store.delete("incidents/a.md", if_etag="0" * 32)
    at = subject.store.delete("incidents/a.md", if_etag=reply.etag)

    assert at is not None
    assert at >= reply.published_at
    assert subject.store.delete("incidents/a.md", if_etag=reply.etag) is None
    assert subject.store.delete("incidents/never.md", if_etag=reply.etag) is None


LISTED = [
    "incidents/B.md",
    "incidents/a.md",
    "incidents/a.md.metadata.json",
    "incidents/a/b.md",
    "incidents/a/c/d.md",
    "incidents/b.md",
    "json/a.json",
]
"""In the order of their text, in which an S3 listing comes."""


@pytest.mark.parametrize(
    ("begins", "cursor", "expected"),
    [
        ("", "", LISTED),
        ("incidents/", "", LISTED[:6]),
        ("incidents/a", "", LISTED[1:5]),
        ("incidents/a/", "", LISTED[3:5]),
        ("json/", "json/", LISTED[6:]),
        ("incidents/", "incidents/a.md", LISTED[2:6]),
        ("incidents/a", "incidents/a/b.md", LISTED[4:5]),
        ("incidents/", "json/", []),
        ("none/", "", []),
    ],
)
def test_listing_pages_by_key_over_the_objects_that_begin_so(
    subject: Subject, begins: str, cursor: str, expected: list[str]
) -> None:
    """Each object once, in the order of the keys, after the cursor, whatever the page size."""
    for key in LISTED:
        put(subject, key.encode(), key=key)

    found = []
    while True:
        page = subject.store.list(begins=begins, cursor=cursor, limit=2)
        found += [head.key for head in page.items]
        cursor = page.cursor
        if not cursor:
            break

    assert found == expected


def test_listing_an_empty_store_is_an_empty_page(subject: Subject) -> None:
    """Nothing there is not an error."""
    page = subject.store.list(begins="", cursor="", limit=5)

    assert (page.items, page.cursor) == ((), "")


def test_empty_object_is_an_object(subject: Subject) -> None:
    """No bytes are bytes too."""
    put(subject, b"")

    assert subject.store.get("incidents/a.md") == b""


def all_versions(subject: Subject, begins: str = "") -> list[ObjectVersion]:
    """Return every version there is, by small pages."""
    found, cursor = list[ObjectVersion](), ""
    while True:
        page = subject.store.versions(begins=begins, cursor=cursor, limit=2)
        found += page.items
        cursor = page.cursor
        if not cursor:
            return found


def test_versions_are_those_of_the_keys_that_begin_so_each_once(subject: Subject) -> None:
    """What stands is one of them, whatever was replaced before; other keys have their own."""
    first = put(subject, b"one")
    put(subject, b"two", if_etag=first.etag)
    for key in ("incidents/a.md.metadata.json", "incidents/b.md", "other/a.md"):
        put(subject, key.encode(), key=key)

    versions = all_versions(subject, "incidents/a")

    assert {each.key for each in versions} == {"incidents/a.md", "incidents/a.md.metadata.json"}
    assert len(versions) == len(set(versions))
    texts = [subject.store.version(each) for each in versions if each.key == "incidents/a.md"]
    assert set(texts) in ({b"two"}, {b"one", b"two"}), "old ones where the store keeps them"
    assert len(all_versions(subject)) == len(versions) + 2


def test_removed_versions_are_gone_for_good_and_the_others_stay(subject: Subject) -> None:
    """Replaced, deleted and put again: nothing of it is left to list or to read; a repeat is harmless."""
    first = put(subject, b"one")
    second = put(subject, b"two", if_etag=first.etag)
    subject.store.delete("incidents/a.md", if_etag=second.etag)
    put(subject, b"three")
    put(subject, b"another", key="incidents/b.md")

    versions = all_versions(subject, "incidents/a.md")
    for version in versions * 2:
        subject.store.remove_version(version)

    assert all_versions(subject, "incidents/a.md") == []
    assert subject.store.head("incidents/a.md") is None
    for version in versions:
        with pytest.raises(KeyError):
            subject.store.version(replace(version, is_marker=False))
    assert subject.store.get("incidents/b.md") == b"another"
    assert put(subject, b"four").etag


def test_versions_of_an_empty_store_are_none(subject: Subject) -> None:
    """Nothing there is not an error."""
    assert all_versions(subject) == []
