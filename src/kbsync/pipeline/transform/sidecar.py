"""The metadata sidecar: short-form scalars for filtering, one type per key for ever, within a byte budget.

Source: Amazon Bedrock User Guide, "Connect to Amazon S3" (short form); AWS_FACTS.md section 2 (1,024 bytes
with S3 Vectors, no null, empty or nested values).
"""

import hashlib
import json
from collections.abc import Callable, Mapping

from kbsync.pipeline.transform.clean import whole_characters
from kbsync.pipeline.transform.read import Incident, ReadDate

SCHEMA_VERSION = "1"

Attributes = dict[str, str | int]

DROP_ORDER = (
    "created_text", "resolved_text", "tags", "source_url", "title", "resolution_type", "environment",
    "resolution_time_minutes", "language", "category", "source_system", "priority",
)  # fmt: skip
"""What goes first when the budget is short; what is not here is never dropped (O-06)."""

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode
_STRING_BYTES, _KEPT_BYTES, _ID_BYTES = 400, 64, 48
_KEPT = ("status", "severity")
_NEVER_SHORTENED = ("tags", "source_url")
"""Tags go one by one; half an address is a wrong one."""
_TEN_YEARS_MINUTES = 10 * 366 * 24 * 60


def sidecar_attributes(
    incident_id: str, incident: Incident, title: str, body_sha: str, note: Callable[[str], None]
) -> Attributes:
    """Return all attributes that have a value, each of its declared type, before any budget."""
    texts = {
        **dict(incident.labels),
        "incident_id": whole_characters(incident_id),
        "external_id": whole_characters(incident.external_id),
        "title": title,
        "tags": ",".join(incident.tags),
        "body_sha": body_sha,
        "created_text": incident.created.text if incident.created.moment is None else "",
        "resolved_text": incident.resolved.text if incident.resolved.moment is None else "",
    }
    numbers = {
        "created_date": _day_number(incident.created),
        "resolved_date": _day_number(incident.resolved),
        "resolution_time_minutes": resolution_minutes(incident, note),
    }
    return {name: text for name, text in texts.items() if text} | {
        name: number for name, number in numbers.items() if number is not None
    }


def render_sidecar(
    attributes: Mapping[str, str | int], budget_bytes: int, note: Callable[[str], None]
) -> bytes:
    """Return the sidecar's bytes, within the budget where identity allows it; notes what was cut.

    Tags go one by one from the end, other values whole in `DROP_ORDER`. Ids are shortened to a head and a
    digest only where nothing else is left: the ledger still knows the id by its document key.
    """
    kept = dict(attributes)
    for name in _KEPT + DROP_ORDER:
        limit = _KEPT_BYTES if name in _KEPT else _STRING_BYTES
        value = kept.get(name)
        if isinstance(value, str) and name not in _NEVER_SHORTENED and len(value.encode()) > limit:
            kept[name] = _shortened(value, limit)
            note(f"sidecar: {name} was shortened")
    content = _encoded(kept)
    for name in DROP_ORDER:
        excess = len(content) - budget_bytes
        if excess <= 0:
            return content
        if name in kept:
            note(f"sidecar: {name} was cut")
            value = kept.pop(name)
            remaining = _fewer_tags(str(value), excess) if name == "tags" else ""
            kept |= {name: remaining} if remaining else {}
            content = _encoded(kept)
    for name in ("external_id", "incident_id"):
        if len(content) > budget_bytes and name in kept:
            kept[name] = _shortened(str(kept[name]), _ID_BYTES)
            note(f"sidecar: {name} was shortened")
            content = _encoded(kept)
    return content


def _encoded(attributes: Mapping[str, str | int]) -> bytes:
    return _ENCODE({"metadataAttributes": attributes}).encode()


def _fewer_tags(tags: str, excess: int) -> str:
    words = tags.split(",")
    while words and excess > 0:
        excess -= len(json.dumps(words.pop(), ensure_ascii=False).encode()) - 1
    return ",".join(words)


def _shortened(text: str, limit_bytes: int) -> str:
    if len(text.encode()) <= limit_bytes:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    head = text.encode()[: limit_bytes - len(digest) - 1].decode("utf-8", "ignore")
    return f"{head}~{digest}"


def _day_number(date: ReadDate) -> int | None:
    if date.moment is None:
        return None
    day = date.moment.day
    return day.year * 10_000 + day.month * 100 + day.day


def resolution_minutes(incident: Incident, note: Callable[[str], None]) -> int | None:
    """Return the whole minutes from creation to resolution, None where they are unknown or absurd (noted)."""
    created, resolved = incident.created.moment, incident.resolved.moment
    if not (created and created.at and resolved and resolved.at):
        return None
    minutes = round((resolved.at - created.at).total_seconds() / 60)
    if 0 <= minutes <= _TEN_YEARS_MINUTES:
        return minutes
    note("resolution_time_minutes was left out: it is negative or longer than ten years")
    return None
