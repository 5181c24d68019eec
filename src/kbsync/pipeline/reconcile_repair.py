"""Reconcile, the mending: hand differences to the publisher, which reads everything again and decides.

Its caller holds the publisher lease, so that no run works on the same incidents meanwhile. It puts and
deletes no object: it writes marks, records that forget what proved untrue, `synced: false`, and the job-owed
flag. Killed anywhere, what was written stands and the rest is found again. Invariant: nothing is mended that
was not judged under this lease.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from kbsync.engine import Engine
from kbsync.model import Mark, Stage, State, SyncRecord
from kbsync.pipeline.ingest import owe_job
from kbsync.pipeline.lease import PublisherLease
from kbsync.pipeline.mark import moved, queued, save_records
from kbsync.pipeline.objects import unsay_synced
from kbsync.pipeline.reconcile_judge import Difference, Look, Remedy
from kbsync.pipeline.reconcile_survey import Survey
from kbsync.pipeline.run import Run
from kbsync.run_report import RunReport


def mend(engine: Engine, lease: PublisherLease, survey: Survey, differences: Sequence[Difference]) -> None:
    """Do what each difference needs, and count it; on withdrawals the publisher's brake decides."""
    run = Run(engine, lease, RunReport(run_id=survey.run_id, started_at=engine.now()), until="")
    wanted: dict[Remedy, list[Difference]] = {remedy: [] for remedy in Remedy}
    for each in differences:
        survey.marked += each.remedy is not Remedy.NONE
        wanted[each.remedy].append(each)
    lease.ensure()
    now = engine.now()
    if wanted[Remedy.LOOK]:
        engine.ledger.mark([Mark(each.subject, now) for each in wanted[Remedy.LOOK]])
    save_records(run, _doubted(run, wanted[Remedy.PUT_AGAIN], State.PENDING))
    save_records(run, _doubted(run, wanted[Remedy.WITHDRAW], State.WITHDRAWING))
    if wanted[Remedy.UNSAY]:
        unsay_synced(run, engine.incidents.read([each.subject for each in wanted[Remedy.UNSAY]]).values())
    if wanted[Remedy.JOB]:
        owe_job(run, engine.now())


def _doubted(run: Run, differences: Iterable[Difference], state: State) -> list[tuple[SyncRecord, str]]:
    return [
        (_without_proof(run, each.look, each.look.record, f"reconcile: {each.drift}", state), "")
        for each in differences
        if each.look is not None and each.look.record is not None
    ]


def _without_proof(run: Run, look: Look, record: SyncRecord, reason: str, state: State) -> SyncRecord:
    """Return the record with what stands in the store and without the word that it is the right thing."""
    now = run.engine.now()
    body, sidecar, json_record = (
        head.etag if head is not None else "" for head in (look.body, look.sidecar, look.json_record)
    )
    record = replace(
        moved(record, state, reason, run_id=run.run_id, at=now),
        target=State.QUARANTINED if state is State.WITHDRAWING else record.target,
        document_key=look.document_key,
        fingerprint="",
        body_etag=body,
        sidecar_etag=sidecar,
        json_etag=json_record,
    )
    return queued(record, Stage.PUBLISH, at=now, shards=run.engine.policy.shards)
