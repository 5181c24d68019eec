"""Ingest: one coalesced ingestion job for everything published. Knows the KnowledgeBase and Ledger ports.

    owed      a page was published: some job must start after it      (ledger value, survives a kill)
    active    the job we started or joined, until it ends              (ledger value; else found by listing)

Killed between the start and the note of it: the next run finds the job by listing and adopts it. A conflict
is a wait, never a failure. Invariant: `owed` is cleared only for a job that started after what is owed.
"""

import hashlib
from datetime import datetime, timedelta

from kbsync.errors import JobAlreadyRunningError
from kbsync.knowledge import IngestionJob, JobStatus
from kbsync.pipeline.run import Run
from kbsync.queueing import utc_text

OWED = "job_owed"
ACTIVE = "ingestion_job"
JOBS_LOOKED_AT = 10
MAX_JOBS_PER_RUN = 5
RETRY_SECONDS = 1.0


def owe_job(run: Run, published_at: datetime) -> None:
    """Note that a job must start after this moment; a later note replaces an earlier one.

    Repeated, it costs one call: the run knows what it has noted, and the write holds only on that.
    """
    owed, ledger = utc_text(published_at), run.engine.ledger
    if run.owed is None:
        run.owed = ledger.read_value(OWED)
    while owed > run.owed:
        if ledger.write_value(OWED, owed, expected=run.owed):
            run.owed = owed
        else:
            run.owed = ledger.read_value(OWED)


def newest_jobs(run: Run) -> list[IngestionJob]:
    """Return the newest jobs, newest first; while none of them runs, this run asks once.

    A job that somebody else starts later is seen by the next run.
    """
    if run.jobs is None or not all(job.status.is_final for job in run.jobs):
        run.jobs = run.engine.knowledge_base.jobs(limit=JOBS_LOOKED_AT)
    return run.jobs


def _note_seen(run: Run, job: IngestionJob) -> None:
    """Keep what was learnt of one job without asking for all of them again."""
    if run.jobs is not None:
        others = [each for each in run.jobs if each.job_id != job.job_id]
        run.jobs = sorted([job, *others], key=lambda each: each.started_at, reverse=True)


def ingest(run: Run) -> None:
    """Start or join the job that is owed and see it through, as far as this run may wait.

    A run with nothing new still starts the job that an earlier run owed.
    """
    if run.engine.policy.ingestion == "none":
        run.engine.ledger.write_value(OWED, "")
        run.owed = None
        return
    for _ in range(MAX_JOBS_PER_RUN):
        job = _current_job(run)
        if job is None:
            return
        job = _wait_for(run, job)
        if not job.status.is_final:
            run.say(f"ingestion job {job.job_id} is {job.status}; the next run goes on from here")
            return
        _note_seen(run, job)
        run.engine.ledger.write_value(ACTIVE, "")
        if job.status is not JobStatus.COMPLETE:
            _note_failed_job(run, job)
            return


def _note_failed_job(run: Run, job: IngestionJob) -> None:
    """A job that failed as a whole is nobody's fault: it is owed again."""
    owe_job(run, job.started_at)
    reasons = "; ".join(job.failure_reasons[:3])[:300]
    run.systemic = run.job_failed = True
    run.say(f"ingestion job {job.job_id} ended {job.status}{': ' if reasons else ''}{reasons}")


def _current_job(run: Run) -> IngestionJob | None:
    """Return the job to wait for: the active one, an unfinished one found by listing, or a new one."""
    ledger, knowledge_base = run.engine.ledger, run.engine.knowledge_base
    active = ledger.read_value(ACTIVE)
    if active:
        try:
            return _joined(run, knowledge_base.job(active))
        except KeyError:  # another knowledge base since: what the job covered is owed again
            ledger.write_value(ACTIVE, "", expected=active)
            owe_job(run, run.engine.now())
    owed = ledger.read_value(OWED)
    if not owed:
        return None
    newest = next(iter(newest_jobs(run)), None)
    if newest is not None and not newest.status.is_final:
        return _joined(run, newest)
    if newest is not None and newest.status is JobStatus.COMPLETE and utc_text(newest.started_at) > owed:
        return _joined(run, newest)
    return _start(run, owed)


def _joined(run: Run, job: IngestionJob) -> IngestionJob:
    """Remember a job until it ends; what was owed before it started is no longer owed."""
    run.note_job(job.job_id)
    ledger = run.engine.ledger
    ledger.write_value(ACTIVE, job.job_id)
    owed = ledger.read_value(OWED)
    if owed and utc_text(job.started_at) > owed:
        ledger.write_value(OWED, "", expected=owed)
        run.owed = None
    return job


def _start(run: Run, owed: str) -> IngestionJob | None:
    """Start our job, later than what is owed; where another was quicker, join that one."""
    engine = run.engine
    wait = (datetime.fromisoformat(owed) - engine.now()) / timedelta(seconds=1)
    if wait >= 0:
        engine.sleep(min(wait, engine.policy.call_timeout_seconds) + 0.001)
    run.lease.ensure()
    run.jobs_started += 1
    token = hashlib.sha256(f"{run.run_id}:{run.jobs_started}".encode()).hexdigest()
    try:
        job = engine.knowledge_base.start_job(description=f"kbsync run {run.run_id}", client_token=token)
    except JobAlreadyRunningError:
        run.jobs = None  # what was known is out of date
        running = [job for job in newest_jobs(run) if not job.status.is_final]
        run.say("another ingestion job is running; ours follows it")
        return _joined(run, running[0]) if running else None
    return _joined(run, job)


def _wait_for(run: Run, job: IngestionJob) -> IngestionJob:
    """Look at the job until it ends or this run must not wait any longer."""
    engine = run.engine
    while not job.status.is_final:
        engine.sleep(engine.knowledge_base.poll_seconds)
        run.lease.ensure()
        job = engine.knowledge_base.job(job.job_id)
        counts = job.statistics
        if counts is not None:
            done = counts.new_indexed + counts.modified_indexed + counts.metadata_modified + counts.failed
            run.progress("index", done, run.report.published or None)
        if not run.may_wait:
            break
    return job
