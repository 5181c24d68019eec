"""Confirm: learn from the knowledge base what is searchable and what is gone; only then say so.

    proof   a COMPLETE job, anyone's, that started after the document was put or deleted, and
            INDEXED with a time not before that, or NOT_FOUND with both objects absent from the store
    then    read the incident again -> `kb_sync_status` -> ledger, in this order

The job's state and statistics prove nothing by themselves. Killed anywhere: the entry is still in the confirm
queue. Invariant: `synced: true` is written only for content the knowledge base has confirmed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from kbsync.errors import FatalError, UsageError
from kbsync.knowledge import DocumentInfo, DocumentStatus, IngestionJob, JobStatus
from kbsync.model import Stage, State, SyncRecord
from kbsync.pipeline.finish import Finished, finish_page, refuse_page
from kbsync.pipeline.ingest import newest_jobs, owe_job
from kbsync.pipeline.run import Run
from kbsync.queueing import due_until, in_stage, shard_queue

LOOKS = 5
"""How often one run asks again for documents that are on their way."""
BODY_SHA_CHARACTERS = 12


class Verdict(StrEnum):
    """What the knowledge base's word means for one entry."""

    SEARCHABLE = "searchable"
    GONE = "gone"
    WAIT = "wait"
    REFUSED = "refused"
    ABSENT = "absent"


LINGERS = timedelta(minutes=10)
"""How long after a job's end a document may stay on its way before another job is owed.
Source: AWS_FACTS.md section 3 ("a few minutes" after COMPLETE)."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What one look over the confirm queue found."""

    proof: IngestionJob | None = None
    waiting: int = 0
    on_their_way: int = 0
    confirmed: int = 0
    absent: tuple[SyncRecord, ...] = ()


def confirm(run: Run) -> None:
    """Work the confirm queue off as far as the knowledge base has got; what is left stays pending.

    Looks again a few times while documents that a finished job covers are on their way.
    """
    tally = _look_over(run)
    for _ in range(LOOKS - 1):
        if not (tally.on_their_way and run.may_wait):
            break
        run.engine.sleep(run.engine.knowledge_base.poll_seconds)
        tally = _look_over(run)
    run.unconfirmed = tally.waiting
    _owe_for_lingering(run, tally)
    _judge_absent(run, tally)


def _look_over(run: Run) -> Tally:
    """Pass once over all due confirmations, page by page."""
    proof: IngestionJob | None = None
    tally, until = Tally(), due_until(run.later())
    for shard in range(run.shards):
        queue, after = shard_queue(Stage.CONFIRM, shard), ""
        while entries := run.engine.ledger.due(
            queue, until=until, after=after, limit=run.engine.policy.page_size
        ):
            if run.out_of_time:
                break
            after = entries[-1].due
            proof = proof or newest_complete_job(run)
            found = run.engine.ledger.records([entry.incident_id for entry in entries])
            records = [record for record in found.values() if in_stage(record, Stage.CONFIRM)]
            tally = _confirm_page(run, records, proof, tally)
            run.progress("confirm", run.report.indexed, None)
    return tally


def newest_complete_job(run: Run) -> IngestionJob | None:
    """Return the COMPLETE job, anyone's, that started last; its start is the proof's moment."""
    if run.engine.policy.ingestion == "none":
        return None
    complete = [job for job in newest_jobs(run) if job.status is JobStatus.COMPLETE]
    return max(complete, key=lambda job: job.started_at, default=None)


def _confirm_page(run: Run, records: Sequence[SyncRecord], proof: IngestionJob | None, tally: Tally) -> Tally:
    """Judge one page, finish what is proven, count the rest."""
    run.lease.ensure()
    judged = _judge_page(run, records, proof)
    finished = [
        Finished(record, searchable=verdict is Verdict.SEARCHABLE)
        for record, verdict, _ in judged
        if verdict in (Verdict.SEARCHABLE, Verdict.GONE)
    ]
    refuse_page(run, ((record, reason) for record, verdict, reason in judged if verdict is Verdict.REFUSED))
    done = finish_page(run, finished, proof.job_id if proof else "")
    waits = [record for record, verdict, _ in judged if verdict is Verdict.WAIT]
    absent = tuple(record for record, verdict, _ in judged if verdict is Verdict.ABSENT)
    return Tally(
        proof=proof,
        waiting=tally.waiting + len(waits) + len(absent) + len(finished) - done,
        on_their_way=tally.on_their_way + sum(_is_covered(record, proof) for record in waits),
        confirmed=tally.confirmed + done,
        absent=(*tally.absent, *absent)[: run.engine.policy.page_size],
    )


def _is_covered(record: SyncRecord, proof: IngestionJob | None) -> bool:
    """Whether a complete job started after this document was last touched."""
    return proof is not None and record.published_at is not None and proof.started_at > record.published_at


def _judge_page(
    run: Run, records: Sequence[SyncRecord], proof: IngestionJob | None
) -> list[tuple[SyncRecord, Verdict, str]]:
    if run.engine.policy.ingestion == "none":
        return [(record, _stored_verdict(run, record), "") for record in records]
    covered = [record for record in records if _is_covered(record, proof)]
    infos = (
        run.engine.knowledge_base.documents([record.document_key for record in covered]) if covered else {}
    )
    judged = []
    for record in records:
        if record not in covered:
            judged.append((record, Verdict.WAIT, ""))
            continue
        info = infos.get(record.document_key)
        verdict = _verdict(run, record, info)
        judged.append((record, verdict, _refusal(info) if info is not None else ""))
    return judged


def _refusal(info: DocumentInfo) -> str:
    return f"the knowledge base refused the document: {info.status}{': ' if info.reason else ''}{info.reason}"


def _stored_verdict(run: Run, record: SyncRecord) -> Verdict:
    """With `INGESTION=none` the document store's word is all there is."""
    if record.state is State.WITHDRAWING:
        return Verdict.GONE
    head = run.engine.documents.head(record.document_key)
    return Verdict.SEARCHABLE if head is not None and head.etag == record.body_etag else Verdict.ABSENT


def _verdict(run: Run, record: SyncRecord, info: DocumentInfo | None) -> Verdict:
    """Judge one covered entry; a document that the answer leaves out is not known, so it waits."""
    if info is None:
        return Verdict.WAIT
    if record.state is State.WITHDRAWING:
        return Verdict.GONE if info.status is DocumentStatus.NOT_FOUND else Verdict.WAIT
    if info.status.is_refusal:
        return Verdict.REFUSED
    if info.status is DocumentStatus.NOT_FOUND:
        return Verdict.ABSENT
    if info.status is not DocumentStatus.INDEXED:
        return Verdict.WAIT
    if _is_fresh(info.updated_at, record.published_at) or _retrieves(run, record):
        return Verdict.SEARCHABLE
    return Verdict.WAIT


def _is_fresh(updated_at: datetime | None, published_at: datetime | None) -> bool:
    return updated_at is not None and published_at is not None and updated_at >= published_at


def _retrieves(run: Run, record: SyncRecord) -> bool:
    """Ask for this very content: where only the time is older, what is found decides."""
    sha = record.body_hash[:BODY_SHA_CHARACTERS]
    wanted = [
        {"equals": {"key": "incident_id", "value": record.incident_id}},
        {"equals": {"key": "body_sha", "value": sha}},
    ]
    try:
        hits = run.engine.knowledge_base.retrieve("", limit=1, filter={"andAll": wanted})
    except (UsageError, FatalError) as error:  # this store cannot filter so, or we may not: others go on
        run.say(f"retrieval cannot prove what is searchable: {error}")
        return False
    return any(hit.document_key == record.document_key for hit in hits)


def _lists_another(run: Run) -> bool:
    """Whether the knowledge base lists a document that was confirmed earlier: then it reads our prefix."""
    page = run.engine.ledger.list_records(state=State.INDEXED, cursor="", limit=1)
    keys = [record.document_key for record in page.items]
    infos = run.engine.knowledge_base.documents(keys) if keys else {}
    return any(info.status is DocumentStatus.INDEXED for info in infos.values())


def _owe_for_lingering(run: Run, tally: Tally) -> None:
    """Owe another job where a finished one left documents on their way for long.

    Clocks may disagree by more than we allow for: then the job that seems to cover a document ran before it
    was put or deleted, and nothing else would ever start another.
    """
    if tally.on_their_way and tally.proof and run.engine.now() - tally.proof.updated_at > LINGERS:
        run.say(
            f"{tally.on_their_way} documents wait although job {tally.proof.job_id} ended; another is owed"
        )
        owe_job(run, run.engine.now())


def _judge_absent(run: Run, tally: Tally) -> None:
    """Documents that a complete job should have listed: all of them missing is nobody's own fault.

    Source: AWS_FACTS.md section 1 (ignored documents are absent from the listing); CASES.md O-03.
    """
    if not tally.absent:
        return
    if run.report.indexed == 0 and not _lists_another(run):
        run.systemic = True
        run.say(
            f"the ingestion job ended COMPLETE, but none of the {len(tally.absent)} or more documents that "
            "wait is listed: check that the data source's bucket and prefix are the ones we publish under"
        )
        owe_job(run, run.engine.now())
        return
    reason = "the knowledge base does not list the document although a job that covers it is complete"
    refuse_page(run, ((record, reason) for record in tally.absent))
