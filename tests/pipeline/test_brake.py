"""The deletion brake: what nobody asked for does not go by the thousand, and all else goes on."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from builders import Home, TickingClock, a_home, an_incident
from faults import Faults, KilledError, with_faults
from kbsync.engine import Policy
from kbsync.errors import KbSyncError, ThrottledError, UsageError
from kbsync.model import Mark, State
from kbsync.pipeline import brake_memory
from kbsync.pipeline.brake import approve, plan_held
from kbsync.pipeline.brake_memory import BRAKE, Brake, Hour, brake_of, change_brake
from kbsync.pipeline.changes import delete_incident, reopen_incident, update_incident, upsert_incidents
from kbsync.pipeline.discover import turn_marking_on
from kbsync.pipeline.reconcile import reconcile
from kbsync.pipeline.reconcile_survey import CHECKPOINT, Phase
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.shards import count_held
from kbsync.views.status import status_view
from kbsync.views.story import explain_view

OpenHome = Callable[..., Home]
IDS = tuple(f"INC-{number}" for number in range(5))


@pytest.fixture
def one_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """One withdrawal a day is few and two are many, so that small homes show what large ones do."""
    monkeypatch.setattr(brake_memory, "FREE_COUNT", 1)


def filled(home: Home, ids: Iterable[str] = IDS, **attributes: object) -> None:
    """Searchable incidents of writers that mark."""
    turn_marking_on(home.engine, table_is_empty=True)
    items = [an_incident(incident_id=each, title=f"Case {each}", **attributes) for each in ids]
    upsert_incidents(home.engine, items)
    assert sync_once(home.engine).status == "ok"


def lose(home: Home, *ids: str) -> None:
    """Let incidents vanish as a failed load does, and have a reconcile find it."""
    for each in ids:
        home.incidents.delete_as_other_writer(each)
    reconcile(home.engine, repair=True)


def documents(home: Home) -> set[str]:
    keys = home.keys()
    return {key.removeprefix("incidents/").removesuffix(".md") for key in keys if key.endswith(".md")}


def alerts(home: Home) -> list[str]:
    return [json.loads(line)["subject"] for line in home.alerts()]


@pytest.mark.slow
def test_more_absences_than_may_go_all_wait_while_additions_go_on(home: Home) -> None:
    """Of 40 documents 21 lose their incidents: none goes, a new incident does, told once (60 documents)."""
    ids = [f"INC-{number}" for number in range(40)]
    filled(home, ids)
    lose(home, *ids[:21])
    upsert_incidents(home.engine, [an_incident(incident_id="NEW")])

    reports = [sync_once(home.engine) for _ in range(3)]

    assert documents(home) == {*ids, "NEW"}
    assert [(each.status, each.withheld, each.withdrawn) for each in reports] == [("degraded", 21, 0)] * 3
    assert [each.indexed for each in reports] == [1, 0, 0]
    assert alerts(home) == ["kbsync: 21 withdrawals wait for approval"]
    assert {len(each.messages) for each in reports} == {1}


@pytest.mark.slow
def test_as_many_absences_as_may_go_go_at_once(home: Home) -> None:
    """Twenty of forty documents are past 15 % and not past 20: they go in the run that finds them (slow)."""
    ids = [f"INC-{number}" for number in range(40)]
    filled(home, ids)
    lose(home, *ids[:20])

    report = sync_once(home.engine)

    assert (report.status, report.found, report.withdrawn, report.withheld) == ("ok", 20, 20, 0)
    assert documents(home) == set(ids[20:])
    assert alerts(home) == []


@pytest.mark.parametrize(("live", "free"), [(0, 20), (133, 20), (140, 21), (1_000_000, 150_000)])
def test_share_and_count_say_together_how_many_may_go(live: int, free: int) -> None:
    """Past 15 % and past 20: the larger of both is free (DESIGN.md section 9)."""
    assert Brake(hours=(Hour("2026-03-10T12:00:00.000000Z", 0, live),)).free == free


@pytest.mark.usefixtures("one_is_free")
def test_changed_exclusion_waits_and_its_correction_keeps_the_documents(open_home: OpenHome) -> None:
    """A rule that takes away too much is held; put right, everything is as before and nothing was put."""
    filled(open_home(), category="database")
    wrong = open_home(rules=TransformRules(exclude=(("category", ("database",)),)))

    report = sync_once(wrong.engine)
    again = open_home()
    mended = sync_once(again.engine)

    assert (report.withheld, report.withdrawn) == (5, 0)
    assert (mended.status, mended.withheld, mended.objects_written) == ("ok", 0, 0)
    assert {again.state(each) for each in IDS} == {"indexed"}
    assert count_held(again.engine) == 0
    assert again.ledger.records(IDS)["INC-0"].reason == ""


@pytest.mark.usefixtures("one_is_free")
def test_status_that_no_longer_counts_as_closed_is_a_changed_setting(open_home: OpenHome) -> None:
    """CLOSED_STATUSES without RESOLVED takes documents away although no incident was touched."""
    statuses = ("CLOSED", "RESOLVED")
    both = open_home(policy=Policy(closed_statuses=statuses), rules=TransformRules(closed_statuses=statuses))
    filled(both, status="RESOLVED")

    report = sync_once(open_home().engine)

    assert (report.withheld, report.withdrawn, report.status) == (5, 0, "degraded")
    assert documents(both) == set(IDS)


def reopened(home: Home) -> Home:
    for each in IDS:
        reopen_incident(home.engine, each)
    return home


def deleted(home: Home) -> Home:
    for each in IDS:
        delete_incident(home.engine, each)
    return home


def made_confidential(home: Home) -> Home:
    return a_home(home.folder, rules=TransformRules(confidential=(("category", ("database",)),)))


def excluded_by_an_edit(home: Home) -> Home:
    rules = TransformRules(exclude=(("category", ("test",)),))
    known = a_home(home.folder, rules=rules)
    sync_once(known.engine)
    for each in IDS:
        update_incident(known.engine, each, {"category": "test"})
    return known


@pytest.mark.usefixtures("one_is_free")
@pytest.mark.parametrize("act", [reopened, deleted, made_confidential, excluded_by_an_edit])
def test_what_somebody_did_is_never_held(home: Home, act: Callable[[Home], Home]) -> None:
    """Reopened, deleted, confidential and edited incidents lose their documents at once, however many."""
    filled(home, category="database")

    report = sync_once(act(home).engine)

    assert (report.status, report.withdrawn, report.withheld) == ("ok", 5, 0)
    assert documents(home) == set()


@pytest.mark.usefixtures("one_is_free")
def test_reopened_incident_goes_although_it_was_held(open_home: OpenHome) -> None:
    """A mark takes an incident out of the hold; what it wants then is decided on anew."""
    filled(open_home(), category="database")
    home = open_home(rules=TransformRules(exclude=(("category", ("database",)),)))
    sync_once(home.engine)
    reopen_incident(home.engine, "INC-0")

    report = sync_once(home.engine)

    assert (report.withdrawn, report.withheld) == (1, 4)
    assert documents(home) == set(IDS[1:])


@pytest.mark.usefixtures("one_is_free")
def test_approved_plan_goes_with_the_next_run_and_another_does_not(home: Home) -> None:
    """The hash names the plan that was looked at; what waits besides changes it."""
    filled(home)
    lose(home, *IDS[:3])
    sync_once(home.engine)
    seen = plan_held(home.engine)
    lose(home, IDS[3])
    sync_once(home.engine)

    with pytest.raises(UsageError, match="is not the plan that waits"):
        approve(home.engine, seen.plan)
    now = plan_held(home.engine)
    assert (approve(home.engine, now.plan), approve(home.engine, now.plan)) == (4, 4)
    report, after = sync_once(home.engine), sync_once(home.engine)

    assert (report.status, report.withdrawn, report.withheld) == ("ok", 4, 0)
    assert {home.state(each) for each in IDS[:4]} == {"withdrawn"}
    assert home.listed() == {"incidents/INC-4.md"}
    assert (after.status, after.found) == ("ok", 0)
    with pytest.raises(UsageError, match="no withdrawals wait"):
        approve(home.engine, now.plan)


@pytest.mark.usefixtures("one_is_free")
def test_incident_that_wants_its_document_again_keeps_it_though_approved(home: Home) -> None:
    """Approval lets the publisher look; what it then reads decides."""
    filled(home)
    lose(home, "INC-0", "INC-1")
    sync_once(home.engine)
    approve(home.engine, plan_held(home.engine).plan)
    home.incidents.put_as_other_writer(an_incident(incident_id="INC-0", title="Case INC-0"))

    report = sync_once(home.engine)

    assert (report.withdrawn, home.state("INC-0"), home.state("INC-1")) == (1, "indexed", "withdrawn")
    assert home.map_of("INC-0")["synced"] is True


@pytest.mark.usefixtures("one_is_free")
def test_what_is_held_after_the_approval_waits_for_another(home: Home) -> None:
    """An approval reaches as far as what stood when it was given."""
    filled(home)
    lose(home, "INC-0", "INC-1")
    sync_once(home.engine)
    approve(home.engine, plan_held(home.engine).plan)
    lose(home, "INC-2", "INC-3")

    first, second = sync_once(home.engine), sync_once(home.engine)

    assert (first.withdrawn, second.withdrawn, second.withheld) == (2, 0, 2)
    assert documents(home) == {"INC-2", "INC-3", "INC-4"}


@pytest.mark.usefixtures("one_is_free")
def test_withdrawals_of_a_day_count_together_and_a_day_later_no_more(home: Home) -> None:
    """One now and one in an hour are two of a day: the second waits until the first is a day old."""
    filled(home)
    lose(home, "INC-0")
    first = sync_once(home.engine)
    home.clock.forward(hours=1)
    lose(home, "INC-1")

    second = sync_once(home.engine)
    home.clock.forward(hours=26)
    third = sync_once(home.engine)

    assert (first.withdrawn, second.withdrawn, second.withheld) == (1, 0, 1)
    assert (third.status, third.withdrawn, third.withheld) == ("ok", 1, 0)


@pytest.mark.usefixtures("one_is_free")
def test_incident_withdrawn_twice_within_a_day_counts_once(home: Home) -> None:
    """Distinct incidents are counted: one that came back and vanished again is no second one."""
    filled(home)
    lose(home, "INC-0")
    sync_once(home.engine)
    home.clock.forward(hours=1)
    upsert_incidents(home.engine, [an_incident(incident_id="INC-0")])
    sync_once(home.engine)
    lose(home, "INC-0")

    report = sync_once(home.engine)

    assert (report.withdrawn, report.withheld, home.state("INC-0")) == (1, 0, "withdrawn")


@pytest.mark.usefixtures("one_is_free")
def test_reconcile_finds_what_is_held_and_wanted_again(home: Home) -> None:
    """A table that was restored by nobody who marks needs no person any more."""
    filled(home)
    lose(home, "INC-0", "INC-1")
    sync_once(home.engine)
    for each in ("INC-0", "INC-1"):
        home.incidents.put_as_other_writer(
            an_incident(incident_id=each, title=f"Case {each}", kb_sync_status={"synced": True})
        )

    survey = reconcile(home.engine, repair=True)
    report = sync_once(home.engine)

    assert survey.found["unsettled"] == 2
    assert (report.status, report.withheld, report.objects_written) == ("ok", 0, 0)
    assert {home.state(each) for each in IDS} == {"indexed"}


@pytest.mark.usefixtures("one_is_free")
def test_reconcile_that_goes_on_is_waited_for(home: Home) -> None:
    """A run between two pages of a repair decides nothing: it knows a part of the plan only."""
    filled(home)
    home.incidents.delete_as_other_writer("INC-0")
    reconcile(home.engine, repair=True)
    begun = reconcile(home.engine, repair=True, deadline=home.clock.at)
    begun.phase = Phase.RECORDS
    home.ledger.write_value(CHECKPOINT, begun.as_text())

    between = sync_once(home.engine)
    home.ledger.write_value(CHECKPOINT, "")
    after = sync_once(home.engine)

    assert (between.withdrawn, after.withdrawn) == (0, 1)
    assert "a reconcile is going on" in between.messages[0]


@pytest.mark.usefixtures("one_is_free")
def test_deadline_leaves_the_rest_of_an_approval_to_the_next_run(home: Home) -> None:
    """What was approved stays approved until all of it has gone."""
    small = replace(home.engine, policy=replace(home.engine.policy, page_size=1))
    filled(home)
    lose(home, *IDS)
    sync_once(small)
    approve(small, plan_held(small).plan)

    early = sync_once(small, deadline=home.clock.at)
    report = sync_once(small)

    assert (early.withdrawn, report.withdrawn, documents(home)) == (0, 5, set())


@pytest.mark.usefixtures("one_is_free")
def test_many_shards_are_held_and_let_go_alike(tmp_path: Path) -> None:
    """The hold has as many parts as the queue; the plan is one."""
    home = a_home(tmp_path / "home", policy=Policy(shards=4, page_size=1))
    filled(home)
    lose(home, *IDS)
    held = sync_once(home.engine)

    approve(home.engine, plan_held(home.engine).plan)
    report = sync_once(home.engine)

    assert (held.withheld, report.withdrawn, documents(home)) == (5, 5, set())


@pytest.mark.usefixtures("one_is_free")
def test_explain_and_status_say_what_waits_for_a_person(home: Home) -> None:
    """Held incidents stay in their state and say why; the count stands beside the states."""
    filled(home)
    lose(home, "INC-0", "INC-1")
    sync_once(home.engine)

    status, story = status_view(home.engine), explain_view(home.engine, "INC-0", paused=False)

    states = status["states"]
    assert isinstance(states, dict)
    assert (status["withheld"], status["tombstones"]) == (2, 2)
    assert sum(states.values()) + int(str(status["not_closed"])) == status["incidents"] == 3
    assert (story["state"], story["reason"]) == (
        "indexed",
        "held: deleted: the incident is no longer in the table",
    )
    assert "`kbsync approve`" in str(story["next"])


@pytest.mark.usefixtures("one_is_free")
def test_person_who_approves_while_the_run_decides_is_heard(home: Home) -> None:
    """The decision is written on what stands: an approval in between is not overwritten, but carried out."""
    filled(home)
    lose(home, "INC-0", "INC-1")
    sync_once(home.engine)
    lose(home, "INC-2", "INC-3")
    real, plans = home.ledger.write_value, []

    def write_value(name: str, value: str, *, expected: str | None = None) -> bool:
        if name == BRAKE and not plans and brake_of(value).waiting == 4:
            plans.append(plan_held(home.engine))
            stands = replace(brake_of(home.ledger.read_value(BRAKE)), approved=plans[0].plan)
            real(BRAKE, json.dumps(brake_memory.asdict(replace(stands, until=plans[0].until))))
        return real(name, value, expected=expected)

    home.ledger.write_value = write_value  # type: ignore[method-assign]

    report = sync_once(home.engine)

    assert plans
    assert (report.withdrawn, report.withheld) == (4, 0)
    assert documents(home) == {"INC-4"}


def test_memory_that_keeps_changing_is_given_up_for_this_run(home: Home) -> None:
    """The error is one of those that back off: nothing was written, the next run tries again."""

    def rival(brake: Brake) -> Brake:
        home.ledger.write_value(BRAKE, home.ledger.read_value(BRAKE) + " ")
        return brake

    home.ledger.write_value(BRAKE, "{}")
    with pytest.raises(ThrottledError, match="keeps changing"):
        change_brake(home.engine, rival)


@pytest.mark.usefixtures("one_is_free")
def test_index_that_lags_lets_nothing_go_before_all_is_seen(home: Home) -> None:
    """Where fewer entries are listed than this run has held, the next run decides."""
    filled(home)
    lose(home, "INC-0")
    real = home.ledger.due
    lags = [True]

    def due(queue: str, *, until: str, after: str, limit: int) -> list[object]:
        found = real(queue, until=until, after=after, limit=limit)
        return [] if lags[0] and queue.startswith("held") else found  # type: ignore[return-value]

    home.ledger.due = due  # type: ignore[method-assign, assignment]

    first = sync_once(home.engine)
    lags[0] = False
    second = sync_once(home.engine)

    assert (first.withdrawn, first.status, second.withdrawn) == (0, "ok", 1)


def end_state(home: Home) -> dict[str, object]:
    records = home.ledger.records(IDS)
    brake = brake_of(home.ledger.read_value(BRAKE))
    return {
        "states": {each: str(record.state) for each, record in records.items()},
        "queues": {each: record.queue for each, record in records.items()},
        "objects": home.keys(),
        "listed": home.listed(),
        "waiting": (brake.waiting, brake.plan, brake.approved),
    }


def few(home: Home) -> None:
    filled(home)
    lose(home, "INC-0")


def many(home: Home) -> None:
    filled(home)
    lose(home, "INC-0", "INC-1")


def approved(home: Home) -> None:
    many(home)
    sync_once(home.engine)
    approve(home.engine, plan_held(home.engine).plan)


def copy_of(home: Home, folder: Path) -> Home:
    shutil.copytree(home.folder, folder)
    return a_home(folder, clock=TickingClock(home.clock.at))


def quiet(home: Home) -> None:
    for _ in range(3):
        home.clock.forward(minutes=10)
        sync_once(home.engine)


@pytest.mark.slow
@pytest.mark.usefixtures("one_is_free")
@pytest.mark.parametrize("scenario", [few, many, approved])
def test_kill_at_any_effect_of_the_brake_ends_as_the_unbroken_run(
    scenario: Callable[[Home], None], tmp_path: Path
) -> None:
    """P7 for holding, deciding and letting go: each effect is hit by a kill once (some thirty homes each)."""
    made = a_home(tmp_path / "made")
    scenario(made)
    unbroken, effects = copy_of(made, tmp_path / "unbroken"), Faults()
    sync_once(with_faults(unbroken.engine, effects))
    quiet(unbroken)
    expected = end_state(unbroken)

    ended = []
    for at in range(1, effects.seen + 1):
        home = copy_of(made, tmp_path / str(at))
        with contextlib.suppress(KilledError, KbSyncError):
            sync_once(with_faults(home.engine, Faults(at=at, after=KilledError)))
        quiet(home)
        ended.append(end_state(home))

    assert "ledger.write_value" in effects.log
    assert [state for state in ended if state != expected] == []


@pytest.mark.usefixtures("one_is_free")
def test_quarantined_incident_whose_stale_document_is_held_keeps_its_quarantine(home: Home) -> None:
    """Holding changes no state: what was set aside stays so beside its last good document."""
    filled(home)
    update_incident(home.engine, "INC-0", {"title": {"x": b"\x00"}})
    for _ in range(3):
        sync_once(home.engine)
    lose(home, "INC-0", "INC-1")

    report = sync_once(home.engine)

    assert (report.withheld, home.state("INC-0")) == (2, str(State.QUARANTINED))


@pytest.mark.usefixtures("one_is_free")
def test_deletion_that_is_told_after_the_fact_takes_the_document_out_of_the_hold(home: Home) -> None:
    """The stream's word that somebody deleted it is more than an absence: it goes at once."""
    filled(home)
    lose(home, "INC-0", "INC-1", "INC-2")
    sync_once(home.engine)
    home.ledger.mark([Mark("INC-0", home.clock(), create=False, deleted=True)])

    report = sync_once(home.engine)

    assert (report.withdrawn, report.withheld) == (1, 2)
    assert (home.state("INC-0"), home.state("INC-1")) == ("withdrawn", "indexed")


@pytest.mark.usefixtures("one_is_free")
def test_incident_that_came_back_is_protected_again(home: Home) -> None:
    """A deletion of long ago is no leave to withdraw what was published since."""
    filled(home)
    for each in ("INC-0", "INC-1"):
        delete_incident(home.engine, each)
    sync_once(home.engine)
    upsert_incidents(home.engine, [an_incident(incident_id=each) for each in ("INC-0", "INC-1")])
    sync_once(home.engine)
    home.clock.forward(hours=30)
    lose(home, "INC-0", "INC-1")

    assert sync_once(home.engine).withheld == 2
