"""What S3DocumentStore puts: conditions, types, checksums, user metadata, times, encryption."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

import boto3
import pytest

from bedrock_double.subjects import ImpatientClients, new_bucket
from kbsync.aws.document_store import S3DocumentStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytest_plugins = ["bedrock_double.fixtures"]

KEY = "incidents/INC-1.md"


@pytest.fixture(scope="module")
def bucket(s3: "S3Client") -> str:
    return new_bucket(s3)


@pytest.fixture
def store(impatient: ImpatientClients, bucket: str) -> S3DocumentStore:
    return S3DocumentStore(impatient, bucket, "incidents/")


def put(store: S3DocumentStore, key: str, incident_id: str = "INC-1") -> None:
    store.put(key, b"# t", fingerprint="f" * 64, incident_id=incident_id, if_etag="")


def test_put_carries_the_originals_metadata_and_our_fingerprint(
    store: S3DocumentStore, s3: "S3Client", bucket: str
) -> None:
    """The four keys of the original design, and what tells a lost reply from somebody else's object."""
    put(store, "incidents/four.md")

    metadata = s3.head_object(Bucket=bucket, Key="incidents/four.md")["Metadata"]

    assert datetime.fromisoformat(metadata.pop("synced-at")).tzinfo is not None
    assert metadata == {
        "incident-id": "INC-1",
        "source": "batch-sync",
        "status": "closed",
        "fingerprint": "f" * 64,
    }


@pytest.mark.parametrize(
    "incident_id",
    ["INC-Ñ-7", "100%25 sure", "  two  spaces ", "a\nb\t\x7f", "事故", "INC#1?a+b%20c d"],
    ids=["letter", "percent", "spaces", "control", "script", "marks"],
)
def test_o_20_any_id_goes_into_user_metadata_and_comes_back_whole(
    store: S3DocumentStore, s3: "S3Client", bucket: str, incident_id: str
) -> None:
    """O-20: boto3 takes ASCII only, and headers lose spaces; the encoded id loses nothing."""
    key = f"incidents/{hashlib.sha256(incident_id.encode()).hexdigest()}.md"

    put(store, key, incident_id)

    assert unquote(s3.head_object(Bucket=bucket, Key=key)["Metadata"]["incident-id"]) == incident_id


def test_o_20_id_too_long_for_user_metadata_is_left_out_of_it(
    store: S3DocumentStore, s3: "S3Client", bucket: str
) -> None:
    """O-20, O-23: S3 takes 2 KB in all; a cut id could be another's, so none is better."""
    put(store, "incidents/long.md", "é" * 600)

    metadata = s3.head_object(Bucket=bucket, Key="incidents/long.md")["Metadata"]

    assert "incident-id" not in metadata
    assert metadata["fingerprint"] == "f" * 64


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.md", "text/markdown; charset=utf-8"),
        ("a.md.metadata.json", "application/json"),
        ("a", "application/octet-stream"),
    ],
    ids=["document", "sidecar", "other"],
)
def test_content_type_follows_the_kind_of_object(
    store: S3DocumentStore, s3: "S3Client", bucket: str, name: str, expected: str
) -> None:
    """The type steers the parser of the knowledge base (AWS_FACTS.md, section 1)."""
    put(store, f"incidents/types/{name}")

    assert s3.head_object(Bucket=bucket, Key=f"incidents/types/{name}")["ContentType"] == expected


def test_put_leaves_the_bodys_checksum_with_the_object(
    store: S3DocumentStore, s3: "S3Client", bucket: str
) -> None:
    """S3 has compared the bytes with the SHA-256 that we sent."""
    put(store, "incidents/sum.md")

    head = s3.head_object(Bucket=bucket, Key="incidents/sum.md", ChecksumMode="ENABLED")

    assert base64.b64decode(head["ChecksumSHA256"]) == hashlib.sha256(b"# t").digest()


def test_times_are_s3s_plus_five_seconds(store: S3DocumentStore) -> None:
    """A job that starts after the allowance sees the object, whichever clock was ahead."""
    before = datetime.now(UTC).replace(microsecond=0)
    reply = store.put(KEY, b"1", fingerprint="f", incident_id="INC-1", if_etag="")
    head = store.head(KEY)
    listed = store.list(begins="", cursor=KEY[:-1], limit=1).items[0]
    deleted_at = store.delete(KEY, if_etag=reply.etag)
    after = datetime.now(UTC)

    assert head is not None
    assert deleted_at is not None
    for moment in (reply.published_at, head.modified_at, listed.modified_at, deleted_at):
        assert before + timedelta(seconds=5) <= moment <= after + timedelta(seconds=5)


def test_key_outside_the_prefix_is_refused_before_any_call(store: S3DocumentStore) -> None:
    """A mistake of ours can touch nothing of other programs."""
    with pytest.raises(ValueError, match="prefix"):
        store.head("elsewhere/a.md")


def test_listing_shows_nothing_outside_the_prefix(impatient: ImpatientClients, s3: "S3Client") -> None:
    """The bucket may hold other people's objects."""
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="elsewhere/a.md", Body=b"")
    s3.put_object(Bucket=bucket, Key="incidents/a.md", Body=b"")

    page = S3DocumentStore(impatient, bucket, "incidents/").list(begins="", cursor="", limit=10)

    assert ([head.key for head in page.items], page.cursor) == (["incidents/a.md"], "")


def test_named_kms_key_encrypts_what_is_put(impatient: ImpatientClients, s3: "S3Client", bucket: str) -> None:
    """With S3_KMS_KEY_ID every object is encrypted with that key, and its ETag still serves as condition."""
    key_id = boto3.client("kms", endpoint_url=s3.meta.endpoint_url).create_key()["KeyMetadata"]["Arn"]
    store = S3DocumentStore(impatient, bucket, "incidents/", kms_key_id=key_id)

    first = store.put("incidents/kms.md", b"1", fingerprint="f", incident_id="INC-1", if_etag="")
    store.put("incidents/kms.md", b"2", fingerprint="f", incident_id="INC-1", if_etag=first.etag)

    head = s3.head_object(Bucket=bucket, Key="incidents/kms.md")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key_id)
    assert store.get("incidents/kms.md") == b"2"


def test_deleted_object_of_a_versioned_bucket_counts_as_absent(
    impatient: ImpatientClients, s3: "S3Client"
) -> None:
    """A delete marker is no document; deleting again finds nothing, and a put may create it anew."""
    bucket = new_bucket(s3)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    store = S3DocumentStore(impatient, bucket, "incidents/")
    etag = store.put(KEY, b"1", fingerprint="f", incident_id="INC-1", if_etag="").etag

    store.delete(KEY, if_etag=etag)

    assert store.head(KEY) is None
    assert store.delete(KEY, if_etag=etag) is None
    assert store.put(KEY, b"2", fingerprint="f", incident_id="INC-1", if_etag="").etag != etag
