"""A home on which each kind of difference was made by hand, as programs and people make them."""

from collections.abc import Iterable
from pathlib import Path

from builders import Home, an_incident
from kbsync.model import StoredIncident, sidecar_key
from kbsync.pipeline.changes import reopen_incident, upsert_incidents
from kbsync.pipeline.discover import turn_marking_on
from kbsync.pipeline.reconcile_survey import Survey
from kbsync.pipeline.sync import sync_once

CLASSES = (
    "missing", "object_lost", "stale", "overwritten", "deleted", "reopened", "leftover", "ghost",
    "sidecar_lost", "failed", "partially_indexed", "unlisted", "false_claim", "silent", "withdrawn",
)  # fmt: skip


def expected(each: int) -> dict[str, int]:
    """Return what a comparison must find of each kind, where so many of each class were damaged."""
    return {
        "missing": 2 * each,
        "stale": 2 * each,
        "orphan": 3 * each,
        "ghost": each,
        "sidecar_lost": each,
        "failed": each,
        "partially_indexed": each,
        "unlisted": each,
        "status_lie": 2 * each,
        "unsettled": each,
        "foreign": each,
    }


def ids_of(name: str, count: int) -> list[str]:
    return [f"{name.upper()}-{number}" for number in range(count)]


def key_of(incident_id: str) -> str:
    return f"incidents/{incident_id}.md"


def filled(home: Home, ids: Iterable[str]) -> None:
    """Searchable incidents of writers that mark, so that discovery looks at nothing else from here on."""
    turn_marking_on(home.engine, table_is_empty=True)
    upsert_incidents(home.engine, [an_incident(incident_id=each, title=f"Case {each}") for each in ids])
    sync_once(home.engine)


def edit_silently(home: Home, incident_id: str, **changes: object) -> None:
    """Change an incident as a program does that knows nothing of marks."""
    stored = home.incidents.read([incident_id])[incident_id]
    home.incidents.put_as_other_writer({**stored.attributes, **changes})


def remove(home: Home, key: str) -> None:
    head = home.documents.head(key)
    assert head is not None
    home.documents.delete(key, if_etag=head.etag)


def put_stranger(home: Home, name: str) -> Path:
    path = home.folder / "documents" / key_of(name)
    path.write_text(f"# {name}\n\nA note of somebody.\n", encoding="utf-8")
    return path


def run_job(home: Home) -> None:
    """Have somebody else's ingestion job go over the folder as it is now."""
    job = home.knowledge_base.start_job(
        description="theirs", client_token=f"{home.clock.at:%Y%m%d%H%M%S%f}-somebody-else-s-own-job"
    )
    while not job.status.is_final:
        job = home.knowledge_base.job(job.job_id)


def say_of_documents(home: Home, ids: Iterable[str], status: str) -> None:
    for each in ids:
        home.knowledge_base._file.query(
            "UPDATE documents SET status = ? WHERE key = ?", (status, key_of(each))
        )


def damage_listing(home: Home, count: int) -> None:
    """The knowledge base lists what the store never had of us, and forgets what it has."""
    ghosts = [put_stranger(home, each) for each in ids_of("ghost", count)]
    kept = [home.folder / "documents" / key_of(each) for each in ids_of("unlisted", count)]
    hidden = [path.rename(path.with_name(f".{path.name}")) for path in kept]
    run_job(home)
    for path in hidden:
        path.rename(path.with_name(path.name[1:]))
    for path in ghosts:
        path.unlink()
    say_of_documents(home, ids_of("failed", count), "FAILED")
    say_of_documents(home, ids_of("partially_indexed", count), "PARTIALLY_INDEXED")


def damage_incidents(home: Home, count: int) -> None:
    for each in ids_of("missing", count):
        home.incidents.put_as_other_writer(an_incident(incident_id=each))
    for each in ids_of("stale", count):
        edit_silently(home, each, description="edited by somebody")
    for each in (*ids_of("deleted", count), *ids_of("withdrawn", count)):
        home.incidents.delete_as_other_writer(each)
    for each in ids_of("reopened", count):
        edit_silently(home, each, status="OPEN")
    for each in ids_of("false_claim", count):
        home.incidents.put_as_other_writer(
            an_incident(incident_id=each, status="OPEN", kb_sync_status={"synced": True})
        )
    for each in ids_of("silent", count):
        edit_silently(home, each, kb_sync_status={"synced": False})


def damage_objects(home: Home, count: int) -> None:
    for each in ids_of("object_lost", count):
        remove(home, key_of(each))
    for each in ids_of("sidecar_lost", count):
        remove(home, sidecar_key(key_of(each)))
    for each in ids_of("overwritten", count):
        (home.folder / "documents" / key_of(each)).write_text("# somebody's text\n", encoding="utf-8")
    for each in ids_of("leftover", count):
        for key in (key_of(each), sidecar_key(key_of(each))):
            home.documents.put(key, b"{}", fingerprint="f" * 64, incident_id=each, if_etag="")
    for each in ids_of("foreign", count):
        put_stranger(home, each)


def damage(home: Home, *, each: int, healthy: int) -> None:
    """Fill an empty home with searchable incidents, and break so many of each class."""
    published = set(CLASSES) - {"missing", "ghost", "leftover", "false_claim"}
    filled(home, [*ids_of("fine", healthy), *(one for name in published for one in ids_of(name, each))])
    for one in ids_of("withdrawn", each):
        reopen_incident(home.engine, one)
    sync_once(home.engine)
    damage_listing(home, each)
    damage_incidents(home, each)
    damage_objects(home, each)


def until_quiet(home: Home) -> None:
    for _ in range(6):
        home.clock.forward(minutes=10)
        if sync_once(home.engine).pending == 0:
            return


def whole_state(home: Home) -> dict[str, object]:
    """Everything but times: what stands where, and what is said of it."""
    records = home.ledger.list_records(state=None, cursor="", limit=10_000).items
    incidents = home.incidents.scan(cursor="", limit=10_000).items
    return {
        "records": {each.incident_id: (each.state, each.fingerprint, bool(each.queue)) for each in records},
        "objects": {
            each.key: each.etag for each in home.documents.list(begins="", cursor="", limit=10_000).items
        },
        "listed": {
            each.key: each.status
            for each in home.knowledge_base.list_documents(cursor="", limit=10_000).items
        },
        "synced": {each.incident_id: synced_of(each) for each in incidents},
    }


def synced_of(stored: StoredIncident) -> object:
    status = stored.attributes.get("kb_sync_status")
    return status.get("synced") if isinstance(status, dict) else None


def found(survey: Survey) -> dict[str, int]:
    return {str(kind): count for kind, count in survey.found.items() if count}
