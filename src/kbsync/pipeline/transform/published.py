"""Which fields of an incident may be published: an allow-list takes the others away first.

Imports the reading of incidents. Invariant: what finds an incident again (its ids) is always published.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from kbsync.pipeline.transform.read import Incident, ReadDate

_MEMBERS: dict[str, tuple[str, object]] = {
    **{name: (name, "") for name in ("title", "description", "error_message", "root_cause", "resolution")},
    **{name: (name, ()) for name in ("steps", "code_changes", "affected_systems", "tags")},
    "created_at": ("created", ReadDate()),
    "resolved_at": ("resolved", ReadDate()),
}
"""The fields that are no labels: an incident's member, and what it is without the field."""


def only(incident: Incident, allowed: Collection[str]) -> Incident:
    """Return the incident with these fields alone; an empty list allows all."""
    if not allowed:
        return incident
    emptied: dict[str, Any] = {  # Any: each member's own empty value
        member: empty for name, (member, empty) in _MEMBERS.items() if name not in allowed
    }
    labels = tuple((name, text) for name, text in incident.labels if name in allowed)
    return replace(incident, **emptied, labels=labels)
