"""Incident ids to document keys: injective, also where letter case is ignored, and stable for ever.

An id in capitals, digits, `.`, `_` and `-` is its own name; every other one gets a readable rest and 128 bits
of its SHA-256. Sources: Amazon S3 User Guide, "Object key naming guidelines" (1,024 bytes, safe characters);
Microsoft, "Naming Files, Paths, and Namespaces" (reserved names); 255 bytes a name on common file systems.
"""

import hashlib
import re

_PLAIN = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,199}")
_DIGEST_END = re.compile(r"__[0-9A-F]{32}\Z")
_RESERVED = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?:\..*)?")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_READABLE_LENGTH = 64


def document_key(prefix: str, incident_id: str) -> str:
    """Return the key of an incident's document; the same id gives the same key in every version."""
    return f"{prefix}{_safe_name(incident_id)}.md"


def json_key(prefix: str, incident_id: str) -> str:
    """Return the key of an incident's JSON record, named like its document."""
    return f"{prefix}{_safe_name(incident_id)}.json"


def _safe_name(incident_id: str) -> str:
    if _is_plain(incident_id):
        return incident_id
    digest = hashlib.sha256(incident_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    readable = _UNSAFE.sub("_", incident_id[:_READABLE_LENGTH]) or "id"
    return f"{readable}__{digest}"


def _is_plain(incident_id: str) -> bool:
    return bool(
        _PLAIN.fullmatch(incident_id)
        and not _RESERVED.fullmatch(incident_id)
        and not _DIGEST_END.search(incident_id)
    )
