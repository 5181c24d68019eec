"""The clock of an embedded home: it never goes back, so that what came later is also told to be later.

On AWS the times that prove something are S3's and Bedrock's. Here they are this machine's, which a time
server may set back: an old ingestion job would then seem to have started after a document that was put just
now. Imports nothing of ours but the model's type. Invariant: no moment it tells is before one that it told.
"""

import threading
from datetime import datetime, timedelta

from kbsync.model import Clock

TICK = timedelta(microseconds=1)
FURTHEST_AHEAD = timedelta(days=1)
"""A home that was written further in the future than this was written under a wrong clock: `kbsync doctor`
tells of it, and time goes on from what the clock says."""


class SteadyClock:
    """The machine's time, or one microsecond more than was told last, whichever is later."""

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._last: datetime | None = None

    def __call__(self) -> datetime:
        """Return the time, as an aware UTC datetime."""
        with self._lock:
            moment = self._now()
            if self._last is not None:
                moment = max(moment, self._last + TICK)
            self._last = moment
            return moment

    def not_before(self, moment: datetime | None) -> None:
        """Tell only times after this one, unless it lies more than a day ahead."""
        with self._lock:
            if moment is not None and moment - self._now() <= FURTHEST_AHEAD:
                self._last = max(moment, self._last or moment)
