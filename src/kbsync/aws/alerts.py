"""Alerts of AWS mode: one SNS message each. May import boto3 through clients, and errors.

Invariant: a subject that SNS would refuse is refused here, before anything is sent.
"""

import logging

from kbsync.alert_subject import require_subject
from kbsync.aws.aws_errors import translated_aws_errors
from kbsync.aws.clients import Clients

_LOGGER = logging.getLogger("kbsync.alerts")
_MOST_BODY_BYTES = 262_144
"""Source: Amazon SNS API Reference, "Publish": 256 KB a message."""
_EMPTY_BODY = "(no details)"
"""SNS refuses an empty message (the same page)."""


class SnsAlerts:
    """Implements ports.Alerts over one topic; who subscribes is the operator's choice."""

    def __init__(self, clients: Clients, topic_arn: str) -> None:
        self._clients = clients
        self._topic_arn = topic_arn

    def send(self, subject: str, body: str) -> None:
        """Publish the message, its body cut at SNS's limit; each repeat is one more message.

        Raises:
            ValueError: the subject is not one line of 1 to 99 printable ASCII characters; nothing was sent.
            ThrottledError, UnavailableError (retriable): it may or may not have been sent.
            AccessDeniedError, ConfigInvalidError (fatal): the hint names what to grant or to correct.
        """
        require_subject(subject)
        message = body.encode("utf-8", "replace")[:_MOST_BODY_BYTES].decode("utf-8", "ignore")
        with translated_aws_errors(f"topic {self._topic_arn.rpartition(':')[2]}"):
            self._clients.sns.publish(
                TopicArn=self._topic_arn, Subject=subject, Message=message if message.strip() else _EMPTY_BODY
            )


class LogAlerts:
    """Implements ports.Alerts where no topic is set: the subject goes to the log, the body does not."""

    def send(self, subject: str, body: str) -> None:
        """Log the subject as a warning; raise ValueError for one that SNS would refuse."""
        require_subject(subject)
        _LOGGER.warning("alert: %s (%d characters of details)", subject, len(body))
