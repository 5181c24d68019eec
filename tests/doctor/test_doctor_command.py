"""The command: exit codes, JSON, and what people see."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aws_setup import SetUp
from typer.testing import CliRunner, Result

from builders import TickingClock, a_home, an_incident
from kbsync.cli.main import app
from kbsync.pipeline.changes import upsert_incidents
from kbsync.pipeline.sync import sync_once
from kbsync.settings import variable


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("KBSYNC_CONFIG", "KBSYNC_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KBSYNC_HOME", str(tmp_path))
    monkeypatch.setenv("EMBEDDER", "none")
    return tmp_path


def _call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments])


def _synced(folder: Path) -> None:
    home = a_home(folder, clock=TickingClock(at=datetime.now(UTC)))
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)


def test_sound_home_ends_with_exit_code_0(folder: Path) -> None:
    _synced(folder)

    result = _call("--json")

    view = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (view["backend"], view["ok"], view["errors"], view["warnings"]) == ("local", True, 0, 0)


def test_error_ends_with_exit_code_1_and_its_remedy(folder: Path) -> None:
    _synced(folder)
    (folder / "documents/incidents/INC-1001.md").unlink()

    result = _call()

    assert result.exit_code == 1
    assert "documents-missing" in result.stdout
    assert "Remedy: put the missing files back" in " ".join(result.stdout.split())
    assert "1 error, 0 warnings." in result.stdout
    assert "docs/doctor.md" in result.stdout


def test_sound_home_needs_no_next_step(folder: Path) -> None:
    _synced(folder)

    result = _call()

    assert "0 errors, 0 warnings." in result.stdout
    assert "next:" not in result.stdout


def test_missing_settings_of_aws_are_told_before_anything_is_called(folder: Path) -> None:
    assert folder.is_dir()

    result = _call("--backend", "aws")

    assert result.exit_code == 2
    assert "S3_BUCKET" in result.stderr


def test_aws_is_looked_at_with_the_settings_of_the_environment(
    folder: Path, setup: SetUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder.is_dir()
    names = ("incidents_table", "kbsync_table", "s3_bucket", "kb_id", "data_source_id", "alert_topic_arn")
    for name in names:
        monkeypatch.setenv(variable(name), getattr(setup.settings, name))
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENT", setup.server.address)

    result = _call("--backend", "aws", "--json")

    view = json.loads(result.stdout)
    assert result.exit_code == 0, view
    assert (view["backend"], view["warnings"]) == ("aws", 0)
