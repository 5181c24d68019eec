"""What several folders of tests share: an embedded home, and one server of each kind for a run's worker."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aws_servers import ENVIRONMENT, running_ministack
from builders import Home, TickingClock, a_home

if TYPE_CHECKING:
    from aws_tables import AwsTables

CONTRACTS = Path(__file__).with_name("contract")
ADAPTERS = ("local", "aws")
_CONTRACT_TEST = re.compile(r"tests/contract/(test_\w+\.py)::\w+\[(local|aws)\b")
_passed: set[tuple[str, str]] = set()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note which contract suite ran over which adapter; in the process that hears of every worker."""
    found = _CONTRACT_TEST.match(report.nodeid)
    if found and report.when == "call" and report.passed:
        _passed.add((found[1], found[2]))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run of everything in which a contract suite did not run over each of its adapters."""
    if not os.environ.get("KBSYNC_WHOLE_SUITE") or hasattr(session.config, "workerinput"):
        return
    expected = {(path.name, adapter) for path in CONTRACTS.glob("test_*.py") for adapter in ADAPTERS}
    if missing := sorted(expected - _passed):
        print(f"\ncontract suites that did not run: {missing}")  # noqa: T201 - the reason of the exit code
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a stand-in for AWS; the environment points boto3 at it, whatever stood there before."""
    with running_ministack(tmp_path_factory.mktemp("ministack") / "server.log") as address:
        kept = dict(os.environ)
        os.environ.update({**ENVIRONMENT, "AWS_ENDPOINT_URL": address})
        try:
            yield address
        finally:
            os.environ.clear()
            os.environ.update(kept)


@pytest.fixture
def tables(ministack: str) -> Iterator["AwsTables"]:
    """Both DynamoDB tables, empty."""
    from aws_tables import AwsTables  # noqa: PLC0415 - brings boto3, which most tests do without

    assert ministack
    opened = AwsTables()
    yield opened
    opened.close()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An embedded home, empty."""
    return a_home(tmp_path / "home")


@pytest.fixture
def open_home(tmp_path: Path) -> Callable[..., Home]:
    """Open the same folder again, as another process or with other settings would."""
    clock = TickingClock()

    def opened(**settings: object) -> Home:
        return a_home(tmp_path / "home", clock=clock, **settings)  # type: ignore[arg-type]

    return opened
