"""What redaction took out, as the records tell it: counts by rule, by incident and by version; never a value.

Imports the model and ports; reads only. Invariant: one page of records at a time, whatever their number.
"""

import re
from collections import Counter
from functools import partial

from kbsync.engine import Engine
from kbsync.model import State, SyncRecord
from kbsync.paging import each_of
from kbsync.views.report import View
from kbsync.withdrawal import in_force

_PAGE = 500
_VERSION = re.compile(r"(?:^|;)redaction=([^;]{1,40})")
_WITH_DOCUMENT = frozenset({State.PUBLISHED, State.INDEXED})


def redactions_view(engine: Engine, *, rule: str, limit: int, offset: int) -> View:
    """Return the counts of all records, and one page of the incidents in which `rule`, or any, found some.

    `older` counts the documents that other rules, another template or other settings have rendered: the next
    run looks at each anew and puts those whose bytes differ.
    """
    current = in_force(engine).transform.rendered_by
    found, incidents, versions = Counter[str](), Counter[str](), Counter[str]()
    documents = redacted = older = matching = 0
    listed: list[View] = []
    records = each_of(partial(engine.ledger.list_records, state=None, limit=_PAGE))
    for record in filter(_has_document, records):
        counts = dict(record.redactions)
        documents += 1
        redacted += bool(counts)
        older += record.rendered_by != current
        versions[version_of(record.rendered_by)] += 1
        found.update(counts)
        incidents.update(counts.keys())
        if rule in counts if rule else counts:
            if offset <= matching < offset + limit:
                listed.append({"incident_id": record.incident_id, "redactions": counts})
            matching += 1
    last = offset + len(listed)
    return {
        "documents": documents,
        "redacted": redacted,
        "older": older,
        "rules": [
            {"rule": name, "found": count, "incidents": incidents[name]}
            for name, count in found.most_common()
        ],
        "versions": [{"version": name, "documents": count} for name, count in sorted(versions.items())],
        "incidents": listed,
        "next_offset": last if last < matching else None,
        "lacking": engine.transform.lacking or None,
    }


def version_of(rendered_by: str) -> str:
    """Return the version of the redaction rules in what a record says of its rendering."""
    match = _VERSION.search(rendered_by)
    return match[1] if match else "unknown"


def _has_document(record: SyncRecord) -> bool:
    return record.state in _WITH_DOCUMENT
