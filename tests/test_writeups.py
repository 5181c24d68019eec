"""What lacks a write-up: which incidents count, by which group, page by page."""

from builders import Home, an_incident
from kbsync.pipeline.changes import upsert_incidents
from kbsync.pipeline.sync import sync_once
from kbsync.views import writeups as view_module
from kbsync.views.writeups import writeups_view


def bare(incident_id: str, **changes: object) -> dict[str, object]:
    return an_incident(incident_id=incident_id, **{"resolution": None, **changes})


def filled(home: Home, *incidents: dict[str, object]) -> Home:
    upsert_incidents(home.engine, incidents)
    return home


def looked(home: Home, *, by: str = "source_system", limit: int = 10, offset: int = 0) -> dict[str, object]:
    return writeups_view(home.engine, by=by, limit=limit, offset=offset)


def ids(view: dict[str, object]) -> list[str]:
    return [each["incident_id"] for each in view["incidents"]]  # type: ignore[index,attr-defined]


def test_closed_incident_without_cause_resolution_and_steps_is_listed(home: Home) -> None:
    filled(
        home,
        an_incident(incident_id="WRITTEN"),
        bare("OPEN", status="OPEN"),
        bare("BARE"),
        bare("FILLER", resolution={"description": "N/A", "root_cause": "No especificada"}),
        bare("STEPS", cline_work={"solution": {"steps": ["Restart the pool"]}}),
        bare("ANALYSED", cline_work={"analysis": {"root_cause": "A leak"}}),
        bare("BROKEN", resolution={"description": {"not": "a text"}}),
    )

    view = looked(home)

    assert ids(view) == ["BARE", "FILLER"]
    assert (view["closed"], view["without"], view["unreadable"], view["next_offset"]) == (6, 2, 1, None)


def test_counts_are_by_source_or_by_any_path_the_largest_lack_first(home: Home) -> None:
    filled(
        home,
        bare("A", source_system="jira"),
        bare("B", source_system="jira"),
        bare("C", source_system=None),
        bare("D", source_system="pagerduty", resolution={"resolved_by": "team-a"}),
        an_incident(incident_id="E", source_system="jira"),
    )

    assert looked(home)["groups"] == [
        {"value": "jira", "closed": 3, "without": 2},
        {"value": "(none)", "closed": 1, "without": 1},
        {"value": "pagerduty", "closed": 1, "without": 1},
    ]
    by_team = looked(home, by="resolution.resolved_by")["groups"]
    assert {"value": "team-a", "closed": 1, "without": 1} in by_team  # type: ignore[operator]


def test_pages_follow_one_another_and_the_counts_stay_whole(home: Home) -> None:
    filled(home, *(bare(f"INC-{number}") for number in range(5)))

    first, second, third = (looked(home, limit=2, offset=offset) for offset in (0, 2, 4))

    assert [ids(each) for each in (first, second, third)] == [
        ["INC-0", "INC-1"],
        ["INC-2", "INC-3"],
        ["INC-4"],
    ]
    assert [each["next_offset"] for each in (first, second, third)] == [2, 4, None]
    assert [each["without"] for each in (first, second, third)] == [5, 5, 5]


def test_row_says_when_it_was_closed_and_where_it_stands(home: Home) -> None:
    filled(home, bare("INC-1", title="Still a riddle"))
    assert looked(home)["incidents"] == [
        {
            "incident_id": "INC-1",
            "title": "Still a riddle",
            "group": "servicenow",
            "closed_at": "2025-03-10T09:30:00Z",
            "state": "pending",
        }
    ]

    sync_once(home.engine)

    assert looked(home)["incidents"][0]["state"] == "indexed"  # type: ignore[index]


def test_groups_without_end_are_counted_together(home: Home, monkeypatch: object) -> None:
    monkeypatch.setattr(view_module, "MOST_GROUPS", 2)  # type: ignore[attr-defined]
    filled(home, *(bare(f"INC-{number}", source_system=f"system {number}") for number in range(4)))

    assert looked(home)["groups"] == [
        {"value": "(others)", "closed": 2, "without": 2},
        {"value": "system 0", "closed": 1, "without": 1},
        {"value": "system 1", "closed": 1, "without": 1},
    ]
