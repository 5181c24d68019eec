"""Back-fill: mark what many incidents say at once, from parts of an export or of the table itself.

    source --part--> page of incidents -> who needs a look? -> marks -> how far this part is (ledger)
                                                                 v
                                                     the next ordinary run publishes

It writes marks and its own progress, never a document: the publisher decides from the incident as it is then,
so an old export can overwrite nothing. An incident that a source does not name is left alone.

Knows the ports and queueing only. Invariant: progress never says more than is marked.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import TypeVar

from kbsync.engine import Engine
from kbsync.errors import RetriableError
from kbsync.model import Attributes, Mark, State, SyncRecord
from kbsync.queueing import is_closed
from kbsync.shards import before_marking
from kbsync.stretches import Source, Stretch
from kbsync.withdrawal import in_force

T = TypeVar("T")

PROGRESS = "backfill"
TRIES = 8
FIRST_WAIT_SECONDS = 1.0
"""Doubled with each refusal, so a throttled table is left alone for up to two minutes before we give up."""

SCAN_PAGE = 100
_END = "end"

_SETTLED = frozenset({State.INDEXED, State.EXCLUDED, State.WITHDRAWN, State.QUARANTINED})


class Looked(StrEnum):
    """What became of one item of a source."""

    MARKED = "marked"
    """Put into the queue: something is to be published, withdrawn or decided."""
    CURRENT = "current"
    """Its record already says what this item says."""
    WAITING = "waiting"
    """It is in the queue."""
    NOT_CLOSED = "not_closed"
    """Not closed, and nothing of it is published."""
    UNREADABLE = "unreadable"
    """No incident: another item of the table, or a line that cannot be read."""


class TableSource:
    """The incidents table itself, in parts that are scanned side by side."""

    def __init__(self, engine: Engine, parts: int) -> None:
        self.name = f"table in {parts}"
        self.parts = parts
        self._engine = engine

    def read(self, part: int, position: str) -> Iterator[Stretch]:
        """Yield pages of the part's incidents; the page's cursor is the position."""
        while position != _END:
            page = self._engine.incidents.scan(cursor=position, limit=SCAN_PAGE, part=part, parts=self.parts)
            position = page.cursor or _END
            yield Stretch(tuple((each.incident_id, each.attributes) for each in page.items), position)


@dataclass
class Backfilled:
    """What a back-fill has done; `ended` is false where its deadline came first."""

    source: str
    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(map(str, Looked), 0)))
    parts_done: int = 0
    parts: int = 0
    ended: bool = False


@dataclass
class _Progress:
    """How far each part is; small, since all parts before the first unfinished one are one number."""

    source: str
    parts: int
    before: int = 0
    done: set[int] = field(default_factory=set)
    at: dict[int, str] = field(default_factory=dict)

    def finish(self, part: int) -> None:
        self.at.pop(part, None)
        self.done.add(part)
        while self.before in self.done:
            self.done.remove(self.before)
            self.before += 1

    def remaining(self) -> list[int]:
        return [part for part in range(self.before, self.parts) if part not in self.done]

    def as_text(self) -> str:
        return json.dumps(
            {
                "source": self.source,
                "parts": self.parts,
                "before": self.before,
                "done": sorted(self.done),
                "at": {str(part): position for part, position in sorted(self.at.items())},
            }
        )


def _progress_of(text: str, source: Source) -> _Progress:
    """Return the progress of this very source; a new one where another stands, or none."""
    stored = json.loads(text) if text else {}
    if (stored.get("source"), stored.get("parts")) != (source.name, source.parts):
        return _Progress(source.name, source.parts)
    at = {int(part): position for part, position in stored["at"].items()}
    return _Progress(source.name, source.parts, stored["before"], set(stored["done"]), at)


@dataclass
class _Work:
    """What all parts share; the lock guards progress and counts."""

    engine: Engine
    source: Source
    progress: _Progress
    outcome: Backfilled
    dry_run: bool
    deadline: datetime | None
    told: Callable[[int], None]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def is_late(self) -> bool:
        return self.deadline is not None and self.engine.now() >= self.deadline


def backfill(
    engine: Engine,
    source: Source,
    *,
    workers: int = 1,
    dry_run: bool = False,
    deadline: datetime | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> Backfilled:
    """Mark every incident of a source that needs a look, and return what was found.

    A call goes on where one over the same source was killed or met its deadline; after the last part the
    progress is forgotten. A repeat marks only what changed. A dry run writes nothing and begins anew.

    Args:
        engine: the ports and the policy.
        source: what to go through.
        workers: how many parts at once.
        dry_run: count only.
        deadline: stop each part after the stretch in hand at this moment (aware UTC).
        told: called with how many items have been looked at so far.

    Raises:
        RetriableError: the ledger refused eight times in a row; what was marked stands.
    """
    engine = in_force(engine)
    text = "" if dry_run else engine.ledger.read_value(PROGRESS)
    progress = _progress_of(text, source)
    outcome = Backfilled(source.name, parts=source.parts)
    if not dry_run:
        before_marking(engine)
    work = _Work(engine, source, progress, outcome, dry_run, deadline, told)
    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(lambda part: _run_part(work, part), progress.remaining()))
    outcome.parts_done = source.parts - len(progress.remaining())
    outcome.ended = not progress.remaining()
    if outcome.ended and not dry_run:
        engine.ledger.write_value(PROGRESS, "")
    return outcome


def _run_part(work: _Work, part: int) -> None:
    """Go through one part as far as the time allows."""
    if work.is_late():
        return
    begin = work.progress.at.get(part, "")
    for counts, position in mark_part(work.engine, work.source, part, begin, dry_run=work.dry_run):
        with work.lock:
            work.outcome.counts.update(counts)
            work.progress.at[part] = position
            _save(work)
            work.told(work.outcome.counts.total())
        if work.is_late():
            return
    with work.lock:
        work.progress.finish(part)
        _save(work)


def mark_part(
    engine: Engine, source: Source, part: int, position: str, *, dry_run: bool = False
) -> Iterator[tuple[Counter[str], str]]:
    """Mark what is behind a position of one part, stretch by stretch; yields what each came to, and its end.

    A repeat from an earlier position marks nothing that is up to date.

    Raises:
        RetriableError: the ledger refused eight times in a row; what was yielded is marked.
    """
    for stretch in source.read(part, position):
        yield _patiently(engine, partial(mark_stretch, engine, stretch, dry_run=dry_run)), stretch.position


def _save(work: _Work) -> None:
    if not work.dry_run:
        text = work.progress.as_text()
        _patiently(work.engine, lambda: work.engine.ledger.write_value(PROGRESS, text))


def mark_stretch(engine: Engine, stretch: Stretch, *, dry_run: bool = False) -> Counter[str]:
    """Mark those of a stretch that need a look, and return how many came to what. A repeat is harmless."""
    records = engine.ledger.records([incident_id for incident_id, _ in stretch.items])
    judged = [(each, judge(engine, attributes, records.get(each))) for each, attributes in stretch.items]
    marks = [Mark(each, engine.now()) for each, found in judged if found is Looked.MARKED]
    if marks and not dry_run:
        engine.ledger.mark(marks)
    counts = Counter(str(found) for _, found in judged)
    counts[Looked.UNREADABLE] += stretch.unreadable
    return counts


def judge(engine: Engine, attributes: Attributes, record: SyncRecord | None) -> Looked:
    """Say whether an incident, as a source has it, needs a look of the publisher. Pure."""
    closed = is_closed(attributes, engine.policy.closed_statuses)
    if record is None:
        return Looked.MARKED if closed else Looked.NOT_CLOSED
    if record.queue:
        return Looked.WAITING
    as_told = record.source_version == engine.transform.source_version(attributes)
    current = as_told and record.state in _SETTLED and record.rendered_by == engine.transform.rendered_by
    return Looked.CURRENT if current else Looked.MARKED


def _patiently(engine: Engine, call: Callable[[], T]) -> T:
    """Return what the call gives; a refusal is waited out, longer each time."""
    wait = FIRST_WAIT_SECONDS
    for _ in range(TRIES - 1):
        try:
            return call()
        except RetriableError:
            engine.sleep(wait)
            wait *= 2
    return call()
