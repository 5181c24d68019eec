"""Alerts on transitions: once when something starts, once when it is over. Knows the Alerts and Ledger ports.

    run ends -> what began, what is over, what was set aside -> outbox (ledger) -> sent, out of the outbox

A trouble that comes and goes is one trouble: it is over after several good runs in a row. Killed between, or
not delivered, a message is still in the outbox, and the next run sends it. Invariant: nothing that is wrong
with alerts, or with what they remember, fails or repeats a sync; it shows in the report instead.
"""

import json
from dataclasses import asdict, dataclass, field

from kbsync.alert_subject import subject_line
from kbsync.errors import KbSyncError
from kbsync.pipeline.brake_memory import read_brake
from kbsync.pipeline.run import Run
from kbsync.run_report import RunReport

ALERTS = "alerts"
GOOD_RUNS = 3
"""After so many good runs in a row a trouble is over; fewer are a pause in it."""
MAX_IDS_NAMED = 5
MAX_OUTBOX = 20
MAX_BODY_CHARACTERS = 4_000


@dataclass
class _Memory:
    """What alerts remember between runs: the conditions that last, and what is not delivered yet."""

    lasting: dict[str, int] = field(default_factory=dict)
    """Each condition that people were told of, with how many good runs it has had since."""
    outbox: list[list[str]] = field(default_factory=list)
    """Subject and body of each message to deliver, oldest first; a bounded number, the newest win."""

    def put(self, subject: str, body: str) -> None:
        self.outbox = [*self.outbox, [subject_line(subject), body[:MAX_BODY_CHARACTERS]]][-MAX_OUTBOX:]

    def as_text(self) -> str:
        return json.dumps(asdict(self)) if self.lasting or self.outbox else ""


@dataclass(frozen=True, slots=True)
class _Condition:
    """Something that lasts: what it is called, what people are told when it begins and when it is over."""

    name: str
    active: bool
    subject: str
    body: str
    over: str
    good_runs: int


def alert_on_transitions(run: Run) -> None:
    """Send at most one alert for each condition that began, and one notice for each that ended."""
    try:
        _alert(run)
    except KbSyncError as error:
        run.say(f"what alerts remember could not be read or written: {type(error).__name__}")


def _alert(run: Run) -> None:
    text = run.engine.ledger.read_value(ALERTS)
    memory = _Memory(**json.loads(text or "{}"))
    for condition in _conditions(run):
        _track(run, memory, condition)
    if run.quarantined:
        memory.put(*_set_aside(run))
    text = _remember(run, memory, text)
    if memory.outbox:
        _deliver(run, memory)
        _remember(run, memory, text)


def _remember(run: Run, memory: _Memory, known: str) -> str:
    """Store the memory where it differs from what is known to stand; returns what stands now."""
    text = memory.as_text()
    if text != known:
        run.engine.ledger.write_value(ALERTS, text)
    return text


def _conditions(run: Run) -> list[_Condition]:
    report = run.report
    trouble = report.failed > 0 or run.systemic or report.status not in ("ok", "degraded")
    subject = f"kbsync: the run is {report.status}"
    waiting = f"kbsync: {report.withheld} withdrawals wait for approval"
    unproven = f"kbsync: search does not bear out {len(run.unproven)} incident(s)"
    none_wait = "kbsync: no withdrawals wait for approval any more"
    body = _withheld_body(run) if report.withheld else ""
    return [
        _Condition("run", trouble, subject, _body(report), "kbsync: recovered", GOOD_RUNS),
        _Condition(
            "probe", bool(run.unproven), unproven, _unproven_body(run), "kbsync: search is as it should be", 1
        ),
        _Condition("brake", report.withheld > 0, waiting, body, none_wait, 1),
    ]


def _track(run: Run, memory: _Memory, condition: _Condition) -> None:
    """Note what begins, and what is over after enough good runs."""
    name = condition.name
    if condition.active:
        if name not in memory.lasting:
            memory.put(condition.subject, condition.body + _link(run))
        memory.lasting[name] = 0
    elif name in memory.lasting:
        memory.lasting[name] += 1
        if memory.lasting[name] >= condition.good_runs:
            del memory.lasting[name]
            memory.put(condition.over, f"Run {run.run_id}: {run.report.status}.")


def _link(run: Run) -> str:
    """Tell where the run's record is, where runs leave any."""
    records = run.engine.run_records
    return f"\nThe record of this run: {records.address(run.report)}" if records is not None else ""


def _deliver(run: Run, memory: _Memory) -> None:
    """Send what is in the outbox, oldest first, until one is refused."""
    while memory.outbox:
        subject, body = memory.outbox[0]
        try:
            run.engine.alerts.send(subject, body)
        except Exception as error:  # noqa: BLE001 - whatever an alert channel does, the sync has done its work
            run.say(f"an alert could not be delivered: {type(error).__name__}")
            return
        memory.outbox = memory.outbox[1:]


def _set_aside(run: Run) -> tuple[str, str]:
    named, count = ", ".join(run.quarantined[:MAX_IDS_NAMED]), len(run.quarantined)
    body = f"Run {run.run_id} set {count} incident(s) aside after their last attempt: {named}.\n"
    body += f"See `kbsync quarantine`, then `kbsync retry ID`.{_link(run)}"
    return f"kbsync: {count} incident(s) quarantined", body


def _body(report: RunReport) -> str:
    lines = [f"Run {report.run_id}: {report.status}, {report.failed} failed, {report.pending} waiting."]
    lines += report.messages
    lines += [f"{error.incident_id}: {error.error}" for error in report.errors]
    return "\n".join(lines)


def _unproven_body(run: Run) -> str:
    named = [f"{each}: {finding}" for each, finding in list(run.unproven.items())[:MAX_IDS_NAMED]]
    return (
        "Search was asked for incidents that the records call searchable or gone, in two runs in a row, and "
        "does not agree: missing or outranked ones should be among the first ten by their own words, and "
        "what is still found should be gone. See `kbsync explain ID` and `kbsync reconcile`.\n"
        + "\n".join(named)
    )


def _withheld_body(run: Run) -> str:
    brake = read_brake(run.engine)
    causes = ", ".join(f"{count} {cause}" for cause, count in brake.causes.items())
    return (
        f"More documents would go than may go unasked in a day: {causes}. Either incidents are gone from the "
        "table, or a setting that says which ones are searchable has changed. All else goes on.\n"
        f"Look at them: `kbsync approve`. Let them go: `kbsync approve {brake.plan}`."
    )
