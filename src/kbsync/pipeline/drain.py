"""Drain: work the publish queue off, page by page. Decisions are plan.py's, effects are publish.py's.

Invariant: before a page is touched it stands in the run record. A run that dies on a poisonous incident
leaves its page there; the next run takes those incidents one by one, after all others are seen through to
the knowledge base, and only a second death is held against the one that was alone in hand.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from kbsync.errors import RetriableError
from kbsync.model import Stage, SyncRecord
from kbsync.pipeline.brake import hold_unasked, settle_held
from kbsync.pipeline.failures import hold_against
from kbsync.pipeline.plan import plan_page
from kbsync.pipeline.publish import apply_page
from kbsync.pipeline.run import Run
from kbsync.queueing import in_stage, shard_queue
from kbsync.run_report import RunReport

LOOKS_AGAIN = 3
RUNS_LOOKED_AT = 10
DIED = "the process died while this incident was in hand"


def drain_publish_queue(run: Run) -> None:
    """Publish or withdraw everything due; stops early on an outage or at the deadline, losing nothing.

    Incidents that may kill the process are left for `drain_suspects`.
    """
    run.suspects = close_dead_runs(run)
    with _losing_nothing(run):
        _drain_all(run)
        if settle_held(run):
            _drain_all(run)


def _drain_all(run: Run) -> None:
    """Go once through every shard, then a few times through what the world moved under us."""
    for shard in range(run.shards):
        _drain_shard(run, shard_queue(Stage.PUBLISH, shard))
    for _ in range(LOOKS_AGAIN):
        again, run.again = run.again, []
        for page in _pages(again, run.engine.policy.page_size):
            _work_in_time(run, page)


def drain_suspects(run: Run) -> None:
    """Work on the incidents that were in hand when a run died, one by one; one may end this process too."""
    with _losing_nothing(run):
        for suspect in sorted(run.suspects):
            _work_in_time(run, [suspect], isolated=True)


@contextmanager
def _losing_nothing(run: Run) -> Iterator[None]:
    """End a drain well: what was not reached, or moves on again and again, waits for the next run."""
    try:
        yield
    except RetriableError as error:
        run.systemic = True
        run.say(f"stopped early: {error}")
    run.waiting += len(run.again)
    run.again = []
    run.note_page([])


def close_dead_runs(run: Run) -> set[str]:
    """End the records of runs that were killed; returns the incidents that were in hand then.

    We hold the publisher lease, so a run that still says `running` is dead.
    """
    suspects: set[str] = set()
    for dead in run.engine.ledger.runs(limit=RUNS_LOOKED_AT):
        if dead.status != "running" or dead.run_id == run.run_id:
            continue
        suspects.update(dead.page)
        if dead.isolated:
            hold_against(run, dead.page, DIED)
        _close(run, dead)
    return suspects


def _close(run: Run, dead: RunReport) -> None:
    messages = (*dead.messages, f"killed; closed by run {run.run_id}")
    run.engine.ledger.save_run(
        replace(dead, status="failed", ended_at=run.engine.now(), messages=messages, page=())
    )


def _drain_shard(run: Run, queue: str) -> None:
    after, size = "", run.engine.policy.page_size
    while entries := run.engine.ledger.due(queue, until=run.until, after=after, limit=size):
        if run.out_of_time:
            run.waiting += len(entries)
            run.say("stopped at the deadline; the rest waits for the next run")
            return
        after = entries[-1].due
        _work(run, [entry.incident_id for entry in entries if entry.incident_id not in run.suspects])


def _work_in_time(run: Run, incident_ids: Sequence[str], *, isolated: bool = False) -> None:
    if run.out_of_time:
        run.waiting += len(incident_ids)
    else:
        _work(run, incident_ids, isolated=isolated)


def _work(run: Run, incident_ids: Sequence[str], *, isolated: bool = False) -> None:
    """Look at one page of incidents and do what each needs."""
    if not incident_ids:
        return
    run.lease.ensure()
    held = run.engine.ledger.records(incident_ids)
    in_order = (held[each] for each in incident_ids if each in held)
    records = [record for record in in_order if _is_due(record, run)]
    if not isolated:
        run.suspects.update(record.incident_id for record in records if record.reason == DIED)
        records = [record for record in records if record.incident_id not in run.suspects]
    if not records:
        return
    run.note_page([record.incident_id for record in records], isolated=isolated)
    run.count(found=len(records))
    planned = plan_page(run.engine, records)
    if left_out := len(records) - len(planned):
        run.systemic = True
        run.waiting += left_out
        run.say(f"nothing is published without redaction: {run.engine.transform.lacking}")
    apply_page(run, hold_unasked(run, planned))
    run.progress("publish", run.report.found, None)


def _is_due(record: SyncRecord, run: Run) -> bool:
    """Whether the record still says what the index said: the index may lag."""
    return in_stage(record, Stage.PUBLISH) and record.due <= run.until


def _pages(incident_ids: Sequence[str], size: int) -> list[Sequence[str]]:
    unique = list(dict.fromkeys(incident_ids))
    return [unique[start : start + size] for start in range(0, len(unique), size)]
