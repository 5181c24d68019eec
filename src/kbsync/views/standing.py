"""What a document of the knowledge base is worth now, by its incident as just read; decides, reads nothing.

Imports the model, the engine's transform and errors. Invariant: a text that redaction cannot clear, or whose
incident wants no document any more, is never shown.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from kbsync.engine import Engine
from kbsync.errors import IncidentRejectedError, RedactionFailedError
from kbsync.knowledge import Hit
from kbsync.model import Document, NoDocument, State, StoredIncident, SyncRecord, WithdrawReason
from kbsync.queueing import is_closed

WAITS = "its removal waits for the next run"
UNMADE = (RecursionError, ValueError, TypeError, KeyError, AttributeError, OverflowError)
"""What a transform of unheard-of attributes may end with; which counts as the incident's failure."""

_GONE = frozenset({State.WITHDRAWING, State.WITHDRAWN, State.EXCLUDED})


@dataclass(frozen=True, slots=True)
class Standing:
    """Why a document must not be shown (empty: it may), and what the incident wants published now."""

    why_gone: str = ""
    document: Document | None = None


def standing_of(engine: Engine, record: SyncRecord | None, stored: StoredIncident | None) -> Standing:
    """Return what the incident, as just read, says of its document, whatever is published still."""
    if record and record.purged_at:
        return Standing(f"{WithdrawReason.PURGED} by a person")
    if stored is None:
        return Standing(f"deleted; {WAITS}")
    if record and record.state in _GONE:
        return Standing(_no_longer_closed(engine, stored) or f"{record.state}: {record.reason}")
    try:
        desired = engine.transform.desired(stored)
    except RedactionFailedError as error:
        return Standing(f"{error}; {WAITS}")
    except (IncidentRejectedError, *UNMADE):
        return Standing()  # an unreadable edit keeps the last good text, which is shown as stale
    if isinstance(desired, NoDocument):
        return Standing(_reason(desired))
    return Standing(document=desired)


def is_ours(engine: Engine, hit: Hit, incident_id: str, record: SyncRecord | None) -> bool:
    """Whether the document is the one of this incident: a sidecar may be foreign, or hold a shortened id."""
    keys = (engine.transform.document_key(incident_id), record.document_key if record else "")
    return bool(incident_id) and hit.document_key in keys


def is_stale(hit: Hit, record: SyncRecord | None, document: Document | None) -> bool:
    """Whether the knowledge base answers with a text that an edit has left behind."""
    if document and hit.metadata.get("body_sha") not in (None, document.body_hash[:12]):
        return True
    return document is None or (
        record is not None and (record.state is not State.INDEXED or bool(record.queue))
    )


def metadata_of(document: Document) -> Mapping[str, str | int]:
    """Return the document's filterable attributes as its sidecar would hold them."""
    attributes = json.loads(document.sidecar)["metadataAttributes"]
    return attributes if isinstance(attributes, dict) else {}


def _no_longer_closed(engine: Engine, stored: StoredIncident) -> str:
    closed = is_closed(stored.attributes, engine.policy.closed_statuses)
    return "" if closed else _reason(NoDocument(WithdrawReason.NOT_CLOSED))


def _reason(desired: NoDocument) -> str:
    if desired.reason is WithdrawReason.NOT_CLOSED:
        return f"no longer closed; {WAITS}"
    return f"{desired.reason}: {desired.detail}; {WAITS}"
