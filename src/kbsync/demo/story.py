"""The demo's story: import, sync, search, redaction, reopen, failure; each step checks its own outcome.

May import the pipeline, importing, views and ports; prints nothing. Invariant: what a step
tells was read back from the engine, and a repeat on the same folder ends in the same state.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kbsync.demo.incidents import demo_incidents
from kbsync.engine import Engine
from kbsync.errors import UsageError
from kbsync.knowledge import DocumentStatus
from kbsync.model import State
from kbsync.pipeline.changes import reopen_incident, upsert_incidents
from kbsync.pipeline.pause import read_pause
from kbsync.pipeline.run import Progress, no_progress
from kbsync.pipeline.sync import sync_once
from kbsync.run_report import RunReport
from kbsync.views.question import Question
from kbsync.views.report import View
from kbsync.views.search import search_view
from kbsync.views.status import status_view
from kbsync.views.story import explain_view

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
    hits = _hits(engine, query)
    lines = [f"“{query}”"]
    for hit in hits[:1]:
        lines += [f"best hit {hit['incident_id']}: {hit['title']}", f"resolution: {hit['resolution']}"]
    found = [str(hit["incident_id"]) for hit in hits]
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
    story = explain_view(engine, REOPENED)
    document = story["document"]
    held = document["knowledge_base_status"] if isinstance(document, dict) else None
    lines = (
        f"“{REOPENED_QUERY}”",
        f"before: {', '.join(before)}",
        f"{REOPENED} is reopened: what was said to solve it is in doubt again.",
        f"The next run withdraws {report.withdrawn} document; the knowledge base then says {held}.",
        f"after:  {', '.join(after) or 'nothing'}",
    )
    outcome = {"incident_id": REOPENED, "before": before, "after": after, "state": story["state"]}
    gone = REOPENED not in after and held == DocumentStatus.NOT_FOUND
    ok = before[:1] == [REOPENED] and gone and story["state"] == State.WITHDRAWN
    return Step("reopen", "Reopen", lines, outcome, ok=ok)


def _failure(engine: Engine, progress: Progress) -> Step:
    """Run once more: nothing is new, and the unreadable one has had its three attempts."""
    idle = sync_once(engine, trigger="demo", progress=progress)
    story = explain_view(engine, UNREADABLE)
    steps = story["transitions"] if isinstance(story["transitions"], list) else []
    lines = (
        f"A third run finds nothing new: {idle.published} published, {idle.objects_written} files written.",
        *([f"It ends “{idle.status}”: {UNREADABLE} was all it had to do."] if idle.errors else []),
        f"{UNREADABLE} is {story['state']} after {story['attempts']} attempts: {story['reason']}.",
        *(f"  {each['at']}  {each['state']:<12} run {each['run_id']}" for each in steps),
        f"What happens next: {story['next']}.",
    )
    told = {name: story[name] for name in ("incident_id", "state", "attempts", "reason", "next")}
    outcome = {**told, "published": idle.published, "objects_written": idle.objects_written}
    ok = story["state"] == State.QUARANTINED and bool(story["reason"]) and not idle.objects_written
    return Step("failure", "A failure, explained", lines, outcome, ok=ok)


def _sum(engine: Engine) -> Step:
    """Add up: the states and what is not closed make up the whole table."""
    status = status_view(engine)
    states = status["states"] if isinstance(status["states"], dict) else {}
    held = {state: count for state, count in states.items() if count}
    told = [*(f"{count} {state}" for state, count in held.items()), f"{status['not_closed']} not closed"]
    line = f"{' + '.join(told)} = {status['incidents']} incidents."
    outcome = {"incidents": status["incidents"], "states": held, "not_closed": status["not_closed"]}
    not_closed = len((OPEN, REOPENED))
    ok = status["not_closed"] == not_closed and sum(held.values()) + not_closed == status["incidents"]
    return Step("status", "Where everything stands", (line,), outcome, ok=ok)


def _counts(report: RunReport) -> View:
    return {
        "status": report.status,
        "published": report.published,
        "unchanged": report.unchanged,
        "indexed": report.indexed,
        "withdrawn": report.withdrawn,
        "failed": report.failed,
        "duration_seconds": report.duration_seconds,
    }


def _hits(engine: Engine, query: str) -> list[View]:
    hits = search_view(engine, Question(query, _HITS))["hits"]
    return hits if isinstance(hits, list) else []


def _found(engine: Engine, query: str) -> list[str]:
    return [str(hit["incident_id"]) for hit in _hits(engine, query)]
