"""Withdraw everything: a person's word that no incident wants a document, until it is taken back.

It stands in the ledger as one value, and counts as a rule: the next run finds that other rules hold, queues
every record in one checkpointed pass, and withdraws each document like any other. Killed anywhere, the next
run goes on. Knows the Ledger port and the transform. Invariant: whoever decides what an incident wants asks
through `in_force`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from kbsync.engine import Engine, Transform
from kbsync.model import Attributes, Desired, NoDocument, StoredIncident, Symptom, WithdrawReason

WITHDRAWN_ALL = "withdrawn_all"
MOST_REASON_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Since when and why nothing is published."""

    at: datetime
    reason: str


def withdraw_all(engine: Engine, *, reason: str) -> None:
    """Say that no incident wants a document; the next runs withdraw all. A repeat replaces the reason."""
    said = {"at": engine.now().isoformat(), "reason": reason[:MOST_REASON_CHARACTERS]}
    engine.ledger.write_value(WITHDRAWN_ALL, json.dumps(said))


def publish_again(engine: Engine) -> None:
    """Take it back: the next run publishes all that is eligible. Nothing happens where nothing was said."""
    engine.ledger.write_value(WITHDRAWN_ALL, "")


def read_withdrawal(engine: Engine) -> Withdrawal | None:
    """Return the word that stands, or None."""
    value = engine.ledger.read_value(WITHDRAWN_ALL)
    if not value:
        return None
    stored = json.loads(value)
    return Withdrawal(datetime.fromisoformat(stored["at"]), stored["reason"])


def in_force(engine: Engine) -> Engine:
    """Return the engine as the ledger has it: with a transform that wants nothing, where that was said."""
    withdrawal = read_withdrawal(engine)
    if withdrawal is None:
        return engine
    return replace(engine, transform=_NothingWanted(engine.transform, withdrawal.reason))


@dataclass(frozen=True, slots=True)
class _NothingWanted:
    """A transform by which no incident wants a document; all else is as it was."""

    inner: Transform
    reason: str

    @property
    def rendered_by(self) -> str:
        return f"{self.inner.rendered_by};{WITHDRAWN_ALL}"

    @property
    def sections(self) -> Mapping[str, tuple[str, ...]]:
        return self.inner.sections

    @property
    def lacking(self) -> str:
        return self.inner.lacking

    def desired(self, stored: StoredIncident) -> Desired:
        """Return no document, also of what cannot be rendered; an open incident still says so by itself."""
        try:
            wanted = self.inner.desired(stored)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, its last good document goes too
            wanted = None
        if isinstance(wanted, NoDocument):
            return wanted
        return NoDocument(WithdrawReason.WITHDRAWN_ALL, self.reason)

    def symptom(self, stored: StoredIncident) -> Symptom:
        return self.inner.symptom(stored)

    def closed_at(self, stored: StoredIncident) -> datetime | None:
        return self.inner.closed_at(stored)

    def severity(self, stored: StoredIncident) -> str:
        return self.inner.severity(stored)

    def has_writeup(self, stored: StoredIncident) -> bool:
        return self.inner.has_writeup(stored)

    def title(self, stored: StoredIncident) -> str | None:
        return self.inner.title(stored)

    def shown(self, text: str) -> str:
        return self.inner.shown(text)

    def document_key(self, incident_id: str) -> str:
        return self.inner.document_key(incident_id)

    def json_key(self, incident_id: str) -> str:
        return self.inner.json_key(incident_id)

    def source_version(self, attributes: Attributes) -> str:
        return self.inner.source_version(attributes)
