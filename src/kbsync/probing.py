"""What the newest probes of search found, as it stands in the ledger: probe.py writes it, status reads."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from kbsync.engine import Engine

PROBES = "probes"


@dataclass
class Probes:
    """What the probes so far have found; as JSON it is one small value."""

    failing: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By incident: `finding`, `since`, and in how many runs in a row (`times`)."""
    last: dict[str, Any] = field(default_factory=dict)
    """The newest run that probed: `run_id`, `at`, `probed`, `failed`; empty where none did."""


def read_probes(engine: Engine) -> Probes:
    """Return what stands in the ledger; one read."""
    return Probes(**json.loads(engine.ledger.read_value(PROBES) or "{}"))


def keep_probes(engine: Engine, probes: Probes) -> None:
    """Replace what stands in the ledger."""
    engine.ledger.write_value(PROBES, json.dumps(asdict(probes)))
