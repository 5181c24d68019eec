"""The publisher lease: whoever puts or deletes documents holds it. Knows the Ledger port only.

Invariant: no effect starts unless the lease outlives the longest call, so a holder that was replaced has
nothing in flight; what stalls between this check and its call meets ETag conditions and a newer generation.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from kbsync.engine import Engine
from kbsync.errors import RetriableError
from kbsync.model import Lease

PUBLISHER = "publisher"


class PublisherLease:
    """A held lease that renews itself when it is asked for leave; any thread may ask."""

    def __init__(self, engine: Engine, lease: Lease) -> None:
        self._engine = engine
        self._renewing = threading.Lock()
        self.lease = lease

    @property
    def generation(self) -> int:
        """The number that goes into every record we write."""
        return self.lease.generation

    def ensure(self) -> None:
        """Return where a call may start now; renew the lease first if too little of it is left.

        Raises:
            LeaseLostError (fatal): another run took over; nothing was written.
        """
        if self._is_short():
            with self._renewing:  # of many threads that ask at once, one renews
                if self._is_short():
                    self._renew()

    def _is_short(self) -> bool:
        policy = self._engine.policy
        needed = max(policy.call_timeout_seconds, policy.lease_seconds / 2)
        return self.lease.expires_at - self._engine.now() <= timedelta(seconds=needed)

    def ensure_outlived(self) -> None:
        """Return where no other run can have taken over while an effect took place.

        Raises:
            LeaseLostError (fatal): another run has; what was done came too late.
        """
        if self._engine.now() >= self.lease.expires_at:
            self.ensure_ours()

    def ensure_ours(self) -> None:
        """Renew the lease at once; raise LeaseLostError (fatal) where another run has it."""
        with self._renewing:
            self._renew()

    def _renew(self) -> None:
        now = self._engine.now()
        self.lease = self._engine.ledger.renew_lease(
            self.lease, now=now, seconds=self._engine.policy.lease_seconds
        )


@contextmanager
def holding_lease(engine: Engine, owner: str) -> Iterator[PublisherLease]:
    """Hold the publisher lease for the block and release it afterwards, whatever happens.

    Raises:
        BusyError: another run is active; nothing was written.
    """
    lease = engine.ledger.acquire_lease(
        PUBLISHER,
        owner,
        now=engine.now(),
        seconds=engine.policy.lease_seconds,
        grace_seconds=engine.policy.lease_grace_seconds,
    )
    held = PublisherLease(engine, lease)
    try:
        yield held
    finally:
        with suppress(RetriableError):  # it then ends by itself
            engine.ledger.release_lease(held.lease)
