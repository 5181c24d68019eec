"""Reconcile: compare what should be with what is, everywhere, and hand what differs to the publisher.

    incidents   the base table: is each one's record, document and listing what it wants?
    records     the ledger: whose incident is gone?
    objects     the document store: what does no record answer for?
    documents   the knowledge base: what does it list that the store does not have?

Each phase is a listing, read page by page behind a checkpoint; a listing only names suspects. What they are
is read by id and key (reconcile_look.py), so an empty or short listing deletes nothing. Knows the ports.
Killed on any line, the next call goes on behind the last page. Invariant: memory follows the page, never the
table.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from kbsync.engine import Engine
from kbsync.errors import BusyError
from kbsync.knowledge import DocumentStatus
from kbsync.model import State, SyncRecord, sidecar_key
from kbsync.pipeline.lease import holding_lease
from kbsync.pipeline.pause import read_pause
from kbsync.pipeline.reconcile_judge import Difference, Drift, Remedy, Wish
from kbsync.pipeline.reconcile_look import (
    RECORDS_PAGE,
    Place,
    differences_of,
    is_claimed,
    owner_by_content,
    owners_by_ledger,
    suspects_among,
    wish_of,
)
from kbsync.pipeline.reconcile_repair import mend
from kbsync.pipeline.reconcile_survey import CHECKPOINT, LAST_SURVEY, Phase, Survey, survey_of
from kbsync.pipeline.run import Progress, no_progress
from kbsync.shards import note_shards
from kbsync.withdrawal import in_force

LISTING_PAGE = 500
"""Objects, documents or wishes held at once; each is a few hundred bytes."""
_SIDECAR_ENDING = sidecar_key("")
_LEAVING = frozenset({DocumentStatus.NOT_FOUND, DocumentStatus.DELETING, DocumentStatus.DELETE_IN_PROGRESS})


@dataclass(frozen=True, slots=True)
class _Work:
    """What every phase works with."""

    engine: Engine
    survey: Survey
    places: tuple[Place, ...]


def reconcile(
    engine: Engine,
    *,
    repair: bool = False,
    deadline: datetime | None = None,
    progress: Progress = no_progress,
) -> Survey:
    """Compare all four sides and return what differs; with `repair`, leave it due for the next sync.

    A call goes on where one of the same kind was killed or met its deadline (`ended` is false then). Writes
    its checkpoint, with `repair` also what reconcile_repair.py names. After a sync, a repeat finds nothing.

    Args:
        engine: the ports, the transform and the policy.
        repair: hand the differences to the publisher; while runs are paused, nothing is.
        deadline: stop after the page in hand at this moment (aware UTC).
        progress: called with a phase's name and how many of it were compared.

    Raises:
        BusyError: a run, or another reconcile, is active; what was compared so far stands.
    """
    engine = in_force(engine)
    repair = repair and read_pause(engine) is None
    stored = engine.ledger.read_value(CHECKPOINT)
    survey = survey_of(stored, repair=repair, now=engine.now()) or _begin(engine, repair=repair)
    work = _Work(engine, survey, _places(engine))
    while not survey.ended and (deadline is None or engine.now() < deadline):
        phase = survey.phase
        ended = survey.advance(_PHASES[Phase(phase)](work))
        progress(phase, survey.compared[phase], None)
        text = "" if ended else survey.as_text()
        if not engine.ledger.write_value(CHECKPOINT, text, expected=stored):
            raise BusyError("another reconcile is active")
        if ended:
            engine.ledger.write_value(LAST_SURVEY, survey.as_text())
        stored = text
    return survey


def _places(engine: Engine) -> tuple[Place, ...]:
    """Return where our objects stand: documents with sidecars first, then JSON records if there are any."""
    documents, records = Place(engine.transform.document_key), Place(engine.transform.json_key)
    return (documents, records) if engine.transform.json_key("A") else (documents,)


def _begin(engine: Engine, *, repair: bool) -> Survey:
    now = engine.now()
    if repair:
        note_shards(engine)
    return Survey(
        run_id=f"reconcile-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}",
        started_at=now.isoformat(),
        repair=repair,
    )


def _settle(work: _Work, find: Callable[[], list[Difference]]) -> None:
    """Find what really differs and note it; with repair under the publisher lease, and mend it."""
    if not work.survey.repair:
        work.survey.note(find())
        return
    with holding_lease(work.engine, work.survey.run_id) as lease:
        found = find()
        mend(work.engine, lease, work.survey, found)
        work.survey.note(found)


def _settle_ids(work: _Work, incident_ids: Sequence[str], kinds: frozenset[Drift] = frozenset(Drift)) -> None:
    """Judge suspects by id, page by page of incidents; `kinds` leaves out what another phase has counted."""
    size = work.engine.policy.page_size
    for start in range(0, len(incident_ids), size):
        _settle(work, partial(_of_kinds, work.engine, incident_ids[start : start + size], kinds))


def _of_kinds(engine: Engine, incident_ids: Sequence[str], kinds: frozenset[Drift]) -> list[Difference]:
    return [each for each in differences_of(engine, incident_ids) if each.drift in kinds]


def _compare_incidents(work: _Work) -> str:
    """Go through pages of the base table, keeping wishes and records, until one question is worth it."""
    engine, cursor = work.engine, work.survey.cursor
    wishes: list[Wish] = []
    records: dict[str, SyncRecord] = {}
    while True:
        page = engine.incidents.scan(cursor=cursor, limit=engine.policy.page_size)
        records |= engine.ledger.records([each.incident_id for each in page.items])
        wishes += [
            wish_of(engine, each.incident_id, each, records.get(each.incident_id)) for each in page.items
        ]
        cursor = page.cursor
        if not cursor or len(wishes) >= LISTING_PAGE:
            break
    suspects, in_work = suspects_among(engine, wishes, records)
    work.survey.compared[Phase.INCIDENTS] += len(wishes)
    work.survey.in_work += in_work
    _settle_ids(work, suspects)
    return cursor


def _compare_records(work: _Work) -> str:
    """Look for the incidents of our records; those that are there were judged with them."""
    engine, size = work.engine, work.engine.policy.page_size
    page = engine.ledger.list_records(state=None, cursor=work.survey.cursor, limit=RECORDS_PAGE)
    work.survey.compared[Phase.RECORDS] += len(page.items)
    ids = [record.incident_id for record in page.items if not _is_at_rest(record)]
    for start in range(0, len(ids), size):
        present = engine.incidents.read(ids[start : start + size])
        _settle_ids(work, [each for each in ids[start : start + size] if each not in present])
    return page.cursor


def _is_at_rest(record: SyncRecord) -> bool:
    """Whether nothing is owed for a record, whatever became of its incident."""
    return bool(record.queue) or (record.state is State.WITHDRAWN and record.expires_at is not None)


def _compare_objects(work: _Work) -> str:
    """Look for objects that no record answers for, prefix after prefix of ours and nowhere else."""
    cursor = work.survey.cursor
    place = next((each for each in work.places if each.holds(cursor)), work.places[0])
    page = work.engine.documents.list(begins=place.prefix, cursor=cursor, limit=LISTING_PAGE)
    is_document = place is work.places[0]
    listed = {head.key for head in page.items}
    subjects = {key.removesuffix(_SIDECAR_ENDING) if is_document else key: place for key in sorted(listed)}
    work.survey.compared[Phase.OBJECTS] += len(listed)
    fresh = {
        key: owner
        for key, owner in _unclaimed(work, subjects).items()
        if not _is_told(work, key, owner, listed)
    }
    orphans = frozenset({Drift.ORPHAN, Drift.FOREIGN})
    _settle_ids(work, [owner for owner in fresh.values() if owner], orphans)
    strangers = [Difference(key, Drift.FOREIGN, Remedy.NONE) for key, owner in fresh.items() if not owner]
    work.survey.note(strangers)
    return page.cursor or _start_of_next(work, place)


def _start_of_next(work: _Work, place: Place) -> str:
    """Return a cursor before the first object of the place that comes after this one, if one does."""
    later = work.places[work.places.index(place) + 1 :]
    return later[0].prefix if later else ""


def _is_told(work: _Work, key: str, owner: str, listed: set[str]) -> bool:
    """Whether another object tells of it: the document of a sidecar on another page, or of a JSON record."""
    document_key = key if work.places[0].holds(key) else work.places[0].key_of(owner)
    if key in listed and key == document_key:
        return False
    return work.engine.documents.head(document_key) is not None


def _compare_documents(work: _Work) -> str:
    """Look for documents that the knowledge base lists and the store does not have."""
    engine, place = work.engine, work.places[0]
    if engine.policy.ingestion == "none":
        return ""
    page = engine.knowledge_base.list_documents(cursor=work.survey.cursor, limit=LISTING_PAGE)
    work.survey.compared[Phase.DOCUMENTS] += len(page.items)
    listed = {each.key: place for each in page.items if place.holds(each.key) and each.status not in _LEAVING}
    ghosts = [key for key in _unclaimed(work, listed) if engine.documents.head(key) is None]
    if ghosts:
        _settle(work, partial(_ghosts_among, work, ghosts))
    return page.cursor


def _ghosts_among(work: _Work, keys: Sequence[str]) -> list[Difference]:
    """Ask again for each: it may have been put, or its withdrawal confirmed, since it was listed."""
    infos = work.engine.knowledge_base.documents(keys)
    return [
        Difference(key, Drift.GHOST, Remedy.JOB)
        for key in keys
        if key in infos and infos[key].status not in _LEAVING and work.engine.documents.head(key) is None
    ]


def _unclaimed(work: _Work, subjects: dict[str, Place]) -> dict[str, str]:
    """Return the keys that no record answers for, each with its owner or an empty text for a stranger's."""
    engine = work.engine
    owners = {
        key: owner_by_content(engine, place, key, sidecar_key(key) if place is work.places[0] else key)
        for key, place in subjects.items()
    }
    nameless = [key for key, owner in owners.items() if not owner]
    owners |= owners_by_ledger(engine, nameless)
    records = engine.ledger.records([owner for owner in owners.values() if owner])
    return {key: owner for key, owner in owners.items() if not is_claimed(records.get(owner), key)}


_PHASES: dict[Phase, Callable[[_Work], str]] = {
    Phase.INCIDENTS: _compare_incidents,
    Phase.RECORDS: _compare_records,
    Phase.OBJECTS: _compare_objects,
    Phase.DOCUMENTS: _compare_documents,
}
