"""The benchmarks' server refuses what AWS refuses, and counts what a run really asks."""

import base64
import hashlib
from collections.abc import Iterator

import pytest

from benchmarks.__main__ import Server, first_run, running_server
from benchmarks.prepared import prepare
from benchmarks.services import Bucket
from benchmarks.tables import RefusedError, Tables

SIGNED = {"authorization": "AWS4-HMAC-SHA256 Credential=A/1/r/s3/aws4_request"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(0.0) as running:
        yield running


@pytest.mark.slow
def test_drain_asks_at_most_two_and_a_half_requests_an_incident_and_an_idle_run_a_few(server: Server) -> None:
    """Two puts, a hundredth of a read, marks in 25s. Slow: four runs, each a process of its own."""
    first_run(server, {"pending": 200})
    cold = server.run("kbsync", 200)
    idle = server.run("kbsync", 0)

    assert (cold["published"], cold["indexed"], cold["status"]) == (200, 200, "ok")
    assert cold["requests"]["S3 PUT"] == 400 + 2  # JSON and page of the run itself
    assert sum(cold["requests"].values()) <= 2.5 * 200
    assert idle["published"] == 0
    assert sum(idle["requests"].values()) <= 25
    assert not [kind for kind in (*cold["requests"], *idle["requests"]) if kind.startswith("refused")]
    # The baseline does what the original does: a put and an update each.
    server.post("/_prepare", {"pending": 5, "strict": False})
    assert server.run("original", 5)["requests"] == {"S3 PUT": 5, "UpdateItem": 5}


def put(bucket: Bucket, key: str, content: bytes, **headers: str) -> str:
    sent = {
        **SIGNED,
        "if-none-match": "*",
        "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(content).digest()).decode(),
        "x-amz-meta-fingerprint": "f" * 64,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return bucket.put(key, {name: value for name, value in sent.items() if value}, content)


@pytest.mark.parametrize(
    ("headers", "content", "code"),
    [
        ({"authorization": "none"}, b"# t", "AccessDenied"),
        ({"x_amz_checksum_sha256": "AAAA"}, b"# t", "BadDigest"),
        ({"if_none_match": ""}, b"# t", "InvalidRequest"),
        ({"x_amz_meta_fingerprint": "f"}, b"# t", "InvalidRequest"),
        ({}, b"no title", "InvalidRequest"),
        ({"if_none_match": "", "if_match": '"other"'}, b"# t", "PreconditionFailed"),
    ],
    ids=["unsigned", "checksum", "condition", "fingerprint", "title", "etag"],
)
def test_put_that_breaks_a_promise_is_refused(headers: dict[str, str], content: bytes, code: str) -> None:
    bucket = Bucket()
    put(bucket, "incidents/A.md.metadata.json", b'{"metadataAttributes": {"incident_id": "A"}}')

    with pytest.raises(RefusedError) as refused:
        put(bucket, "incidents/A.md", content, **headers)

    assert refused.value.code == code
    assert "incidents/A.md" not in bucket.etags


def test_document_before_its_sidecar_is_refused() -> None:
    with pytest.raises(RefusedError):
        put(Bucket(), "incidents/A.md", b"# t")


def test_statement_whose_condition_does_not_hold_changes_nothing() -> None:
    tables = Tables()
    prepare(tables, {"pending": 1})
    key = ("incident#INC-0000000", "record")
    before = tables.items["kbsync"][key]
    text = 'UPDATE "kbsync" SET "state" = ? WHERE "pk" = ? AND "sk" = ? AND "due" = ? AND "generation" <= ?'
    values = [{"S": "published"}, {"S": key[0]}, {"S": key[1]}, {"S": "another"}, {"N": "1"}]

    answer = tables.call(
        "BatchExecuteStatement",
        {"Statements": [{"Statement": text, "Parameters": values}]},
    )

    assert answer["Responses"] == [{"Error": {"Code": "ConditionalCheckFailed"}}]
    assert tables.items["kbsync"][key] == before


def test_call_or_form_that_no_run_makes_is_an_error() -> None:
    tables = Tables()

    for operation, asked in (("Nonsense", {}), ("BatchExecuteStatement", {"Statements": []})):
        with pytest.raises(RefusedError):
            tables.call(operation, asked)
