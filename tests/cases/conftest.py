"""One embedded home per test."""

from collections.abc import Callable
from pathlib import Path

import pytest

from builders import Home, TickingClock, a_home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return a_home(tmp_path / "home")


@pytest.fixture
def open_home(tmp_path: Path) -> Callable[..., Home]:
    """Open the same folder again, as another process or with other settings would."""
    clock = TickingClock()

    def opened(**settings: object) -> Home:
        return a_home(tmp_path / "home", clock=clock, **settings)  # type: ignore[arg-type]

    return opened
