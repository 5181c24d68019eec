"""What one run did, as a frozen value: counts that are whole, and bounded samples. Imports nothing of ours.

Times named `_at` are aware UTC datetimes; durations carry their unit in the name.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RunError:
    """One failed incident of a run; the reason holds at most 500 characters and no incident text."""

    incident_id: str
    error: str


@dataclass(frozen=True, slots=True)
class SearchableTimes:
    """How long incidents took from closed to searchable, in seconds; an empty severity is all of them."""

    severity: str
    count: int
    late: int
    """How many took longer than the objective."""
    p50: float
    p95: float
    longest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What one run did; `errors` is a bounded sample, the counts are whole."""

    run_id: str
    trigger: str = "cli"
    status: str = "running"
    started_at: datetime
    ended_at: datetime | None = None
    found: int = 0
    published: int = 0
    metadata_only: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    indexed: int = 0
    failed: int = 0
    quarantined: int = 0
    excluded: int = 0
    pending: int = 0
    probed: int = 0
    """Incidents that search was asked for, to see whether it is as the records say."""
    probes_failed: int = 0
    withheld: int = 0
    objects_written: int = 0
    objects_deleted: int = 0
    job_id: str = ""
    page: tuple[str, ...] = ()
    """The incidents in hand: what a killed run was working on when it died."""
    isolated: bool = False
    """The page is one suspect of an earlier crash: dying again is this incident's own fault."""
    errors: tuple[RunError, ...] = ()
    searchable: tuple[SearchableTimes, ...] = ()
    """All that became searchable for the first time since it was closed, then each severity."""
    messages: tuple[str, ...] = ()
    dry_run: bool = False
    duration_seconds: float = 0.0
