"""Purge on S3 and Bedrock: no version of anything that was ever put is left, and the others keep theirs."""

from functools import partial
from typing import TYPE_CHECKING

import pytest

from bedrock_double.homes import AwsHome
from builders import an_incident
from kbsync.errors import AccessDeniedError
from kbsync.pipeline.changes import update_incident, upsert_incidents
from kbsync.pipeline.purge import Order, purge
from kbsync.pipeline.purge_search import find_matches, read_patterns
from kbsync.pipeline.sync import sync_once
from kbsync.ports import ObjectVersion

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytest_plugins = ["bedrock_double.fixtures"]

SECRET = "Zyxwvu Quillfeather"


def all_bytes(s3: "S3Client", bucket: str) -> dict[tuple[str, str], bytes]:
    """Return every version of every object by key and version, read as another program does."""
    found = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for each in page.get("Versions", ()):
            key, version = each["Key"], each["VersionId"]
            answer = s3.get_object(Bucket=bucket, Key=key, VersionId=version)
            found[key, version] = answer["Body"].read()
        for each in page.get("DeleteMarkers", ()):
            found[each["Key"], each["VersionId"]] = b""
    return found


@pytest.fixture
def versioned(aws_home: AwsHome, s3: "S3Client") -> AwsHome:
    """A bucket that keeps every version, as the template's does, with two incidents in three contents."""
    s3.put_bucket_versioning(Bucket=aws_home.subject.bucket, VersioningConfiguration={"Status": "Enabled"})
    named = an_incident(description=f"Order of {SECRET}", tags=[SECRET])
    upsert_incidents(aws_home.engine, [named, an_incident(incident_id="INC-10010")])
    sync_once(aws_home.engine)
    for text in ("Redacted by its owner.", "Redacted again."):
        update_incident(aws_home.engine, "INC-1001", {"description": text, "tags": None})
        update_incident(aws_home.engine, "INC-10010", {"description": text})
        sync_once(aws_home.engine)
    return aws_home


def test_no_version_of_a_purged_incident_is_left_in_the_bucket(versioned: AwsHome, s3: "S3Client") -> None:
    """Found by an old version alone: document, sidecar and markers go; three contents of the other stay."""
    bucket = versioned.subject.bucket
    before = all_bytes(s3, bucket)
    assert any(SECRET.encode() in content for content in before.values())
    order = find_matches(versioned.engine, read_patterns([SECRET])).order
    assert order.incident_ids == ("INC-1001",)

    certificate, waiting = purge(versioned.engine, order, run=partial(sync_once, versioned.engine))

    after = all_bytes(s3, bucket)
    assert waiting == ()
    assert after == {name: content for name, content in before.items() if "INC-10010." in name[0]}
    assert {name[0] for name in after} == {"incidents/INC-10010.md", "incidents/INC-10010.md.metadata.json"}
    (gone,) = certificate.gone
    assert gone.versions_removed == sum("INC-1001." in key for key, _ in before)
    assert versioned.record().purged_at is not None
    assert "the files of the home" not in str(certificate.as_map()["confirmed_by"])


def test_version_that_may_not_be_removed_is_a_missing_permission(
    versioned: AwsHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person without `s3:DeleteObjectVersion` gets no certificate; the incident is held all the same."""
    monkeypatch.setattr(versioned.documents, "remove_version", _refused)

    with pytest.raises(AccessDeniedError):
        purge(versioned.engine, Order(incident_ids=("INC-1001",)), run=partial(sync_once, versioned.engine))

    assert (versioned.record().state, versioned.record().purged_at is not None) == ("excluded", True)


def _refused(_version: ObjectVersion) -> None:
    raise AccessDeniedError("bucket b: DeleteObject was refused")
