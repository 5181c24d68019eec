"""The command `backfill`, over the table and over an export, on both places where an export may be."""

import gzip
import json
from pathlib import Path

import boto3
import pytest

from aws_servers import REGION
from builders import an_incident
from cli.calling import MADE_UP, Cli, write_lines
from exports import export_lines, write_export


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path).begin()


def test_backfill_of_the_table_counts_and_says_what_is_next(cli: Cli) -> None:
    cli("sync")

    view = cli.json("backfill")
    shown = cli("backfill")

    assert (view["looked_at"], view["current"], view["not_closed"], view["marked"]) == (3, 2, 1, 0)
    assert "up to date" in shown.stdout
    assert "next:" not in shown.stdout


def test_backfill_of_an_export_marks_what_the_next_sync_publishes(cli: Cli, tmp_path: Path) -> None:
    cli("sync")
    cli.json("import", str(write_lines(tmp_path / "more.jsonl", [an_incident(incident_id="INC-9")])))
    cli("sync")
    export = write_export(tmp_path, [[an_incident(incident_id="INC-9", title="Older")], MADE_UP])

    dry = cli.json("backfill", str(export), "--dry-run")
    done = cli("backfill", str(export))

    assert (dry["dry_run"], dry["parts"], dry["marked"], dry["current"]) == (True, 2, 1, 2)
    assert "next: `kbsync sync`" in done.stdout
    assert cli.json("sync")["found"] == 1
    assert "Older" not in cli("show", "INC-9").stdout


def test_backfill_of_nothing_says_what_is_wrong(cli: Cli, tmp_path: Path) -> None:
    for export in (str(tmp_path / "nowhere"), "s3://bucket/folder/"):
        result = cli("backfill", export)

        assert result.exit_code == 2
        assert "manifest" in result.output


@pytest.mark.usefixtures("ministack")
def test_backfill_reads_an_export_from_s3(cli: Cli) -> None:
    client = boto3.client("s3", region_name=REGION)
    client.create_bucket(Bucket="exported", CreateBucketConfiguration={"LocationConstraint": REGION})
    client.put_object(Bucket="exported", Key="e/data/a.json.gz", Body=gzip.compress(export_lines(MADE_UP)))
    manifest = json.dumps({"itemCount": 3, "dataFileS3Key": "e/data/a.json.gz"})
    client.put_object(Bucket="exported", Key="e/manifest-files.json", Body=manifest.encode())

    view = cli.json("backfill", "s3://exported/e/manifest-files.json", "--dry-run", AWS_REGION=REGION)

    assert (view["looked_at"], view["waiting"]) == (3, 3)
