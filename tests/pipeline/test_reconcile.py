"""Reconcile on a whole damaged home: it finds exactly what was damaged, and the next sync mends it."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from builders import Home, TickingClock, a_home, an_incident
from damage import (
    damage,
    edit_silently,
    expected,
    filled,
    found,
    ids_of,
    key_of,
    put_stranger,
    remove,
    run_job,
    until_quiet,
    whole_state,
)
from faults import Faults, KilledError, with_faults
from kbsync.engine import Engine, Policy
from kbsync.model import sidecar_key
from kbsync.pipeline.reconcile import reconcile
from kbsync.pipeline.reconcile_survey import CHECKPOINT, Phase

EACH = 3


def damaged(folder: Path, healthy: int = 150) -> Home:
    """A home of about 200 incidents with three of each kind of damage."""
    home = a_home(folder)
    damage(home, each=EACH, healthy=healthy)
    return home


@pytest.mark.slow
def test_damaged_home_is_found_repaired_and_clean_the_second_time(tmp_path: Path) -> None:
    """Each kind of damage is found in its number, mended by the next sync, and gone (about 200 incidents)."""
    home = damaged(tmp_path / "home")

    reported = reconcile(home.engine)
    repaired = reconcile(home.engine, repair=True)
    until_quiet(home)
    again = reconcile(home.engine)

    assert reported.ended
    assert found(reported) == found(repaired) == expected(EACH)
    assert repaired.marked == sum(expected(EACH).values()) - EACH
    assert found(again) == {"foreign": EACH}
    assert home.keys() >= {key_of(each) for each in ids_of("foreign", EACH)}
    assert not home.keys() & {key_of(each) for each in (*ids_of("leftover", EACH), *ids_of("deleted", EACH))}
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
