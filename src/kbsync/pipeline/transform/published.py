"""Which fields of an incident may be published: an allow-list takes the others away first.

Imports the reading of incidents. Invariant: what finds an incident again (its ids) is always published.
"""

from collections.abc import Collection
from dataclasses import replace

from kbsync.pipeline.transform.read import Incident, ReadDate


def only(incident: Incident, allowed: Collection[str]) -> Incident:
    """Return the incident with these fields alone; an empty list allows all."""
    if not allowed:
        return incident
    return replace(
        incident,
        title=incident.title if "title" in allowed else "",
        description=incident.description if "description" in allowed else "",
        error_message=incident.error_message if "error_message" in allowed else "",
        root_cause=incident.root_cause if "root_cause" in allowed else "",
        resolution=incident.resolution if "resolution" in allowed else "",
        steps=incident.steps if "steps" in allowed else (),
        code_changes=incident.code_changes if "code_changes" in allowed else (),
        affected_systems=incident.affected_systems if "affected_systems" in allowed else (),
        tags=incident.tags if "tags" in allowed else (),
        labels=tuple((name, text) for name, text in incident.labels if name in allowed),
        created=incident.created if "created_at" in allowed else ReadDate(),
        resolved=incident.resolved if "resolved_at" in allowed else ReadDate(),
    )
