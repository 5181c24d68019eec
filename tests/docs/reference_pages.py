"""The pages of docs/reference, made from the code; run this file to write them anew.

Each function below returns one page. What the code cannot say of itself (what a metric means) stands here,
and a name without a meaning is an error.
"""

import ast
import inspect
import re
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import typer.main
from cfnlint.decode import cfn_yaml

from kbsync import errors, model
from kbsync.cli.main import app
from kbsync.pipeline import backfill, reconcile_judge
from kbsync.settings import Settings, variable

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
GENERATED = "<!-- Made from the code: python tests/docs/reference_pages.py -->\n\n"

TITLES = {"commands": "All commands", "settings": "All settings"}

METRICS = {
    "BackfillMarked": "incidents that a back-fill put into the queue",
    "BackfillUnreadable": "lines of an export that hold no incident",
    "BackfillsStarted": "calls of the back-fill worker",
    "BatchesSucceeded": "1 for a batch that ended `ok`, 0 for one that did not; ticks do not count",
    "ChangesFailed": "changes of the stream that could not be marked in this call",
    "ChangesReceived": "changes that the stream brought",
    "ClosedToSearchableMax": "longest wait from closed to searchable in this run; also by `severity`",
    "ClosedToSearchableP50": "median of these waits, at most 9 % above the true one; also by `severity`",
    "ClosedToSearchableP95": "95th percentile of these waits, likewise; also by `severity`",
    "DifferencesFound": "what reconcile found to differ",
    "IncidentsPending": "incidents that still wait after the run",
    "IncidentsPublished": "documents written, or their metadata alone",
    "IncidentsQuarantined": "incidents that this run set aside",
    "IncidentsSynced": "incidents that the knowledge base confirmed searchable; the original's name",
    "IncidentsWithdrawn": "documents confirmed gone",
    "OldestPendingSeconds": "how long the oldest entry has waited; 0 where nothing waits",
    "ProbesFailed": "incidents for which search did not answer as the records say",
    "ProbesMade": "incidents that search was asked for after the run",
    "ReconcilesBusy": "reconciles that found another one at work",
    "ReconcilesEnded": "1 where a reconcile came to its end, 0 where it goes on in the next call",
    "ReconcilesStarted": "calls of the reconcile function",
    "RunsAsked": "calls by which the stream marker asked for a run",
    "RunsBusy": "runs that found another one at work and ended well",
    "RunsDegraded": "1 for a run in which something failed",
    "RunsStarted": "runs that began; fewer ended runs mean that some were killed",
    "RunsSucceeded": "1 for a run that ended `ok`",
    "SearchableLate": "incidents that became searchable later than `SEARCHABLE_WITHIN_SECONDS` after closing",
    "SyncDuration": "milliseconds of a run; the original's name",
    "SyncErrors": "incidents that failed in a run; the original's name",
    "WithdrawalsWithheld": "withdrawals that wait for a person to approve them",
}

RUN_STATUSES = {
    "ok": "nothing failed; waiting for ingestion is no failure",
    "degraded": "some incidents failed, or something hit the run as a whole",
    "failed": "nothing that the run had to do succeeded, or it could not go on",
    "busy": "another run holds the publisher's lease; nothing was done",
    "running": "it goes on, or it was killed: the next run takes over",
}


@cache
def reference() -> dict[str, str]:
    """Return every page by its file name."""
    pages = {
        "commands": commands(),
        "settings": settings(),
        "metrics": metrics(),
        "alarms": alarms(),
        "states": states(),
        "errors": error_tree(),
    }
    return {
        f"{name}.md": f"# {TITLES.get(name, name.capitalize())}\n\n{GENERATED}{text}"
        for name, text in pages.items()
    }


def commands() -> str:
    """Return every command with its help, its options and its examples."""
    group = typer.main.get_group(app)
    parts = [
        "What `kbsync COMMAND --help` says. [How they are used](../cli.md), with output and members.\n",
        "## Common options\n\nEvery command takes these, before or after its name.\n",
        _options(each for each in group.params if each.name != "help"),
    ]
    common = {opt for each in group.params for opt in each.opts}
    for name, command in group.commands.items():
        text, _, examples = (command.help or "").partition(" Examples:")
        shown = examples or command.epilog or ""
        lines = [line.strip() for line in shown.removeprefix("Examples:").splitlines() if line.strip()]
        arguments = " ".join(
            f"[{each.metavar}]"
            for each in command.params
            if not each.opts[0].startswith("-") and each.metavar
        )
        own = [each for each in command.params if each.opts[0].startswith("-") and not common & {*each.opts}]
        parts.append(f"## kbsync {f'{name} {arguments}'.strip()}\n\n{text.strip()}\n")
        if own:
            parts.append(_options(own))
        parts.append("```text\n" + "\n".join(lines) + "\n```\n")
    return "\n".join(parts)


def _options(params: Iterable[Any]) -> str:
    rows = [
        f"| `{', '.join(each.opts + each.secondary_opts)}`"
        f"{f' `{_cell(each.metavar)}`' if each.metavar else ''} | {_cell(each.help or '')} |"
        for each in params
    ]
    return "\n".join(["| option | meaning |", "|---|---|", *rows]) + "\n"


def settings() -> str:
    """Return every setting: variable, member of the TOML file, default, meaning."""
    rows = [
        f"| `{variable(name)}` | `{name}` | {_default(field)} | {_cell(field.description or '')} |"
        for name, field in Settings.model_fields.items()
    ]
    head = (
        "Flag before environment variable before TOML file before default; "
        "[what they mean in use](../settings.md).\n\n| variable | in the file | default | meaning |\n"
        "|---|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def _default(field: Any) -> str:
    if field.default_factory is not None:
        return "see there"
    value = field.default
    shown = ",".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value)
    return f"`{shown}`" if shown.strip("*") else "empty"


def metric_names() -> set[str]:
    """Return the names that the functions emit, as their source says."""
    source = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "src/kbsync/lambda_handlers").glob("*.py")
    )
    names = set(re.findall(r'add_metric\(\s*name="(\w+)"', source))
    names |= set(re.findall(r'^ +"([A-Z][A-Za-z0-9]+)": ', source, flags=re.MULTILINE))
    names |= set(re.findall(r'counts\["([A-Z]\w+)"\]', source))
    for looked in re.findall(r"Looked\.([A-Z_]+)", source):
        names.add(f"Backfill{backfill.Looked[looked].title()}")
    return names


def metrics() -> str:
    """Return every metric of ours with its meaning."""
    alarmed: dict[str, list[str]] = {}
    for name, properties in alarm_definitions():
        alarmed.setdefault(properties["MetricName"], []).append(f"[{name}](../runbooks/{name}.md)")
    rows = [
        f"| `{name}` | {METRICS.get(name, '')} | {', '.join(alarmed.get(name, [])) or '-'} |"
        for name in sorted(metric_names())
    ]
    head = (
        "Namespace `IncidentManagement`, dimension `service=kbsync`, in CloudWatch's embedded format: one "
        "line in the log of a call, no call of its own.\n\n| metric | value | alarm |\n|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


@cache
def alarm_definitions() -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return each alarm's name without the function's, and its properties."""
    template = cfn_yaml.load(str(ROOT / "template.yaml"))
    alarms = (
        each["Properties"]
        for each in template["Resources"].values()
        if each["Type"] == "AWS::CloudWatch::Alarm"
    )
    return tuple((each["AlarmName"]["Fn::Sub"].removeprefix("${FunctionName}-"), each) for each in alarms)


def alarms() -> str:
    """Return every alarm of the stack with what it watches."""
    signs = {
        "GreaterThanThreshold": ">",
        "GreaterThanOrEqualToThreshold": ">=",
        "LessThanThreshold": "<",
        "LessThanOrEqualToThreshold": "<=",
    }
    rows = []
    for name, each in alarm_definitions():
        threshold = each["Threshold"]
        limit = f"`{threshold['Ref']}`" if isinstance(threshold, dict) else str(threshold)
        rule = f"{each['Statistic']} {signs[each['ComparisonOperator']]} {limit}"
        text = " ".join(str(each["AlarmDescription"]).split()).partition(" Runbook:")[0]
        rows.append(
            f"| [`{name}`](../runbooks/{name}.md) | {text} | `{each['Namespace']}` `{each['MetricName']}` | "
            f"{rule}, {each['EvaluationPeriods']} x {each['Period']} s | {each['TreatMissingData']} |"
        )
    head = (
        "Each begins with the name of the function (`incident-kb-batch-sync-errors`) and tells `AlertTopic` "
        "when it begins and when it ends.\n\n| alarm | says | metric | fires at | no data is |\n"
        "|---|---|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def states() -> str:
    """Return every value that a record, a run or a difference can have."""
    parts = []
    for title, kind in (
        ("State of an incident", model.State),
        ("Queue", model.Stage),
        ("Reason for no document", model.WithdrawReason),
        ("Difference that reconcile finds", reconcile_judge.Drift),
        ("Outcome of a back-fill's look", backfill.Looked),
    ):
        meanings = _meanings(kind)
        rows = [f"| `{member}` | {_cell(meanings.get(member.name, ''))} |" for member in kind]
        parts.append(f"## {title}\n\n| value | means |\n|---|---|\n" + "\n".join(rows) + "\n")
    rows = [f"| `{name}` | {meaning} |" for name, meaning in RUN_STATUSES.items()]
    parts.append("## Status of a run\n\n| value | means |\n|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _meanings(kind: type[StrEnum]) -> dict[str, str]:
    """Return what stands below each member of an enumeration in its source."""
    [body] = ast.parse(inspect.getsource(kind)).body
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    name = ""
    for node in body.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and name:
            found[name] = inspect.cleandoc(str(node.value.value))
    return found


def error_classes() -> list[type[errors.KbSyncError]]:
    """Return every error of ours, each behind its parent."""
    found: list[type[errors.KbSyncError]] = []
    waiting = [errors.KbSyncError]
    while waiting:
        current = waiting.pop(0)
        if current.__module__ == errors.__name__ and current not in found:
            found.append(current)
            waiting = [*current.__subclasses__(), *waiting]
    return found


def error_tree() -> str:
    """Return every error with its parent and what a command ends with."""
    rows = [
        f"| `{each.__name__}` | {_parent(each)} | {_cell(inspect.getdoc(each) or '')} | {_exit_code(each)} |"
        for each in error_classes()
    ]
    head = (
        "Sorted by consequence. A command tells an error in one line with its remedy, with `--json` as one "
        "JSON object on standard error.\n\n| error | is a | consequence | exit code |\n|---|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def _parent(kind: type[errors.KbSyncError]) -> str:
    parent = kind.__mro__[1]
    return f"`{parent.__name__}`" if issubclass(parent, errors.KbSyncError) else "-"


def _exit_code(kind: type[errors.KbSyncError]) -> int:
    if issubclass(kind, errors.BusyError):
        return 0
    return 2 if issubclass(kind, errors.UsageError | errors.ConfigInvalidError) else 3


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in reference().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
