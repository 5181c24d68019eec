"""Purge, the certificate: what was purged, when, how that was confirmed, and what kbsync cannot remove.

Knows the Ledger port. Invariant: what was searched for is named by its hash alone.
"""

import json
from dataclasses import dataclass
from datetime import datetime

from kbsync.engine import Engine
from kbsync.queueing import utc_text

CERTIFICATES = "purges"
PART = 100
"""Incidents in one stored part: with the longest ids it still fits DynamoDB's 400 KB."""
MOST_LISTED = 500
_PREFIX = "purge:"

CONFIRMED_BY = (
    "the document store has no object and no version under its keys",
    "the knowledge base does not know its document",
    "its record, run records and messages were rewritten without it",
)
EMBEDDED = "the files of the home were written anew, freed pages and logs included"
STAYS = (
    "the incident's own item, where the table has one: it is not ours to delete",
    "backups, replicas and exports of table, bucket and home that were made earlier",
    "messages that were delivered already, and lines of logs, which hold no incident text",
)


@dataclass(frozen=True, slots=True)
class Gone:
    """One incident that was seen to be gone; `versions_removed` counts what a withdrawal had left."""

    incident_id: str
    document_key: str
    versions_removed: int
    in_table: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What one purge has proven; `embedded` tells that all of it was in a home folder."""

    certificate_id: str
    at: datetime
    patterns: int = 0
    patterns_sha256: str = ""
    gone: tuple[Gone, ...] = ()
    embedded: bool = False

    def as_map(self) -> dict[str, object]:
        """Return the certificate as it is printed and stored."""
        return {
            "certificate": self.certificate_id,
            "at": utc_text(self.at),
            "incidents": len(self.gone),
            "patterns": self.patterns,
            "patterns_sha256": self.patterns_sha256 or None,
            "purged": [
                {
                    "incident_id": each.incident_id,
                    "document_key": each.document_key,
                    "versions_removed": each.versions_removed,
                    "own_item_stays": each.in_table,
                }
                for each in self.gone
            ],
            "confirmed_by": [*CONFIRMED_BY, *((EMBEDDED,) if self.embedded else ())],
            "stays": list(STAYS),
        }


def keep_certificate(engine: Engine, certificate: Certificate) -> None:
    """Store the certificate in parts, then its line in the list, which keeps the newest few hundred."""
    whole = certificate.as_map()
    purged = whole["purged"]
    assert isinstance(purged, list)  # noqa: S101 - as_map says so
    for number, start in enumerate(range(0, max(len(purged), 1), PART)):
        text = json.dumps({**whole, "purged": purged[start : start + PART]})
        engine.ledger.write_value(f"{_PREFIX}{certificate.certificate_id}#{number}", text)
    line = {name: whole[name] for name in ("certificate", "at", "incidents", "patterns", "patterns_sha256")}
    listed = [line, *read_certificates(engine)][:MOST_LISTED]
    engine.ledger.write_value(CERTIFICATES, json.dumps(listed))


def read_certificates(engine: Engine) -> list[dict[str, object]]:
    """Return one line for each certificate, the newest first."""
    listed = json.loads(engine.ledger.read_value(CERTIFICATES) or "[]")
    return [dict(line) for line in listed]


def read_certificate(engine: Engine, certificate_id: str) -> dict[str, object] | None:
    """Return a stored certificate whole, or None where there is none of this id."""
    whole: dict[str, object] | None = None
    purged: list[object] = []
    while text := engine.ledger.read_value(f"{_PREFIX}{certificate_id}#{len(purged) // PART}"):
        whole = json.loads(text)
        purged += json.loads(text)["purged"]
        if len(purged) % PART or not purged:  # the last part
            break
    return {**whole, "purged": purged} if whole else None
