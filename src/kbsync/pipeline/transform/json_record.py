"""The original design's JSON record, for readers that are no knowledge base: the same texts, redacted alike.

Imports the reading of incidents. Invariant: it says nothing that the Markdown document may not say: no people
(the original's `resolved_by`) and no time of a run (its `synced_to_kb_at`: other bytes at every try).
Source: ORIGINAL_DESIGN.md, `kbDocument`; AWS_FACTS.md section 10, rows 10, 14 and 25.
"""

import json

from kbsync.pipeline.transform.read import Incident, ReadDate


def render_json_record(incident_id: str, incident: Incident, minutes: int | None) -> bytes:
    """Return the record as UTF-8 JSON in the original's order of names; what is missing is left out."""
    labels = dict(incident.labels)
    record: dict[str, object] = {
        "incident_id": incident_id,
        "external_id": incident.external_id,
        "source_system": labels.get("source_system"),
        "source_url": labels.get("source_url"),
        "title": incident.title,
        "description": incident.description,
        "category": labels.get("category"),
        "severity": labels.get("severity"),
        "priority": labels.get("priority"),
        "affected_systems": list(incident.affected_systems),
        "environment": labels.get("environment"),
        "error_message": incident.error_message,
        "root_cause": incident.root_cause,
        "resolution": incident.resolution,
        "resolution_type": labels.get("resolution_type"),
        "resolution_steps": list(incident.steps),
        "code_changes": [
            {"file": change.file, "description": change.description} for change in incident.code_changes
        ],
        "resolved_at": _date_text(incident.resolved),
        "resolution_time_minutes": minutes,
        "tags": list(incident.tags),
    }
    kept = {name: value for name, value in record.items() if value not in (None, "", [])}
    return (json.dumps(kept, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace")


def _date_text(date: ReadDate) -> str:
    if date.moment is None:
        return date.text
    return date.moment.at.isoformat() if date.moment.at else date.moment.day.isoformat()
