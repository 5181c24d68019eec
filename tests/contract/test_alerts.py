"""The Alerts port's contract over every adapter named in the fixture."""

import json
from pathlib import Path

import pytest

from kbsync.local.alerts import LocalAlerts
from kbsync.ports import Alerts


class LocalSubject:
    """Alerts as lines of a file; another adapter brings a class with the same attributes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "deep" / "alerts.jsonl"
        self.alerts: Alerts = LocalAlerts(self._path)

    def delivered(self) -> list[tuple[str, str]]:
        """Return what a reader has received, in order."""
        if not self._path.exists():
            return []
        lines = self._path.read_text(encoding="utf-8").splitlines()
        return [(json.loads(line)["subject"], json.loads(line)["body"]) for line in lines]


@pytest.fixture(params=["local"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> LocalSubject:
    """One adapter without messages."""
    return {"local": LocalSubject}[str(request.param)](tmp_path)


def test_messages_arrive_in_order_with_their_bodies(subject: LocalSubject) -> None:
    """Each call is one message; the body may hold any text."""
    subject.alerts.send("kbsync: one", "línea\nzwei")
    subject.alerts.send("kbsync: two", "")

    assert subject.delivered() == [("kbsync: one", "línea\nzwei"), ("kbsync: two", "")]


@pytest.mark.parametrize(
    "wrong", ["", "a" * 100, "two\nlines", "ñ", "tab\t"], ids=["empty", "long", "lines", "letter", "control"]
)
def test_subject_that_sns_would_refuse_is_refused_everywhere(subject: LocalSubject, wrong: str) -> None:
    """CASES O-58: the same subject must work on every side; nothing is sent."""
    with pytest.raises(ValueError, match="subject"):
        subject.alerts.send(wrong, "body")

    assert subject.delivered() == []
