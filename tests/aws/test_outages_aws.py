"""Outages and throttles of Bedrock over several runs: nobody is blamed, and they end by themselves."""

import pytest

from bedrock_double.homes import AwsHome
from builders import an_incident
from kbsync.model import State
from kbsync.pipeline.changes import delete_incident, reopen_incident, update_incident, upsert_incidents
from kbsync.pipeline.sync import sync_once

pytest_plugins = ["bedrock_double.fixtures"]
ENDLESS = 1_000_000
IDS = tuple(f"INC-{n}" for n in range(6))


def some(ids: tuple[str, ...]) -> list[dict[str, object]]:
    return [an_incident(incident_id=each, title=f"Case {each}") for each in ids]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["unavailable", "throttle"])
def test_three_runs_without_bedrock_cost_no_attempt_and_end_by_themselves(
    aws_home: AwsHome, kind: str
) -> None:
    """O-33 for every Bedrock call: new, edited, reopened and deleted incidents (slow: eight runs)."""
    upsert_incidents(aws_home.engine, some(IDS[:3]))
    sync_once(aws_home.engine)
    update_incident(aws_home.engine, "INC-0", {"description": "edited"})
    reopen_incident(aws_home.engine, "INC-1")
    delete_incident(aws_home.engine, "INC-2")
    upsert_incidents(aws_home.engine, some(IDS[3:]))

    setattr(aws_home.double.switches, kind, ENDLESS)
    during = []
    for _ in range(3):
        during.append(sync_once(aws_home.engine))
        aws_home.clock.sleep(300)
    attempts = {each: aws_home.record(each).attempts for each in IDS}
    told = len(aws_home.alerts())
    setattr(aws_home.double.switches, kind, 0)
    after = []
    for _ in range(3):
        after.append(sync_once(aws_home.engine))
        aws_home.clock.sleep(300)

    assert [(each.status, each.failed) for each in during] == [("degraded", 0)] * 3
    assert (during[0].published, during[0].withdrawn, told) == (4, 2, 1)
    assert attempts == dict.fromkeys(IDS, 0)
    assert [each.status for each in after] == ["ok"] * 3
    assert {each: aws_home.record(each).state for each in IDS} == {
        **dict.fromkeys(IDS, State.INDEXED),
        "INC-1": State.WITHDRAWN,
        "INC-2": State.WITHDRAWN,
    }
    assert len(aws_home.alerts()) == 2
