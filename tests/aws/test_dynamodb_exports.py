"""A ticket system's export into DynamoDB: the same mapping, the same command, the other backend."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from aws_servers import REGION
from aws_tables import AwsTables
from kbsync.cli.main import app
from kbsync.pipeline.transform.read import SOURCE_ATTRIBUTES

EXPORTS = Path(__file__).parents[1] / "importing" / "exports"


def imported(tables: AwsTables, file: Path) -> Any:
    settings = {
        "AWS_REGION": REGION,
        "INCIDENTS_TABLE": tables.incidents.name,
        "KBSYNC_TABLE": tables.records.name,
        "S3_BUCKET": "documents-of-nobody",
        "KB_ID": "ABCDEFGHIJ",
        "DATA_SOURCE_ID": "ABCDEFGHIJ",
    }
    arguments = ["--backend", "aws", "import", "--from", "auto", str(file), "--json"]
    return json.loads(CliRunner().invoke(app, arguments, env=settings).stdout)


def test_export_is_mapped_into_dynamodb_and_a_later_one_reopens(tables: AwsTables, tmp_path: Path) -> None:
    file = EXPORTS / "statuspage" / "incidents.json"
    later = tmp_path / "later.json"
    text = file.read_text(encoding="utf-8")
    later.write_text(text.replace('"status": "resolved"', '"status": "investigating"', 1), encoding="utf-8")

    first, again, reopened = (imported(tables, each) for each in (file, file, later))

    assert [(each["imported"], each["updated"], each["unchanged"]) for each in (first, again, reopened)] == [
        (2, 0, 0),
        (0, 0, 2),
        (0, 1, 1),
    ]
    stored = tables.store.read(["statuspage:p31zjtct2jer"])["statuspage:p31zjtct2jer"].attributes
    assert (stored["status"], stored["affected_systems"]) == ("OPEN", ["API", "Webhooks"])
    assert stored.keys() - SOURCE_ATTRIBUTES == {"incident_id", "sk"}
    assert tables.ledger.records(["statuspage:p31zjtct2jer"])["statuspage:p31zjtct2jer"].queue
