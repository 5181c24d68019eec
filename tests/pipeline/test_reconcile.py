"""Reconcile on a whole damaged home: it finds exactly what was damaged, and the next sync mends it."""

import shutil
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from builders import Home, TickingClock, a_home, an_incident
from faults import Faults, KilledError, with_faults
from kbsync.engine import Engine, Policy
from kbsync.model import StoredIncident, sidecar_key
from kbsync.pipeline.changes import reopen_incident, upsert_incidents
from kbsync.pipeline.discover import turn_marking_on
from kbsync.pipeline.reconcile import reconcile
from kbsync.pipeline.reconcile_survey import CHECKPOINT, Phase, Survey
from kbsync.pipeline.sync import sync_once

EACH = 3
CLASSES = (
    "missing", "object_lost", "stale", "overwritten", "deleted", "reopened", "leftover", "ghost",
    "sidecar_lost", "failed", "partially_indexed", "unlisted", "false_claim", "silent", "withdrawn",
)  # fmt: skip
EXPECTED = {
    "missing": 2 * EACH,
    "stale": 2 * EACH,
    "orphan": 3 * EACH,
    "ghost": EACH,
    "sidecar_lost": EACH,
    "failed": EACH,
    "partially_indexed": EACH,
    "unlisted": EACH,
    "status_lie": 2 * EACH,
    "unsettled": EACH,
    "foreign": EACH,
}


def ids_of(name: str, count: int = EACH) -> list[str]:
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


def damage_listing(home: Home) -> None:
    """The knowledge base lists what the store never had of us, and forgets what it has."""
    ghosts = [put_stranger(home, each) for each in ids_of("ghost")]
    kept = [home.folder / "documents" / key_of(each) for each in ids_of("unlisted")]
    hidden = [path.rename(path.with_name(f".{path.name}")) for path in kept]
    run_job(home)
    for path in hidden:
        path.rename(path.with_name(path.name[1:]))
    for path in ghosts:
        path.unlink()
    say_of_documents(home, ids_of("failed"), "FAILED")
    say_of_documents(home, ids_of("partially_indexed"), "PARTIALLY_INDEXED")


def damage_incidents(home: Home) -> None:
    for each in ids_of("missing"):
        home.incidents.put_as_other_writer(an_incident(incident_id=each))
    for each in ids_of("stale"):
        edit_silently(home, each, description="edited by somebody")
    for each in (*ids_of("deleted"), *ids_of("withdrawn")):
        home.incidents.delete_as_other_writer(each)
    for each in ids_of("reopened"):
        edit_silently(home, each, status="OPEN")
    for each in ids_of("false_claim"):
        home.incidents.put_as_other_writer(
            an_incident(incident_id=each, status="OPEN", kb_sync_status={"synced": True})
        )
    for each in ids_of("silent"):
        edit_silently(home, each, kb_sync_status={"synced": False})


def damage_objects(home: Home) -> None:
    for each in ids_of("object_lost"):
        remove(home, key_of(each))
    for each in ids_of("sidecar_lost"):
        remove(home, sidecar_key(key_of(each)))
    for each in ids_of("overwritten"):
        (home.folder / "documents" / key_of(each)).write_text("# somebody's text\n", encoding="utf-8")
    for each in ids_of("leftover"):
        for key in (key_of(each), sidecar_key(key_of(each))):
            home.documents.put(key, b"{}", fingerprint="f" * 64, incident_id=each, if_etag="")
    for each in ids_of("foreign"):
        put_stranger(home, each)


def damaged(folder: Path, healthy: int = 150) -> Home:
    """A home of about 200 incidents with three of each kind of damage."""
    home = a_home(folder)
    published = set(CLASSES) - {"missing", "ghost", "leftover", "false_claim"}
    filled(home, [*ids_of("fine", healthy), *(each for name in published for each in ids_of(name))])
    for each in ids_of("withdrawn"):
        reopen_incident(home.engine, each)
    sync_once(home.engine)
    damage_listing(home)
    damage_incidents(home)
    damage_objects(home)
    return home


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
        "objects": {each.key: each.etag for each in home.documents.list(cursor="", limit=10_000).items},
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


@pytest.mark.slow
def test_damaged_home_is_found_repaired_and_clean_the_second_time(tmp_path: Path) -> None:
    """Each kind of damage is found in its number, mended by the next sync, and gone (about 200 incidents)."""
    home = damaged(tmp_path / "home")

    reported = reconcile(home.engine)
    repaired = reconcile(home.engine, repair=True)
    until_quiet(home)
    again = reconcile(home.engine)

    assert reported.ended
    assert found(reported) == found(repaired) == EXPECTED
    assert repaired.marked == sum(EXPECTED.values()) - EACH
    assert found(again) == {"foreign": EACH}
    assert home.keys() >= {key_of(each) for each in ids_of("foreign")}
    assert not home.keys() & {key_of(each) for each in (*ids_of("leftover"), *ids_of("deleted"))}
    assert again.in_work == 0


@pytest.mark.slow
def test_report_writes_nothing_but_its_checkpoint(tmp_path: Path) -> None:
    """A report changes neither records, objects, incidents nor the knowledge base (50 damaged incidents)."""
    home = damaged(tmp_path / "home", healthy=2)
    before = whole_state(home)
    faults = Faults()

    reconcile(with_faults(home.engine, faults))

    assert whole_state(home) == before
    assert set(faults.log) == {"ledger.write_value"}
    assert home.ledger.read_value(CHECKPOINT) == ""


def test_sample_names_ids_and_is_bounded(tmp_path: Path) -> None:
    """However many differ, ten are named; all are counted."""
    home = a_home(tmp_path / "home")
    filled(home, [])
    for each in ids_of("inc", 12):
        home.incidents.put_as_other_writer(an_incident(incident_id=each))

    survey = reconcile(home.engine)

    assert found(survey) == {"missing": 12}
    assert survey.samples["missing"] == sorted(ids_of("inc", 12))[:10]
    assert survey.compared[Phase.INCIDENTS] == 12


@pytest.mark.slow
def test_repair_killed_at_any_effect_ends_like_the_unbroken_one(tmp_path: Path) -> None:
    """Whatever effect a kill hits, the same call again and a sync reach the same state (some 30 homes)."""
    made = a_small_damaged(tmp_path / "made")
    unbroken, effects = copy_of(made, tmp_path / "unbroken"), Faults()
    reconcile(with_faults(unbroken.engine, effects), repair=True)
    until_quiet(unbroken)
    expected = whole_state(unbroken)

    ended = []
    for at in range(1, effects.seen + 1):
        home = copy_of(made, tmp_path / str(at))
        killed(home, at)
        home.clock.forward(minutes=10)
        reconcile(home.engine, repair=True)
        until_quiet(home)
        ended.append(whole_state(home))

    kinds = {"mark", "save", "write_value", "acquire_lease", "release_lease"}
    assert set(effects.log) == {f"ledger.{kind}" for kind in kinds} | {"incidents.write_sync_statuses"}
    assert all(state == expected for state in ended)


def copy_of(home: Home, folder: Path) -> Home:
    shutil.copytree(home.folder, folder)
    return a_home(folder, policy=home.engine.policy, clock=TickingClock(home.clock.at))


def a_small_damaged(folder: Path) -> Home:
    home = a_home(folder, policy=Policy(page_size=2))
    filled(home, ["LOST", "EDITED", "DELETED", "FINE", "CUT"])
    remove(home, key_of("LOST"))
    remove(home, sidecar_key(key_of("CUT")))
    edit_silently(home, "EDITED", description="edited by somebody")
    home.incidents.delete_as_other_writer("DELETED")
    claim = an_incident(incident_id="OPEN", status="OPEN", kb_sync_status={"synced": True})
    home.incidents.put_as_other_writer(claim)
    ghost = put_stranger(home, "GHOST")
    run_job(home)
    ghost.unlink()
    return home


def killed(home: Home, at: int) -> None:
    faults = Faults(at=at, after=KilledError)
    with pytest.raises(KilledError):
        reconcile(with_faults(home.engine, faults), repair=True)


def test_deadline_ends_after_a_page_and_the_next_call_goes_on(home: Home) -> None:
    """A call that is out of time compares nothing more; the next one finishes with whole counts."""
    filled(home, ["INC-1"])
    remove(home, key_of("INC-1"))
    steps: list[str] = []

    early = reconcile(home.engine, deadline=home.clock.at)
    first = reconcile(home.engine, deadline=at_second_look(home.engine))
    rest = reconcile(home.engine, progress=lambda step, _done, _total: steps.append(step))

    assert (early.ended, early.compared.total()) == (False, 0)
    assert (first.ended, found(first)) == (False, {"missing": 1})
    assert (rest.ended, found(rest), rest.run_id) == (True, {"missing": 1}, first.run_id)
    assert steps == ["records", "objects", "documents"]


def at_second_look(engine: Engine) -> datetime:
    """A deadline that the first page meets and the second does not."""
    return engine.now() + timedelta(milliseconds=4)
