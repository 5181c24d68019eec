"""Every fault at every effect of every scenario, on the embedded backend and on the AWS adapters.

Slow, and so apart: `make explore` plays all of it, `make test` each twenty-fourth.
"""

import os
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from bedrock_double.subjects import BedrockSubject
from explorer.exploring import FAULTS, STALLS, changed_end, play, play_pair, unbroken
from explorer.scenarios import CHANGES, SCENARIOS, Scenario, with_change_at
from explorer.worlds import MakeWorld, a_local_world, an_aws_world

pytest_plugins = ["bedrock_double.fixtures"]

EVERY = int(os.environ.get("KBSYNC_EXPLORE_EVERY", "24"))
"""One schedule in so many is played; 1 plays all."""
CHANGED = ("publish 3", "edit of a published one", "withdraw")
PAIRED = ("publish 3", "edit of a published one", "withdraw")
PAIRS_PER_EFFECT = 4
ON_AWS = ("edit of a published one", "withdraw")
AWS_FAULTS = ("throttled", "reply lost", "killed before", "killed after", *STALLS)
_TURN = count()
Note = Callable[[str, object], None]


def is_played() -> bool:
    """Whether it is this schedule's turn."""
    return next(_TURN) % EVERY == 0


@pytest.fixture
def make() -> Iterator[MakeWorld]:
    """Worlds in memory where the system has such a folder: thousands are made and dropped."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of our own in it
    with tempfile.TemporaryDirectory(dir=place) as folder:
        names = count()
        yield lambda faults: a_local_world(Path(folder) / str(next(names)), faults)


def explore(scenario: Scenario, kinds: tuple[str, ...], make: MakeWorld) -> tuple[int, set[tuple[str, str]]]:
    """Play all kinds at all effects; returns how many schedules, and which effect met which kind."""
    expected, log, costs = unbroken(scenario, make)
    played, met = 0, set()
    for kind in kinds:
        for at in range(1, len(log) + 1):
            if is_played():
                met.add((play(scenario, kind, at, make, expected, costs), kind))
                played += 1
    if EVERY == 1:
        assert {(effect, kind) for effect in set(log) for kind in kinds} <= met
    return played, met


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_any_fault_at_any_effect_ends_as_if_there_had_been_none(
    name: str, make: MakeWorld, record_property: Note
) -> None:
    """P1 to P5 and P7."""
    played, _ = explore(SCENARIOS[name], FAULTS, make)

    record_property("schedules", played)
    assert played or EVERY > 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("name", CHANGED)
def test_owners_change_at_any_effect_is_what_counts_in_the_end(
    name: str, kind: str, make: MakeWorld, record_property: Note
) -> None:
    """P3: edited, reopened or deleted between any two effects."""
    scenario = with_change_at(SCENARIOS[name], kind)
    _, log, costs = unbroken(scenario, make)
    expected, played = changed_end(scenario, kind, make), 0
    for at in range(1, len(log) + 1):
        if is_played():
            play(scenario, kind, at, make, expected, costs)
            played += 1

    record_property("schedules", played)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRED)
def test_two_runs_at_any_pair_of_effects_end_as_one(
    name: str, make: MakeWorld, record_property: Note
) -> None:
    """P7: the first stalls beyond its lease, the second takes over and stalls as well, both go on."""
    scenario, played = SCENARIOS[name], 0
    expected, log, _ = unbroken(scenario, make)
    chosen = random.Random(name)  # noqa: S311 - a choice that is the same each time
    for first in range(1, len(log) + 1):
        for second in chosen.sample(range(1, len(log) + 1), PAIRS_PER_EFFECT):
            if is_played():
                play_pair(scenario, (first, second), make, expected)
                played += 1

    record_property("schedules", played)


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_AWS)
def test_faults_on_the_aws_adapters_end_as_if_there_had_been_none(
    name: str, bedrock: BedrockSubject, record_property: Note
) -> None:
    """P1 to P5 and P7, over DynamoDB, S3 and a knowledge base."""
    scenario = SCENARIOS[name]
    if name == "publish 3":
        scenario = replace(scenario, name="publish 3 on AWS")

    played, _ = explore(scenario, AWS_FAULTS, lambda faults: an_aws_world(bedrock, faults))

    record_property("schedules", played)
