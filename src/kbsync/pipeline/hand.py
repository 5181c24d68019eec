"""Hand: one incident while its objects are put or deleted, perhaps beside others. Reads the run only.

Invariant: whoever works on a hand writes to that hand alone; the run learns of it afterwards, in the page's
order, so that a report does not tell how many worked at once.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from kbsync.engine import Engine
from kbsync.errors import RetriableError
from kbsync.model import SyncRecord
from kbsync.pipeline.lease import PublisherLease
from kbsync.pipeline.plan import Action, PlannedChange
from kbsync.pipeline.run import Run


@dataclass
class Hand:
    """One decision with what carrying it out has brought so far."""

    run: Run
    change: PlannedChange
    record: SyncRecord
    """The record as the ledger has it since the announcement."""
    saved: SyncRecord | None = None
    """What is to be stored; None: the entry stays as it is."""
    counts: Counter[str] = field(default_factory=Counter)
    again: bool = False
    """The world moved under it: look at it once more in this run."""
    forget: bool = False
    failure: str = ""
    refusal: RetriableError | None = None
    """A service did not do it: nobody's fault here."""
    error: BaseException | None = None
    """What ends the run."""
    began: bool = False
    is_done: bool = False
    window: int = 0
    """The pace's window in which it began (pace.py)."""
    is_last_straw: bool = False
    """Its refusal was the one that told of an outage: it stays where it is, first in the next run."""

    @property
    def engine(self) -> Engine:
        """The ports."""
        return self.run.engine

    @property
    def lease(self) -> PublisherLease:
        """The publisher lease; any thread may ask it for leave."""
        return self.run.lease

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.run.run_id

    @property
    def size_bytes(self) -> int:
        """How many bytes it may send."""
        document = self.change.document
        return len(document.body) + len(document.sidecar) + len(document.json_record) if document else 0

    @property
    def counts_as_tried(self) -> bool:
        """Whether a service did what was asked of it."""
        is_asked = self.change.action is not Action.REJECT
        return self.is_done and is_asked and self.refusal is None and not self.again

    def count(self, **changes: int) -> None:
        """Add to what the run will count."""
        self.counts.update(changes)

    def later(self) -> datetime:
        """Return a due that this run no longer works on."""
        return self.run.later()
