"""Probe: verified, not believed. Search itself is asked for some of what the run has finished.

    searchable   its own title and error text must bring it among the first ten
    withdrawn    a search for its id must bring nothing

A run probes at most `PROBE_SAMPLE` of each kind, chosen by a hash, and first what failed a probe before: an
index may need a moment, so people are told what failed in two runs in a row. Knows the KnowledgeBase, Ledger
and IncidentStore ports. Invariant: a probe changes no state and fails no run; requests follow the sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

from kbsync.errors import KbSyncError
from kbsync.model import State, StoredIncident, SyncRecord
from kbsync.pipeline.run import Run
from kbsync.probing import Probes, keep_probes, read_probes

AMONG_THE_FIRST = 10
TOLD_AFTER = 2
MOST_FAILING = 50
_QUERY_CHARACTERS = 400


class Finding(StrEnum):
    """What a probe found."""

    FOUND = "found"
    GONE = "gone"
    OUTRANKED = "outranked"
    """In the index, but its own words bring ten others first."""
    MISSING = "missing"
    """Confirmed as indexed, and no search brings it."""
    STILL_FOUND = "still_found"
    """Confirmed as gone, and a search brings it."""

    @property
    def is_good(self) -> bool:
        """Whether it is as the records say."""
        return self in (Finding.FOUND, Finding.GONE)


def probe_finished(run: Run) -> None:
    """Ask search for a sample of what this run finished, and for what failed before; a repeat asks anew.

    Fills the report's counts and `run.unproven`; writes one ledger value where something was probed.
    """
    policy = run.engine.policy
    if not policy.probe_sample or policy.ingestion == "none":
        return
    try:
        _probe(run)
    except KbSyncError as error:
        run.say(f"search could not be probed: {error}")


def _probe(run: Run) -> None:
    memory = read_probes(run.engine)
    sample = [incident_id for kept in run.finished.values() for _, incident_id in kept]
    ids = list(dict.fromkeys([*memory.failing, *sample]))
    if not ids:
        return
    run.unproven = _told(memory)
    findings = _findings(run, ids)
    for incident_id, finding in findings.items():
        _remember(run, memory, incident_id, finding)
    good = [each for each in findings.values() if each is not None and each.is_good]
    failed = sum(1 for each in findings.values() if each is not None) - len(good)
    run.report = replace(run.report, probed=len(good) + failed, probes_failed=failed)
    if good or failed:
        memory.last = {
            "run_id": run.run_id, "at": run.engine.now().isoformat(),
            "probed": len(good) + failed, "failed": failed,
        }  # fmt: skip
    if failed:
        run.say(f"{failed} of {len(good) + failed} probes of search failed; `kbsync status` names them")
    run.unproven = _told(memory)
    keep_probes(run.engine, memory)


def _told(memory: Probes) -> dict[str, str]:
    """Return what people are told of: what failed in enough runs in a row."""
    return {
        incident_id: str(each["finding"])
        for incident_id, each in memory.failing.items()
        if each["times"] >= TOLD_AFTER
    }


def _remember(run: Run, memory: Probes, incident_id: str, finding: Finding | None) -> None:
    """Keep what fails, with how many runs in a row; forget what is good or no longer a question."""
    known = memory.failing.pop(incident_id, None)
    if finding is None or finding.is_good or len(memory.failing) >= MOST_FAILING:
        return
    since = known["since"] if known else run.engine.now().isoformat()
    times = known["times"] + 1 if known else 1
    memory.failing[incident_id] = {"finding": str(finding), "since": since, "times": times}


def _findings(run: Run, incident_ids: Sequence[str]) -> dict[str, Finding | None]:
    """Return what search says of each; None of what is in work again, or has no text to search by."""
    records = run.engine.ledger.records(incident_ids)
    incidents = run.engine.incidents.read(incident_ids)
    findings: dict[str, Finding | None] = {}
    for incident_id in incident_ids:
        if run.out_of_time:
            break
        run.lease.ensure()
        findings[incident_id] = _look(run, records.get(incident_id), incidents)
    return findings


def _look(run: Run, record: SyncRecord | None, incidents: Mapping[str, StoredIncident]) -> Finding | None:
    if record is None or record.queue:
        return None
    stored = incidents.get(record.incident_id)
    if record.state is State.INDEXED:
        return _searchable(run, record, stored) if stored is not None else None
    if record.state in (State.WITHDRAWN, State.EXCLUDED):
        return Finding.STILL_FOUND if _by_id(run, record) else Finding.GONE
    return None


def _searchable(run: Run, record: SyncRecord, stored: StoredIncident) -> Finding | None:
    """Search by the incident's own words; ten others of the same title before it are as good an answer."""
    symptom = run.engine.transform.symptom(stored)
    query = symptom.text[:_QUERY_CHARACTERS].strip()
    if not query:
        return None
    hits = run.engine.knowledge_base.retrieve(query, limit=AMONG_THE_FIRST)
    if any(hit.document_key == record.document_key for hit in hits):
        return Finding.FOUND
    if not _by_id(run, record):
        return Finding.MISSING
    same = [hit for hit in hits if symptom.title and hit.metadata.get("title") == symptom.title]
    alike = len(same) == AMONG_THE_FIRST
    return Finding.FOUND if alike else Finding.OUTRANKED


def _by_id(run: Run, record: SyncRecord) -> bool:
    wanted = {"equals": {"key": "incident_id", "value": record.incident_id}}
    hits = run.engine.knowledge_base.retrieve("", limit=1, filter=wanted)
    return any(hit.document_key == record.document_key for hit in hits)
