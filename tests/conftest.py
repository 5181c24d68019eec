"""What several folders of tests share: an embedded home, and one server of each kind for a run's worker."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aws_servers import ENVIRONMENT, running_ministack
from builders import Home, TickingClock, a_home


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
