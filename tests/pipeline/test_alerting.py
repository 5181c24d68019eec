"""Alerts: once when something begins, once when it is really over, and never at the cost of a sync."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from builders import Home, an_incident
from faults import KilledError
from kbsync.errors import AccessDeniedError, ThrottledError, UnavailableError
from kbsync.model import State
from kbsync.pipeline import alerting, brake_memory
from kbsync.pipeline.alerting import ALERTS, MAX_OUTBOX
from kbsync.pipeline.brake import approve, plan_held
from kbsync.pipeline.changes import update_incident, upsert_incidents
from kbsync.pipeline.reconcile import reconcile
from kbsync.pipeline.sync import sync_once

POISON = {"x": b"\x00"}
BEGUN, OVER = "kbsync: the run is degraded", "kbsync: recovered"


class Channel:
    """A channel that refuses as often as it is told to; what got through is kept."""

    def __init__(self, *refusals: BaseException) -> None:
        self._refusals: Iterator[BaseException] = iter(refusals)
        self.sent: list[tuple[str, str]] = []

    def send(self, subject: str, body: str) -> None:
        for refusal in self._refusals:
            raise refusal
        self.sent.append((subject, body))

    @property
    def subjects(self) -> list[str]:
        return [subject for subject, _ in self.sent]


def with_channel(home: Home, channel: Channel) -> Home:
    return replace(home, engine=replace(home.engine, alerts=channel))


def bad_run(home: Home, number: int) -> None:
    """A run with one good and one new unreadable incident: degraded, nobody quarantined."""
    upsert_incidents(
        home.engine,
        [an_incident(incident_id=f"GOOD-{number}"), an_incident(incident_id="BAD", title=POISON)],
    )
    update_incident(home.engine, "BAD", {"description": f"edit {number}"})
    assert sync_once(home.engine).status == "degraded"


def good_run(home: Home) -> None:
    update_incident(home.engine, "BAD", {"title": "Readable"})
    assert sync_once(home.engine).status == "ok"


def test_trouble_that_comes_and_goes_is_told_once_and_over_after_three_good_runs(home: Home) -> None:
    """Bad, good, bad, good and bad again is one trouble; the notice waits until it stays away."""
    channel = Channel()
    told = with_channel(home, channel)
    for number in range(3):
        bad_run(told, number)
        good_run(told)
    assert channel.subjects == [BEGUN]

    good_run(told)
    assert channel.subjects == [BEGUN]
    good_run(told)
    good_run(told)

    assert channel.subjects == [BEGUN, OVER]
    bad_run(told, 9)
    assert channel.subjects == [BEGUN, OVER, BEGUN]


@pytest.mark.parametrize(
    "refusal",
    [UnavailableError("no answer"), AccessDeniedError("denied"), OSError("full"), RuntimeError("a bug")],
    ids=lambda each: type(each).__name__,
)
def test_refused_alert_comes_with_the_next_run_and_in_order(home: Home, refusal: Exception) -> None:
    """Whatever a channel raises, the run ends as it would, and nothing that was to be told is lost."""
    channel = Channel(refusal, refusal)
    told = with_channel(home, channel)

    bad_run(told, 0)
    said = told.ledger.runs(limit=1)[0].messages
    good_run(told)
    assert channel.subjects == []
    good_run(told)

    assert f"an alert could not be delivered: {type(refusal).__name__}" in said
    assert channel.subjects == [BEGUN]
    assert "INC" not in json.dumps(told.ledger.read_value(ALERTS))


def test_alert_of_a_quarantine_that_was_refused_is_not_lost(home: Home) -> None:
    """A quarantine is told once: where that fails, the next run tells it although nothing is new."""
    channel = Channel(*[UnavailableError("no answer")] * 2)
    told = with_channel(home, channel)
    upsert_incidents(told.engine, [an_incident(title=POISON)])
    for _ in range(3):
        sync_once(told.engine)
    assert told.state() == str(State.QUARANTINED)

    sync_once(told.engine)

    assert channel.subjects == ["kbsync: the run is failed", "kbsync: 1 incident(s) quarantined"]


def test_channel_that_is_dead_for_long_fills_no_memory(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest messages are kept, a bounded number of them, each of bounded length."""
    monkeypatch.setattr(alerting, "GOOD_RUNS", 1)
    channel = Channel(*[UnavailableError("no answer")] * 1000)
    told = with_channel(home, channel)
    for number in range(MAX_OUTBOX):
        bad_run(told, number)
        good_run(told)

    kept = json.loads(told.ledger.read_value(ALERTS))["outbox"]

    assert [subject for subject, _ in kept] == [BEGUN, OVER] * (MAX_OUTBOX // 2)
    assert max(len(body) for _, body in kept) <= alerting.MAX_BODY_CHARACTERS


def test_subject_is_ascii_and_short_whatever_is_told(home: Home) -> None:
    """Ids and messages of any script stand in the body; the subject is one that SNS accepts."""
    channel = Channel()
    told = with_channel(home, channel)
    upsert_incidents(told.engine, [an_incident(incident_id="ÑANDÚ-" + "ñ" * 200, title=POISON)])
    for _ in range(3):
        sync_once(told.engine)

    assert all(subject.isascii() and len(subject) < 100 for subject in channel.subjects)
    assert "ÑANDÚ-" in channel.sent[1][1]


@pytest.mark.parametrize("error", [ThrottledError("slow down"), AccessDeniedError("denied")])
def test_memory_of_alerts_that_cannot_be_read_fails_no_run(
    home: Home, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What alerts remember is less than what the run did: the report stands and says so."""
    real: Callable[[str], str] = home.ledger.read_value

    def refused(name: str) -> str:
        if name == ALERTS:
            raise error
        return real(name)

    monkeypatch.setattr(home.ledger, "read_value", refused)
    upsert_incidents(home.engine, [an_incident()])

    report = sync_once(home.engine)

    assert (report.status, report.indexed) == ("ok", 1)
    assert f"what alerts remember could not be read or written: {type(error).__name__}" in report.messages


def test_kill_before_an_alert_is_sent_leaves_it_to_the_next_run(home: Home) -> None:
    """Noted, then sent: what a killed run did not get to send is still in the outbox."""
    channel = Channel(KilledError())
    told = with_channel(home, channel)

    with pytest.raises(KilledError):
        bad_run(told, 0)
    assert channel.sent == []
    good_run(told)

    assert channel.subjects == [BEGUN]


def test_withdrawals_that_wait_are_told_once_and_so_is_their_end(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The brake's alert names the causes and the command; a run degraded by it alone tells no more."""
    monkeypatch.setattr(brake_memory, "FREE_COUNT", 1)
    channel = Channel()
    told = with_channel(home, channel)
    upsert_incidents(told.engine, [an_incident(incident_id=f"INC-{n}") for n in range(3)])
    sync_once(told.engine)
    for n in range(2):
        home.incidents.delete_as_other_writer(f"INC-{n}")
    reconcile(told.engine, repair=True)

    for _ in range(4):
        sync_once(told.engine)
    plan = plan_held(told.engine).plan
    approve(told.engine, plan)
    for _ in range(2):
        sync_once(told.engine)

    assert channel.subjects == [
        "kbsync: 2 withdrawals wait for approval",
        "kbsync: no withdrawals wait for approval any more",
    ]
    assert "2 deleted" in channel.sent[0][1]
    assert f"kbsync approve {plan}" in channel.sent[0][1]
