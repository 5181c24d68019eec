"""S3's clock between two looks at it: what its replies said, plus the time that has passed here since.

Imports nothing of ours. Invariant: `latest` is never before S3's own time, as long as `is_known`.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

LOOK_EVERY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on both clocks of this machine: the one that never steps back, and the one that is set."""

    monotonic: float
    wall: float


@dataclass(frozen=True, slots=True)
class _Look:
    said: datetime
    asked_at: Moment


class S3Time:
    """What S3's clock says now at the latest; any thread may ask.

    A function that was frozen between two calls wakes up with a monotonic clock that stood still and a wall
    clock that went on: the larger of the two differences counts.
    """

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._look: _Look | None = None
        self._lock = threading.Lock()

    def moment(self) -> Moment:
        """Return this moment, to be given to `learn` with what a request begun now brought."""
        return Moment(self._monotonic(), self._wall())

    def learn(self, said: datetime, asked_at: Moment) -> None:
        """Remember what S3's clock said in the answer to a request that was sent at a moment or later."""
        with self._lock:
            if self._look is None or asked_at.monotonic >= self._look.asked_at.monotonic:
                self._look = _Look(said, asked_at)

    @property
    def is_known(self) -> bool:
        """Whether the last look is recent enough to go on from."""
        return self._look is not None and self._passed_seconds(self._look) < LOOK_EVERY_SECONDS

    def latest(self) -> datetime:
        """Return a time that S3's clock has not passed yet; raise LookupError where nothing was learnt."""
        if self._look is None:
            raise LookupError("S3's clock was never looked at")
        return self._look.said + timedelta(seconds=self._passed_seconds(self._look))

    def _passed_seconds(self, look: _Look) -> float:
        now, then = self.moment(), look.asked_at
        return max(now.monotonic - then.monotonic, now.wall - then.wall)
