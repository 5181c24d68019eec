"""What the newest probes of search found, as it stands in the ledger (pipeline/probe.py writes it)."""

import json
from typing import Any

from kbsync.engine import Engine

PROBES = "probes"


def newest_probes(engine: Engine) -> dict[str, Any]:  # Any: the JSON that the pipeline wrote
    """Return `last` (empty where none was made) and what is `failing`, by incident; one read."""
    stored = json.loads(engine.ledger.read_value(PROBES) or "{}")
    return {"last": stored.get("last", {}), "failing": stored.get("failing", {})}
