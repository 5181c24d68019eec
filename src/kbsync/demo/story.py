"""The demo's story: import, sync, search, redaction, reopen, failure; each step checks its own outcome.

May import the pipeline, importing and ports; prints nothing. Invariant: what a step tells was read back from
the engine, and a repeat on the same folder ends in the same state.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kbsync.demo.incidents import demo_incidents
from kbsync.errors import UsageError
from kbsync.model import RunReport, State
from kbsync.pipeline.changes import reopen_incident, upsert_incidents
from kbsync.pipeline.pause import read_pause
from kbsync.pipeline.run import Progress, no_progress
from kbsync.pipeline.sync import sync_once
from kbsync.ports import Engine

OPEN = "INC-3220"
UNREADABLE = "INC-3120"
REOPENED = "INC-3104"
WITH_SECRETS = "INC-3114"

QUERIES = (
    ("es", "clientes cobrados dos veces porque la pasarela de pago tardaba en contestar", "INC-3101"),
    ("en", "we wanted to restore a database but the dump files had no content", "INC-3211"),
)
REOPENED_QUERY = "las integraciones fallan desde medianoche porque venció el certificado"

_HITS = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One step as it went: `lines` tell it to a person, `outcome` to a program, `ok` whether it held."""

    name: str
    title: str
    lines: tuple[str, ...]
    outcome: Mapping[str, object]
    ok: bool


def tell_story(engine: Engine, *, progress: Progress = no_progress) -> Iterator[Step]:
    """Go through the demo on an engine of its own and yield each step as soon as it has happened.

    Safe to repeat on the same folder: what is there already is updated, nothing is published twice.

    Raises:
        UsageError: the folder is paused; nothing was changed.
        BusyError: another run is active in this folder.
    """
    if read_pause(engine) is not None:
        raise UsageError("the demo's folder is paused", hint="run `kbsync --home <folder> resume` first")
    yield _import(engine)
    yield _first_sync(engine, progress)
    for language, query, expected in QUERIES:
        yield _search(engine, language, query, expected)
    yield _redaction(engine)
    yield _reopen(engine, progress)
    yield _failure(engine, progress)
    yield _sum(engine)


def _import(engine: Engine) -> Step:
    items = demo_incidents()
    outcomes = Counter(str(outcome) for outcome in upsert_incidents(engine, items))
    spoken = Counter(str(item["language"]) for item in items)
    closed = sum(item["status"] in engine.policy.closed_statuses for item in items)
    lines = (
        f"{len(items)} made-up incidents, {spoken['es']} in Spanish and {spoken['en']} in English.",
        f"{closed} are closed, {len(items) - closed} is still open.",
        ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) + ".",
    )
    stored = engine.incidents.read([str(item["incident_id"]) for item in items])
    return Step(
        "import", "Import", lines, {"incidents": len(items), **outcomes}, ok=len(stored) == len(items)
    )


def _first_sync(engine: Engine, progress: Progress) -> Step:
    """Publish all that can be; the open one must stay without document, the unreadable one alone may fail."""
    report = sync_once(engine, trigger="demo", progress=progress)
    took = f"{report.duration_seconds:.1f} s"
    lines = [
        f"{report.published} documents published and {report.indexed} confirmed searchable in {took}.",
        f"{OPEN} is still open: it has no document.",
    ]
    lines += [f"{each.incident_id} failed: {each.error}." for each in report.errors]
    if report.errors:
        lines.append("The others did not wait for it: one bad record stops nobody else.")
    indexed = engine.ledger.count_records()[0].get(State.INDEXED, 0)
    ok = OPEN not in engine.ledger.records([OPEN]) and indexed == len(demo_incidents()) - len(
        (OPEN, UNREADABLE)
    )
    return Step("sync", "Sync", tuple(lines), _counts(report), ok=ok)


def _search(engine: Engine, language: str, query: str, expected: str) -> Step:
    hits = engine.knowledge_base.retrieve(query, limit=_HITS)
    found = [str(hit.metadata["incident_id"]) for hit in hits]
    lines = [f"“{query}”"]
    for hit in hits[:1]:
        lines += [f"best hit {hit.metadata['incident_id']}: {_title(hit.text)}", *_resolution(hit.text)]
    outcome = {"language": language, "query": query, "hits": found}
    title = {"es": "Search in Spanish", "en": "Search in English"}[language]
    return Step(f"search_{language}", title, tuple(lines), outcome, ok=found[:1] == [expected])


def _redaction(engine: Engine) -> Step:
    record = engine.ledger.records([WITH_SECRETS])[WITH_SECRETS]
    body = engine.documents.get(record.document_key).decode("utf-8")
    masked = [line.strip() for line in body.splitlines() if "[REDACTED:" in line]
    lines = (
        f"The ticket {WITH_SECRETS} has a token and a password in it. Its document says instead:",
        *(f"  {line}" for line in masked),
    )
    outcome = {"incident_id": WITH_SECRETS, "redactions": dict(record.redactions)}
    return Step(
        "redaction", "Secrets stay at home", lines, outcome, ok=len(masked) == len(record.redactions) > 0
    )


def _reopen(engine: Engine, progress: Progress) -> Step:
    before = _found(engine, REOPENED_QUERY)
    reopen_incident(engine, REOPENED)
    report = sync_once(engine, trigger="demo", progress=progress)
    after = _found(engine, REOPENED_QUERY)
    state = engine.ledger.records([REOPENED])[REOPENED].state
    lines = (
        f"“{REOPENED_QUERY}”",
        f"before: {', '.join(before)}",
        f"{REOPENED} is reopened: what was said to solve it is in doubt again.",
        f"The next run withdraws {report.withdrawn} document and confirms that it is gone.",
        f"after:  {', '.join(after) or 'nothing'}",
    )
    outcome = {"incident_id": REOPENED, "before": before, "after": after, "state": str(state)}
    ok = before[:1] == [REOPENED] and REOPENED not in after and state is State.WITHDRAWN
    return Step("reopen", "Reopen", lines, outcome, ok=ok)


def _failure(engine: Engine, progress: Progress) -> Step:
    """Run once more: nothing is new, and the unreadable one has had its three attempts."""
    idle = sync_once(engine, trigger="demo", progress=progress)
    record = engine.ledger.records([UNREADABLE])[UNREADABLE]
    lines = (
        f"A third run finds nothing new: {idle.published} published, {idle.objects_written} files written.",
        f"{UNREADABLE} is {record.state} after {record.attempts} attempts: {record.reason}.",
        *(f"  {each.at:%H:%M:%S}  {each.state:<12} {each.reason}" for each in record.transitions),
        "A correction of the incident releases it by itself; `retry` does so by hand.",
    )
    outcome = {
        "incident_id": UNREADABLE,
        "state": str(record.state),
        "attempts": record.attempts,
        "reason": record.reason,
        "published": idle.published,
        "objects_written": idle.objects_written,
    }
    ok = record.state is State.QUARANTINED and bool(record.reason) and not idle.objects_written
    return Step("failure", "A failure, explained", lines, outcome, ok=ok)


def _sum(engine: Engine) -> Step:
    """Add up: each incident is in one state, or is open and was never anything else to us."""
    states = {str(state): count for state, count in engine.ledger.count_records()[0].items() if count}
    incidents = sum(engine.incidents.count_by_status().values())
    without = incidents - sum(states.values())
    told = [f"{count} {state}" for state, count in sorted(states.items())]
    line = f"{incidents} incidents: {', '.join(told)}, {without} open without a document."
    outcome = {"incidents": incidents, "states": states, "without_record": without}
    return Step("status", "Where everything stands", (line,), outcome, ok=without == len((OPEN,)))


def _counts(report: RunReport) -> dict[str, object]:
    return {
        "status": report.status,
        "published": report.published,
        "unchanged": report.unchanged,
        "indexed": report.indexed,
        "withdrawn": report.withdrawn,
        "failed": report.failed,
        "duration_seconds": report.duration_seconds,
    }


def _found(engine: Engine, query: str) -> list[str]:
    return [str(hit.metadata["incident_id"]) for hit in engine.knowledge_base.retrieve(query, limit=_HITS)]


def _title(body: str) -> str:
    return body.partition("\n")[0].removeprefix("# ")


def _resolution(body: str) -> list[str]:
    _, _, rest = body.replace("## Resolución", "## Resolution").partition("\n## Resolution\n\n")
    return [f"resolution: {rest.partition(chr(10) * 2)[0]}"] if rest else []
