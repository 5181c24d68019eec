"""Look ahead: read, note and decide the next page while the objects of this one are put.

    one at a time   a page is looked at when the one before it is done: every call has its place
    several         one thread looks at page n + 1 while page n is carried out; both stand in the run record

Invariant: what page n touched is never decided on from a record that was read before page n was saved; such
an incident is looked at once more instead.
"""

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from kbsync.model import QueueEntry, Stage, SyncRecord
from kbsync.pipeline.plan import PlannedChange, plan_page
from kbsync.pipeline.run import Run
from kbsync.queueing import in_stage

DIED = "the process died while this incident was in hand"


@dataclass(frozen=True, slots=True)
class Looked:
    """One page as it was read, with what is to be done; a record without a decision cannot be decided on."""

    records: Sequence[SyncRecord] = ()
    planned: Sequence[PlannedChange] = ()
    entries: Sequence[QueueEntry] = ()
    """The queue's entries that it was read from."""

    def without(self, incident_ids: frozenset[str]) -> "Looked":
        """Return the page less these incidents."""
        return replace(
            self,
            records=[each for each in self.records if each.incident_id not in incident_ids],
            planned=[each for each in self.planned if each.incident_id not in incident_ids],
        )


def looked_at(run: Run, queue: str) -> Generator[Looked, None, None]:
    """Yield every due page of a queue, oldest first; while the caller works on one, the next is looked at.

    Raises:
        RetriableError: the next page could not be read; the one before it has been carried out.
    """
    if run.threads is None:
        looked = _next_page(run, queue, Looked())
        while looked.entries:
            yield looked
            looked = _next_page(run, queue, looked)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="kbsync-look") as thread:
        looked = _next_page(run, queue, Looked())
        while looked.entries:
            following = thread.submit(_next_page, run, queue, looked, beside=_ids(looked))
            yield looked
            touched = frozenset(_ids(looked))
            looked = following.result()
            run.again.extend(each for each in _ids(looked) if each in touched)
            looked = looked.without(touched)


def _next_page(run: Run, queue: str, before: Looked, *, beside: Sequence[str] = ()) -> Looked:
    """Look at the page behind another one; `beside` is in hand meanwhile."""
    after = before.entries[-1].due if before.entries else ""
    limit = run.engine.policy.page_size
    entries = run.engine.ledger.due(queue, until=run.until, after=after, limit=limit)
    if run.out_of_time:
        return Looked(entries=entries)
    wanted = [entry.incident_id for entry in entries if entry.incident_id not in run.suspects]
    return replace(look(run, wanted, beside=beside), entries=entries)


def look(
    run: Run, incident_ids: Sequence[str], *, isolated: bool = False, beside: Sequence[str] = ()
) -> Looked:
    """Read these incidents and their records, note that they are in hand, and decide what each needs."""
    if not incident_ids:
        return Looked()
    run.lease.ensure()
    held = run.engine.ledger.records(incident_ids)
    in_order = (held[each] for each in incident_ids if each in held)
    records = [record for record in in_order if _is_due(record, run)]
    if not isolated:
        run.suspects.update(record.incident_id for record in records if record.reason == DIED)
        records = [record for record in records if record.incident_id not in run.suspects]
    if not records:
        return Looked()
    run.note_page([*beside, *(record.incident_id for record in records)], isolated=isolated)
    return Looked(records, plan_page(run.engine, records))


def _ids(looked: Looked) -> list[str]:
    return [record.incident_id for record in looked.records]


def _is_due(record: SyncRecord, run: Run) -> bool:
    """Whether the record still says what the index said: the index may lag."""
    return in_stage(record, Stage.PUBLISH) and record.due <= run.until
