"""`kbsync demo` as a command: its folder, what it prints, its JSON and its exit code.

Slow on a busy machine: each story is forty incidents through three whole runs.
"""

import json
import shlex
from pathlib import Path

import pytest

from kbsync.bootstrap import build_engine
from kbsync.cli.command import Call
from kbsync.cli.demo import FOLDER, MARKER, demo, program_name
from kbsync.demo.story import QUERIES
from kbsync.errors import AccessDeniedError, UsageError
from kbsync.pipeline.changes import upsert_incidents
from kbsync.setting_sources import load_settings

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMBEDDER", "hash")
    monkeypatch.delenv("KBSYNC_HOME", raising=False)
    monkeypatch.chdir(tmp_path)


def test_demo_without_home_makes_its_folder_in_the_current_one(capsys: pytest.CaptureFixture[str]) -> None:
    code = demo(Call({}, as_json=True))

    summary = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (summary["home"], summary["ok"]) == (str(FOLDER), True)
    assert (FOLDER / MARKER).is_file()


@pytest.mark.parametrize("named_by", ["flag", "environment"])
def test_demo_with_a_home_works_there(
    named_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "elsewhere"
    monkeypatch.setenv("KBSYNC_HOME", str(home) if named_by == "environment" else "")

    code = demo(Call({"home": str(home)} if named_by == "flag" else {}, as_json=True))

    assert code == 0
    assert json.loads(capsys.readouterr().out)["home"] == str(home)
    assert not FOLDER.exists()


def test_demo_ignores_settings_that_would_spoil_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAX_ATTEMPTS", "50")
    monkeypatch.setenv("INGESTION", "none")

    code = demo(Call({}, as_json=True))

    steps = {step["step"]: step for step in json.loads(capsys.readouterr().out)["steps"]}
    assert code == 0
    assert (steps["failure"]["state"], steps["failure"]["attempts"]) == ("quarantined", 3)


def test_demo_tells_people_what_happened_and_what_to_type_next(capsys: pytest.CaptureFixture[str]) -> None:
    demo(Call({}))

    told = capsys.readouterr().out
    for expected in ("40 imported", QUERIES[0][1], QUERIES[1][1], "[REDACTED:github-token]", "quarantined"):
        assert expected in told
    commands = [line.strip() for line in told.partition("Type next:")[2].splitlines() if line.strip()]
    assert len(commands) == 7
    assert all("--home kbsync-demo" in command for command in commands)


def test_demo_in_a_folder_with_a_space_tells_commands_that_a_shell_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "my demo"

    demo(Call({"home": str(home)}, as_json=True))

    following = json.loads(capsys.readouterr().out)["next"]
    assert all(shlex.split(command)[1:3] == ["--home", str(home)] for command in following)


def test_demo_repeated_in_its_own_folder_goes_well_again(capsys: pytest.CaptureFixture[str]) -> None:
    demo(Call({}, as_json=True))
    capsys.readouterr()

    code = demo(Call({}, as_json=True))

    assert code == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_folder_of_somebody_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep", encoding="ascii")

    with pytest.raises(UsageError, match="not empty and not an earlier demo"):
        demo(Call({"home": str(tmp_path / "mine")}))

    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("", encoding="ascii")

    with pytest.raises(UsageError, match="is no folder"):
        demo(Call({"home": str(tmp_path / "a-file")}))


def test_folder_that_cannot_be_made_is_told_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("", encoding="ascii")

    with pytest.raises(AccessDeniedError, match="cannot be made") as caught:
        demo(Call({"home": str(tmp_path / "a-file" / "within")}))

    assert "--home" in caught.value.hint


def test_outcome_that_is_not_as_promised_ends_with_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    FOLDER.mkdir()
    (FOLDER / MARKER).write_text("", encoding="ascii")
    engine = build_engine(load_settings({"home": FOLDER, "embedder": "hash"}, {}))
    query = QUERIES[0][1]
    upsert_incidents(
        engine, [{"incident_id": "MINE-1", "status": "CLOSED", "title": query, "description": query}]
    )

    code = demo(Call({}))

    assert code == 1
    assert "not as expected" in capsys.readouterr().out


def test_demo_without_a_model_says_that_it_searches_by_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EMBEDDER", "none")

    demo(Call({}))

    assert "by words only" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("started_as", "expected"),
    [
        ("somewhere/kbsync/__main__.py", "python -m kbsync"),
        ("venv/bin/kbsync", "venv/bin/kbsync"),
        ("pytest", "kbsync"),
    ],
    ids=["module", "not-on-the-path", "embedded"],
)
def test_program_is_named_as_it_can_be_called(
    started_as: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert program_name(started_as) == expected
