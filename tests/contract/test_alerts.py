"""The Alerts port's contract over every adapter named in the fixture."""

import json
from pathlib import Path
from uuid import uuid4

import boto3
import pytest

from aws_servers import REGION
from kbsync.aws.alerts import SnsAlerts
from kbsync.aws.clients import Clients
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


class AwsSubject:
    """A topic with one queue that listens, so that order and bodies can be read back."""

    def __init__(self, clients: Clients) -> None:
        self._sqs = boto3.client("sqs", region_name=REGION)
        name = f"alerts-{uuid4().hex[:12]}"
        self._queue = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        topic = clients.sns.create_topic(Name=name)["TopicArn"]
        clients.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=attributes["Attributes"]["QueueArn"])
        self.alerts: Alerts = SnsAlerts(clients, topic)

    def delivered(self) -> list[tuple[str, str]]:
        """Return what a reader has received, in order."""
        found = []
        while messages := self._sqs.receive_message(QueueUrl=self._queue).get("Messages", []):
            for message in messages:
                envelope = json.loads(message["Body"])
                found.append((envelope["Subject"], envelope["Message"]))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return found


Subject = LocalSubject | AwsSubject


@pytest.fixture(scope="module")
def clients(ministack: str) -> Clients:
    """Clients that reach the stand-in, for all tests of this module."""
    assert ministack
    return Clients(REGION)


@pytest.fixture(params=["local", "aws"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    """One adapter without messages."""
    if request.param == "local":
        return LocalSubject(tmp_path)
    return AwsSubject(request.getfixturevalue("clients"))


def test_messages_arrive_in_order_with_their_bodies(subject: Subject) -> None:
    """Each call is one message; the body may hold any text."""
    subject.alerts.send("kbsync: one", "línea\nzwei")
    subject.alerts.send("kbsync: two", "two")

    assert subject.delivered() == [("kbsync: one", "línea\nzwei"), ("kbsync: two", "two")]


def test_message_without_a_body_arrives_with_its_subject(subject: Subject) -> None:
    """SNS refuses an empty message; the subject must get through all the same."""
    subject.alerts.send("kbsync: one", "")

    assert [told for told, _ in subject.delivered()] == ["kbsync: one"]


@pytest.mark.parametrize(
    "wrong", ["", "a" * 100, "two\nlines", "ñ", "tab\t"], ids=["empty", "long", "lines", "letter", "control"]
)
def test_subject_that_sns_would_refuse_is_refused_everywhere(subject: Subject, wrong: str) -> None:
    """CASES O-58: the same subject must work on every side; nothing is sent."""
    with pytest.raises(ValueError, match="subject"):
        subject.alerts.send(wrong, "body")

    assert subject.delivered() == []
