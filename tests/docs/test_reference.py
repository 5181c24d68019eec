"""docs/reference is what the code says: every command, setting, metric, alarm, state and error is in it."""

import re

import pytest
import typer.main
from pages import ROOT
from reference_pages import (
    FOLDER,
    METRICS,
    RUN_STATUSES,
    alarm_definitions,
    error_classes,
    metric_names,
    reference,
)

from kbsync import errors, model
from kbsync.cli.command import COULD_NOT_RUN, OK, run_body
from kbsync.cli.main import app
from kbsync.settings import Settings, variable

ALARMS = dict(alarm_definitions())


@pytest.mark.parametrize("name", sorted(reference()))
def test_page_is_current(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")

    assert written == reference()[name], "write it anew: python tests/docs/reference_pages.py"


def test_folder_holds_no_other_page() -> None:
    assert {path.name for path in FOLDER.glob("*")} == set(reference())


def test_every_command_setting_state_and_error_is_named() -> None:
    pages = reference()

    missing = [
        name for name in typer.main.get_group(app).commands if f"## kbsync {name}" not in pages["commands.md"]
    ]
    missing += [
        name for name in Settings.model_fields if f"| `{variable(name)}` |" not in pages["settings.md"]
    ]
    missing += [state for state in model.State if f"| `{state}` | " not in pages["states.md"]]
    missing += [
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and f"| `{name}` |" not in pages["errors.md"]
    ]

    assert missing == []
    assert len(error_classes()) == sum(isinstance(kind, type) for kind in vars(errors).values())


def test_every_metric_has_a_meaning_and_every_meaning_a_metric() -> None:
    assert metric_names() == set(METRICS)


def test_metrics_of_dashboard_and_alarms_are_emitted() -> None:
    template = (ROOT / "template.yaml").read_text(encoding="utf-8")
    shown = set(re.findall(r'\["IncidentManagement", "(\w+)"', template))
    watched = {each["MetricName"] for each in ALARMS.values() if each["Namespace"] == "IncidentManagement"}

    assert shown
    assert (shown | watched) - metric_names() == set()


def test_every_member_of_the_states_has_its_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", reference()["states.md"], flags=re.MULTILINE)

    assert [value for value, meaning in rows if not meaning] == [], "say below the member what it means"


def test_statuses_of_a_run_are_those_that_runs_report() -> None:
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("pipeline", "lambda_handlers", ".")
        for path in (ROOT / "src/kbsync" / folder).glob("*.py")
    )
    reported = set(re.findall(r'\bstatus(?:: str)? ?= ?"([a-z]+)"', source))

    assert reported <= set(RUN_STATUSES)
    assert [status for status in RUN_STATUSES if f'"{status}"' not in source] == []


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_exit_code_of_an_error_is_what_a_command_ends_with(
    kind: type[errors.KbSyncError], capsys: pytest.CaptureFixture[str]
) -> None:
    from kbsync.cli.command import Call  # noqa: PLC0415 - beside its use

    def fails() -> int:
        raise kind("made up")

    code = run_body(Call({}), fails)

    row = next(
        line for line in reference()["errors.md"].splitlines() if line.startswith(f"| `{kind.__name__}` |")
    )
    assert row.endswith(f"| {code} |")
    assert OK <= code <= COULD_NOT_RUN
    assert "made up" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_alarm_names_its_runbook_which_exists_in_both_languages(name: str) -> None:
    said = " ".join(str(ALARMS[name]["AlarmDescription"]).split())
    pages = [ROOT / "docs" / folder / f"{name}.md" for folder in ("runbooks", "es/runbooks")]

    assert said.endswith(f". Runbook: docs/runbooks/{name}.md")
    assert [
        page for page in pages if f"`{name}`" not in page.read_text(encoding="utf-8").splitlines()[0]
    ] == []
    assert [page for page in pages if page.read_text(encoding="utf-8").count("\n## ") != 3] == []


@pytest.mark.parametrize("folder", ["runbooks", "es/runbooks"])
def test_every_runbook_is_listed_and_has_its_alarm(folder: str) -> None:
    pages = {path.stem for path in (ROOT / "docs" / folder).glob("*.md")} - {"index"}
    listed = re.findall(
        r"\]\(([a-z-]+)\.md\)", (ROOT / "docs" / folder / "index.md").read_text(encoding="utf-8")
    )

    assert pages == set(ALARMS) == set(listed)
