"""Alerts of local mode: one JSON line each in a file, and a warning in the log. Imports errors and traces."""

import json
import logging
from pathlib import Path

from kbsync.alert_subject import require_subject
from kbsync.local.os_errors import translated_os_errors
from kbsync.local.whole_files import write_atomically
from kbsync.traces import Traces

_LOGGER = logging.getLogger("kbsync.alerts")


class LocalAlerts:
    """Alerts as lines of a file that people and tests can read; the body stays out of the log."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, subject: str, body: str) -> None:
        """Append the message to the file and log its subject; each repeat is one more message.

        Raises:
            ValueError: the subject is not one line of 1 to 99 printable ASCII characters; nothing was sent.
            AccessDeniedError, UnavailableError: the file could not be written; nothing was logged.
        """
        require_subject(subject)
        line = json.dumps({"subject": subject, "body": body}) + "\n"
        with translated_os_errors("the alerts file"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="ascii") as file:
                file.write(line)
        _LOGGER.warning("alert: %s", subject)

    def forget(self, traces: Traces) -> None:
        """Write the file anew without the messages that name them; the others stay as they are."""
        with translated_os_errors("the alerts file"):
            if not self._path.exists():
                return
            lines = self._path.read_text(encoding="ascii").splitlines(keepends=True)
            kept = [line for line in lines if not traces.are_in(json.loads(line)["body"])]
            if kept != lines:
                write_atomically(self._path, "".join(kept).encode("ascii"), durable=False)
