"""The command line as a fixture."""

from pathlib import Path

import pytest
from calling import Cli


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    for name in ("KBSYNC_HOME", "KBSYNC_CONFIG", "KBSYNC_BACKEND", "EMBEDDER"):
        monkeypatch.delenv(name, raising=False)
    return Cli(tmp_path)
