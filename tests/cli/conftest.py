"""The command line as a fixture."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import Cli


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    for name in ("KBSYNC_HOME", "KBSYNC_CONFIG", "KBSYNC_BACKEND", "EMBEDDER"):
        monkeypatch.delenv(name, raising=False)
    opened = Cli(tmp_path)
    yield opened
    opened.end()
