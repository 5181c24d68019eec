"""One run while it goes on: who we are, what we counted, what we hold. Passed from step to step.

Invariant: counts and bounded samples only; memory follows the page, never the table.
"""

import hashlib
from bisect import insort
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from kbsync.engine import Engine
from kbsync.errors import KbSyncError
from kbsync.freshness import Freshness
from kbsync.knowledge import IngestionJob
from kbsync.model import SyncRecord
from kbsync.pipeline.lease import PublisherLease
from kbsync.pipeline.pace import Pace
from kbsync.run_report import RunError, RunReport

Progress = Callable[[str, int, int | None], None]

MAX_ERRORS = 20
MAX_FAILED_IDS = 10_000
MAX_REASON_CHARACTERS = 500


def no_progress(step: str, done: int, total: int | None) -> None:
    """Show nothing."""


def reason_of(error: Exception) -> str:
    """Return the bounded reason that is stored and shown; our own errors carry no incident text."""
    text = str(error) if isinstance(error, KbSyncError) else type(error).__name__
    return text[:MAX_REASON_CHARACTERS]


@dataclass
class Run:
    """The state of one run in memory; everything that must survive a kill is in the ledger instead."""

    engine: Engine
    lease: PublisherLease
    report: RunReport
    until: str
    """The latest due that this run works on: what is put back later waits for the next run."""
    progress: Progress = no_progress
    wait: bool = True
    deadline: datetime | None = None
    again: list[str] = field(default_factory=list)
    """Incidents to look at once more in this run, because the world moved under them."""
    failures: list[str] = field(default_factory=list)
    """Incidents that failed by themselves so far; whether it was their fault is settled at the end."""
    forget: list[tuple[SyncRecord, str]] = field(default_factory=list)
    """Records of this page with nothing published and nothing wanted, each with the due that was read."""
    quarantined: list[str] = field(default_factory=list)
    suspects: set[str] = field(default_factory=set)
    """Incidents that were in hand when a run died: worked on last, one by one."""
    tried: int = 0
    shards: int = 1
    """How many shards of the queues this run reads."""
    waiting: int = 0
    """How many incidents this run leaves in the publish queue."""
    unconfirmed: int = 0
    """How many it leaves to be confirmed."""
    jobs_started: int = 0
    held: int = 0
    """Withdrawals that this run has put before the deletion brake."""
    brake_on: bool = False
    """The deletion brake has something to decide, or holds something."""
    waits: Freshness = field(default_factory=dict)
    """From closed to searchable, of what this run has confirmed for the first time."""
    finished: dict[bool, list[tuple[str, str]]] = field(default_factory=lambda: {True: [], False: []})
    """A bounded sample of what became searchable (True) or is gone, for the probes; each with its hash."""
    unproven: dict[str, str] = field(default_factory=dict)
    """What failed its probe in two runs in a row, by incident: people are told."""
    owed: str | None = None
    """The moment after which a job is owed, as this run last knew it; None: not read yet."""
    jobs: list[IngestionJob] | None = None
    """The newest ingestion jobs as this run knows them; None: not asked for yet."""
    systemic: bool = False
    job_failed: bool = False
    """The ingestion job itself failed: what it did not take is nobody's own fault."""
    threads: Executor | None = None
    """What publishes several incidents at once; None: they are published one by one."""
    pace: Pace = field(init=False)
    """How many incidents are in hand at once; what a page learnt of it holds for the next."""

    def __post_init__(self) -> None:
        self.pace = Pace(self.engine.policy.publish_at_once, self.engine.policy.publish_bytes)

    @property
    def run_id(self) -> str:
        """Our run id."""
        return self.report.run_id

    def count(self, **changes: int) -> None:
        """Add to the report's counts."""
        self.report = replace(
            self.report, **{name: getattr(self.report, name) + n for name, n in changes.items()}
        )

    def say(self, message: str) -> None:
        """Add a line that a person reads, once."""
        if message not in self.report.messages:
            self.report = replace(self.report, messages=(*self.report.messages, message))

    def fail(self, incident_id: str, reason: str) -> None:
        """Note that one incident failed; attempts are counted when the run is settled."""
        self.count(failed=1)
        if len(self.report.errors) < MAX_ERRORS:
            self.report = replace(self.report, errors=(*self.report.errors, RunError(incident_id, reason)))
        if len(self.failures) < MAX_FAILED_IDS:
            self.failures.append(incident_id)

    def note_finished(self, incident_id: str, *, searchable: bool) -> None:
        """Offer what is finished to the sample: the least hashes stay, so every run takes others."""
        kept = self.finished[searchable]
        rank = hashlib.sha256(f"{self.run_id}:{incident_id}".encode("utf-8", "surrogatepass")).hexdigest()
        insort(kept, (rank, incident_id))
        del kept[self.engine.policy.probe_sample :]

    def note_job(self, job_id: str) -> None:
        """Note which ingestion job this run waits for."""
        self.report = replace(self.report, job_id=job_id)

    def note_page(self, incident_ids: Sequence[str], *, isolated: bool = False) -> None:
        """Store which incidents are in hand, so that a run that dies on one of them can be told.

        Any thread may: the report itself is left to the run's own.
        """
        self.engine.ledger.save_run(replace(self.report, page=tuple(incident_ids), isolated=isolated))

    def later(self) -> datetime:
        """Return a due that this run no longer works on, also where the clock stands still or steps back."""
        return max(self.engine.now(), self.report.started_at) + timedelta(microseconds=1)

    @property
    def out_of_time(self) -> bool:
        """Whether the deadline has come: stop taking work, leave the rest to the next run."""
        return self.deadline is not None and self.engine.now() >= self.deadline

    @property
    def may_wait(self) -> bool:
        """Whether this run may look at the knowledge base once more."""
        limit = self.engine.policy.wait_seconds
        waited = self.engine.now() - self.report.started_at
        in_time = limit is None or waited < timedelta(seconds=limit)
        return self.wait and in_time and not self.out_of_time
