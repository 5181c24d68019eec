"""Names and order of the ledger's queue: pure text, the same for every adapter and for the pipeline.

Imports the model only. Invariant: dues and moments written here compare as text in the order of time.
"""

import hashlib
import secrets
from datetime import UTC, datetime

from kbsync.model import Stage


def utc_text(moment: datetime) -> str:
    """Return a moment as ISO 8601 in UTC with microseconds: fixed width, so that text order is time order.

    Raises:
        ValueError: the moment has no time zone, so nobody can say when it was.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone cannot be stored")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def queue_name(stage: Stage, incident_id: str, shards: int) -> str:
    """Return the queue of one incident: the stage and the incident's shard, the same for ever for one count."""
    digest = hashlib.sha256(incident_id.encode("utf-8", "surrogatepass")).digest()
    return shard_queue(stage, int.from_bytes(digest) % shards)


def shard_queue(stage: Stage, shard: int) -> str:
    """Return the name under which the entries of one stage and shard are found."""
    return f"{stage}#{shard}"


def due_at(moment: datetime) -> str:
    """Return a new due for this moment; two calls never return the same, so each mark can be told apart."""
    return f"{utc_text(moment)}#{secrets.token_hex(4)}"


def due_until(moment: datetime) -> str:
    """Return the upper bound that includes every due at or before this moment and none after it."""
    return f"{utc_text(moment)}#~"
