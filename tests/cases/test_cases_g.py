"""Section G of the cases, alerts: what a person is told, once, and in a form that arrives."""

import json
from pathlib import Path

import pytest

from builders import Home, TickingClock, a_home, an_incident
from kbsync.alert_subject import subject_line
from kbsync.pipeline.changes import upsert_incidents
from kbsync.pipeline.sync import sync_once

POISON = {"x": b"\x00\x01"}
MOST_BODY_BYTES = 256 * 1024


def told(home: Home) -> list[tuple[str, str]]:
    """Return subject and body of every alert so far."""
    return [(line["subject"], line["body"]) for line in map(json.loads, home.alerts())]


def twelve(**changes: object) -> list[dict[str, object]]:
    return [an_incident(incident_id=f"INC-{n:02}", title=f"Case {n}", **changes) for n in range(12)]


def test_o_58_alert_of_the_last_attempt_has_a_subject_that_arrives(home: Home) -> None:
    long_id = "INC-ñ\n" + "x" * 140
    upsert_incidents(home.engine, [*twelve(), an_incident(incident_id=long_id, title=POISON)])

    for _ in range(3):
        sync_once(home.engine)

    assert home.state(long_id) == "quarantined"
    alerts = told(home)
    assert alerts
    for subject, body in alerts:
        assert subject.isascii()
        assert subject.isprintable()
        assert 0 < len(subject) < 100
        assert len(body.encode()) < MOST_BODY_BYTES
    assert any(long_id in body for _, body in alerts)


@pytest.mark.parametrize(
    "text",
    ["x" * 140, "one\ntwo\r\tthree", "ñandú caído", "\n", ""],
    ids=["long", "lines", "accents", "blank", "none"],
)
def test_o_58_any_text_makes_a_subject_of_one_ascii_line(text: str) -> None:
    subject = subject_line(text)

    assert 0 < len(subject) < 100
    assert subject.isascii()
    assert subject.isprintable()
    assert not subject.startswith(" ")


@pytest.mark.slow
def test_o_59_one_alert_an_episode_and_one_word_when_it_is_over(tmp_path: Path) -> None:
    """Slow: two days of hourly runs, each as a process that was started anew."""
    clock = TickingClock()

    def restarted() -> Home:
        return a_home(tmp_path / "home", clock=clock)

    def hours(count: int) -> list[str]:
        for _ in range(count):
            sync_once(restarted().engine)
            clock.forward(hours=1)
        return [subject for subject, _ in told(restarted())]

    bad = [{**item, "title": POISON} for item in twelve()]
    upsert_incidents(restarted().engine, bad)
    ill = hours(48)
    upsert_incidents(restarted().engine, twelve())
    well = hours(3)
    upsert_incidents(restarted().engine, bad)
    ill_again = hours(5)

    assert (len(ill), len(well), len(ill_again)) == (1, 2, 3)
    assert well[1] == "kbsync: recovered"
    assert ill_again[2] == ill[0]
