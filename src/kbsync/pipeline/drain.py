"""Drain: work the publish queue off, page by page. Decisions are plan.py's, effects are publish.py's.

Invariant: before a page is touched it stands in the run record. A run that dies on a poisonous incident
leaves its page there; the next run takes those incidents one by one, after all others are seen through to
the knowledge base, and only a second death is held against the one that was alone in hand.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

from kbsync.errors import RetriableError
from kbsync.model import Stage
from kbsync.pipeline.brake import hold_unasked, settle_held
from kbsync.pipeline.failures import hold_against
from kbsync.pipeline.look_ahead import DIED, Looked, look, looked_at
from kbsync.pipeline.publish import apply_page
from kbsync.pipeline.run import Run
from kbsync.pipeline.side_by_side import with_threads
from kbsync.queueing import shard_queue
from kbsync.run_report import RunReport

LOOKS_AGAIN = 3
RUNS_LOOKED_AT = 10


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
        with with_threads(run):
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
    with closing(looked_at(run, queue)) as pages:
        for looked in pages:
            if run.out_of_time:
                run.waiting += len(looked.entries)
                run.say("stopped at the deadline; the rest waits for the next run")
                return
            _apply(run, looked)


def _work_in_time(run: Run, incident_ids: Sequence[str], *, isolated: bool = False) -> None:
    if run.out_of_time:
        run.waiting += len(incident_ids)
    else:
        _apply(run, look(run, incident_ids, isolated=isolated))


def _apply(run: Run, looked: Looked) -> None:
    """Do what each incident of one page needs."""
    if not looked.records:
        return
    run.count(found=len(looked.records))
    if left_out := len(looked.records) - len(looked.planned):
        run.systemic = True
        run.waiting += left_out
        run.say(f"nothing is published without redaction: {run.engine.transform.lacking}")
    apply_page(run, hold_unasked(run, looked.planned))
    run.progress("publish", run.report.found, None)


def _pages(incident_ids: Sequence[str], size: int) -> list[Sequence[str]]:
    unique = list(dict.fromkeys(incident_ids))
    return [unique[start : start + size] for start in range(0, len(unique), size)]
