"""The publisher lease as a ledger holds it, judged. Imports findings only.

Invariant: a look takes nothing and frees nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from kbsync.doctor.finding import Code, Finding, error, warning, well

LEASE_GRACE = timedelta(seconds=60)
LEASE_LONGEST = timedelta(hours=1)
"""The most that LEASE_SECONDS may be."""


@dataclass(frozen=True, slots=True)
class StoredLease:
    """The publisher lease as the ledger holds it."""

    owner: str
    expires_at: datetime
    released: bool


def check_lease(lease: StoredLease | None, now: datetime) -> Iterator[Finding]:
    """Judge the publisher lease: free, held, left by a dead run, or held for longer than any run may."""
    if lease is None or lease.released:
        yield well(Code.LEASE, "lease", "free")
    elif lease.expires_at + LEASE_GRACE < now:
        yield warning(
            Code.LEASE_STALE,
            "lease",
            f"run {lease.owner} ended without giving it back at {lease.expires_at:%Y-%m-%d %H:%M:%S} UTC",
            "nothing to do: the next run takes it over and finishes that run's work",
        )
    elif lease.expires_at - now > LEASE_LONGEST + LEASE_GRACE:
        yield error(
            Code.LEASE_STUCK,
            "lease",
            f"run {lease.owner} holds it until {lease.expires_at:%Y-%m-%d %H:%M:%S} UTC, longer than any may",
            "set this machine's clock, or the clock of the machine that ran it; runs wait until then",
        )
    else:
        yield well(Code.LEASE, "lease", f"held by run {lease.owner} until {lease.expires_at:%H:%M:%S} UTC")
