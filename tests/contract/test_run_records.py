"""The contract of run records, over a folder and over S3: JSON and a page a run, where the address says."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from aws_servers import REGION
from bedrock_double.subjects import new_bucket, s3_at
from kbsync.aws.clients import Clients
from kbsync.aws.run_records import S3RunRecords
from kbsync.errors import KbSyncError
from kbsync.local.run_records import MOST_KEPT, LocalRunRecords
from kbsync.ports import RunRecords
from kbsync.run_report import RunError, RunReport, SearchableTimes
from kbsync.traces import Forgetful, Traces

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
RUN = RunReport(
    run_id="20260310T120000-0a1b2c3d",
    status="degraded",
    started_at=NOON,
    ended_at=NOON,
    found=2,
    indexed=1,
    failed=1,
    errors=(RunError("INC-<b>1</b>", "the description is no text"),),
    messages=("another ingestion job is running; ours follows it",),
    searchable=(SearchableTimes("", 1, 0, 12.0, 12.0, 12.0), SearchableTimes("high", 1, 0, 12.0, 12.0, 12.0)),
)


class Subject(NamedTuple):
    """One implementation, how to read what an address names, and one that cannot write."""

    records: RunRecords
    read: Callable[[str], bytes | None]
    broken: RunRecords


@pytest.fixture(params=["local", "aws"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    if request.param == "local":
        blocked = tmp_path / "file"
        blocked.write_text("in the way")
        yield Subject(
            LocalRunRecords(tmp_path / "runs", "en"),
            lambda address: Path(address).read_bytes() if Path(address).exists() else None,
            LocalRunRecords(blocked / "runs", "en"),
        )
        return
    s3 = s3_at(request.getfixturevalue("ministack"))
    bucket = new_bucket(s3)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def read(address: str) -> bytes | None:
        key = address.removeprefix(f"s3://{bucket}/")
        found = s3.list_object_versions(Bucket=bucket, Prefix=key).get("Versions", [])
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read() if found else None

    clients = Clients(REGION)
    records = S3RunRecords(clients, bucket, "runs/", language="en")
    yield Subject(records, read, S3RunRecords(clients, "no-such-bucket-of-ours", "runs/", language="en"))


def test_run_leaves_a_page_at_its_address_and_json_beside_it(subject: Subject) -> None:
    """Nothing is lost: the JSON has every count, error and message of the report."""
    subject.records.leave(RUN)

    address = subject.records.address(RUN)
    page = subject.read(address)
    found = json.loads(subject.read(address.removesuffix(".html") + ".json") or b"")
    assert page is not None
    assert RUN.run_id in page.decode()
    assert (found["run_id"], found["failed"], found["started_at"]) == (RUN.run_id, 1, "2026-03-10T12:00:00Z")
    assert found["errors"] == [{"incident_id": "INC-<b>1</b>", "error": "the description is no text"}]
    assert found["searchable"][1]["severity"] == "high"


def test_ids_and_reasons_are_text_on_the_page(subject: Subject) -> None:
    """An id is foreign text: it makes no element."""
    subject.records.leave(RUN)

    page = (subject.read(subject.records.address(RUN)) or b"").decode()
    assert "INC-&lt;b&gt;1&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "<script" not in page
    assert "http" not in page


def test_record_left_again_replaces_the_first(subject: Subject) -> None:
    """A repeat leaves one record, the newer one."""
    subject.records.leave(RUN)
    subject.records.leave(replace(RUN, status="failed"))

    assert b"failed" in (subject.read(subject.records.address(RUN)) or b"")
    assert b"degraded" not in (subject.read(subject.records.address(RUN)) or b"")


def test_record_that_cannot_be_written_is_an_error_of_ours(subject: Subject) -> None:
    """Whoever leaves it says so and goes on."""
    with pytest.raises(KbSyncError):
        subject.broken.leave(RUN)


def test_purged_incident_is_in_no_record_and_others_stay(subject: Subject) -> None:
    """Every version that names it goes; a repeat finds nothing, and so does a place without records."""
    other = replace(RUN, run_id="20260310T130000-0a1b2c3d", errors=(RunError("INC-2", "other"),))
    named = replace(RUN, errors=(RunError("INC-1", "the description is no text"),))
    assert isinstance(subject.records, Forgetful)
    subject.records.forget(Traces(["INC-1"], []))
    subject.records.leave(named)
    subject.records.leave(replace(named, errors=()))
    subject.records.leave(named)
    subject.records.leave(other)

    subject.records.forget(Traces(["INC-1"], []))
    subject.records.forget(Traces(["INC-1"], []))

    page = subject.read(subject.records.address(named))
    assert page is None or b"INC-1" not in page
    assert subject.read(subject.records.address(other)) is not None


def test_folder_keeps_the_newest_runs(tmp_path: Path) -> None:
    """Only the embedded home: the bucket has a rule of its own for old ones."""
    records = LocalRunRecords(tmp_path, "es")
    for number in range(MOST_KEPT + 3):
        records.leave(RunReport(run_id=f"2026{number:06}", started_at=NOON, ended_at=None))

    names = sorted(path.name for path in tmp_path.iterdir())
    assert (len(names), names[0]) == (2 * MOST_KEPT, "2026000003.html")
    assert 'lang="es"' in (tmp_path / names[0]).read_text(encoding="utf-8")
