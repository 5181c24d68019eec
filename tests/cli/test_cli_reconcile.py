"""The reconcile command: what it prints, writes and exits with."""

from pathlib import Path

from calling import Cli

from kbsync.bootstrap import build_engine
from kbsync.cli.reconcile import MEANINGS
from kbsync.pipeline.lease import holding_lease
from kbsync.pipeline.reconcile_judge import Drift
from kbsync.setting_sources import load_settings


def document(cli: Cli, incident_id: str) -> Path:
    return cli.home / "documents" / "incidents" / f"{incident_id}.md"


def test_reconcile_of_a_synced_home_finds_nothing_and_exits_0(cli: Cli) -> None:
    view = cli.synced().json("reconcile")

    assert (view["differences"], view["complete"], view["repair"]) == (0, True, False)
    assert view["compared"] == {"incidents": 3, "records": 2, "objects": 4, "documents": 2}
    assert view["found"] == {str(kind): 0 for kind in Drift}


def test_reconcile_names_what_differs_and_exits_1(cli: Cli) -> None:
    document(cli.synced(), "INC-1001").unlink()

    result = cli("reconcile")

    assert result.exit_code == 1
    assert "1 difference." in result.stdout
    assert "missing" in result.stdout
    assert "INC-1001" in result.stdout
    assert "kbsync reconcile --repair" in result.stdout


def test_repair_and_sync_leave_nothing_to_find(cli: Cli) -> None:
    document(cli.synced(), "INC-1001").unlink()

    repair = cli("reconcile", "--repair")
    report = cli.json("sync")
    view = cli.json("reconcile")

    assert (repair.exit_code, "kbsync sync" in repair.stdout) == (1, True)
    assert (report["published"], report["indexed"]) == (1, 1)
    assert view["differences"] == 0
    assert document(cli, "INC-1001").is_file()


def test_what_waits_for_a_sync_is_told_apart(cli: Cli) -> None:
    result = cli.begin()("reconcile")

    assert result.exit_code == 0
    assert "3 incidents in work left out" in result.stdout


def test_foreign_object_is_reported_without_a_remedy(cli: Cli) -> None:
    document(cli.synced(), "NOTES").write_text("# Notes\n", encoding="utf-8")

    result = cli("reconcile")

    assert result.exit_code == 1
    assert "incidents/NOTES.md" in result.stdout
    assert "--repair" not in result.stdout


def test_repair_while_paused_marks_nothing_and_says_so(cli: Cli) -> None:
    document(cli.synced(), "INC-1001").unlink()
    cli("pause")

    result = cli("reconcile", "--repair")

    assert "runs are paused" in result.stdout


def test_repair_beside_a_run_says_so_and_exits_0(cli: Cli) -> None:
    document(cli.synced(), "INC-1001").unlink()
    engine = build_engine(load_settings({"home": str(cli.home), "embedder": "hash"}, {}))

    with holding_lease(engine, "another"):
        result = cli("reconcile", "--repair")

    assert result.exit_code == 0
    assert "another run is active" in result.stderr


def test_reconcile_without_a_home_is_bad_usage(cli: Cli) -> None:
    result = cli("reconcile")

    assert result.exit_code == 2
    assert "there is no kbsync home" in result.stderr


def test_every_kind_has_a_meaning() -> None:
    assert list(MEANINGS) == [str(kind) for kind in Drift]
