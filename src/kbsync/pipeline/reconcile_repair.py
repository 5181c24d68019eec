"""Reconcile, the mending: hand differences to the publisher, which reads everything again and decides.

Its caller holds the publisher lease, so that no run works on the same incidents meanwhile. It puts and
deletes no object: it writes marks, records that forget what proved untrue, `synced: false`, and the job-owed
flag. Killed anywhere, what was written stands and the rest is found again. Invariant: nothing is mended that
was not judged under this lease.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from kbsync.engine import Engine
from kbsync.model import Mark, RunReport, Stage, State, SyncRecord
from kbsync.pipeline.ingest import owe_job
from kbsync.pipeline.lease import PublisherLease
from kbsync.pipeline.mark import moved, queued, save_records
from kbsync.pipeline.objects import unsay_synced
from kbsync.pipeline.reconcile_judge import Difference, Look, Remedy
from kbsync.pipeline.reconcile_survey import Survey
from kbsync.pipeline.run import Run

BRAKE = "reconcile_brake"
BRAKE_FROM = 20
BRAKE_SHARE_PERCENT = 15
"""Source: DESIGN.md, section 9: past 15 % and 20, withdrawals from absence wait for a person."""


def allowed_absences(engine: Engine) -> int:
    """Return how many documents may go in one repair because their incidents are not there.

    None at all once the brake has been on: then a person says how many.
    """
    if engine.ledger.read_value(BRAKE):
        return 0
    states, _ = engine.ledger.count_records()
    live = states.get(State.INDEXED, 0) + states.get(State.PUBLISHED, 0)
    return max(BRAKE_FROM, live * BRAKE_SHARE_PERCENT // 100)


def settle_brake(engine: Engine, survey: Survey) -> None:
    """Put the brake on where something was withheld, telling people once; take it off where nothing was."""
    ledger = engine.ledger
    if not survey.withheld:
        ledger.write_value(BRAKE, "")
    elif not ledger.read_value(BRAKE):
        engine.alerts.send(
            "kbsync: reconcile withholds withdrawals",
            f"{survey.withheld} documents belong to incidents that are no longer in the table, more than may "
            "go unasked. Look at the table first; `kbsync reconcile --repair --most-withdrawals N` approves.",
        )
        ledger.write_value(BRAKE, survey.run_id)


def mend(engine: Engine, lease: PublisherLease, survey: Survey, differences: Sequence[Difference]) -> None:
    """Do what each difference needs, and count it; withdrawals from absence only as far as allowed."""
    run = Run(engine, lease, RunReport(run_id=survey.run_id, started_at=engine.now()), until="")
    wanted: dict[Remedy, list[Difference]] = {remedy: [] for remedy in Remedy}
    for each in differences:
        if each.is_absence and survey.absences >= survey.allowed:
            survey.withheld += 1
            continue
        survey.absences += each.is_absence
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
