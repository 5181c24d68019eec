"""Asks the batch function to run soon, once for many changes. Knows Lambda's Invoke and the Ledger port.

    a stream call marked something -> nobody asked within the last minute -> note it -> one asynchronous call

Invariant: the marks stand whatever becomes of the call; where it is lost, the next tick takes them up.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from kbsync.aws.aws_errors import translated_aws_errors
from kbsync.aws.clients import Clients
from kbsync.engine import Engine
from kbsync.queueing import utc_text

ASKED = "run_asked"
APART = timedelta(seconds=60)
"""Changes come one by one and a run takes all: one call a minute is soon enough, whatever the load."""
_EVENT = b'{"trigger": "tick"}'


@dataclass(frozen=True, slots=True)
class BatchFunction:
    """The function that publishes, by its name or ARN."""

    clients: Clients
    name: str

    def run_soon(self, engine: Engine) -> bool:
        """Ask for a run, unless somebody asked within the last minute; returns whether this call asked.

        Of several at once one asks. The run waits for nothing of ours and finds another one active at worst.

        Raises:
            KbSyncError: Lambda did not take the call; the next one may ask again after a minute.
        """
        asked, now = engine.ledger.read_value(ASKED), engine.now()
        if asked and now - datetime.fromisoformat(asked) < APART:
            return False
        if not engine.ledger.write_value(ASKED, utc_text(now), expected=asked):
            return False
        with translated_aws_errors(f"function {self.name}"):
            self.clients.functions.invoke(FunctionName=self.name, InvocationType="Event", Payload=_EVENT)
        return True
