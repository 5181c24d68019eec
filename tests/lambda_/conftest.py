"""One embedded home for each test, which the handlers of this process work on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from builders import Home, a_home
from kbsync.lambda_handlers.runtime import use_engine, use_runner


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    built = a_home(tmp_path / "home")
    use_engine(built.engine)
    use_runner(None)
    yield built
    use_engine(None)
