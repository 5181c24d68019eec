"""Closed incidents that say neither why it happened nor what solved it, counted. Imports the model and ports.

Invariant: one pass over the table, page by page; memory holds the asked page and a bounded number of groups.
"""

from collections import Counter
from collections.abc import Mapping
from functools import partial

from kbsync.engine import Engine
from kbsync.errors import IncidentRejectedError
from kbsync.model import Attributes, StoredIncident, value_at
from kbsync.paging import each_of
from kbsync.queueing import is_closed
from kbsync.views.passages import cut
from kbsync.views.report import View

MOST_GROUPS = 1_000
"""Groups told apart; the incidents of all further ones count as the group `(others)`."""
GROUPS_SHOWN = 100
OTHERS = "(others)"
NONE = "(none)"
_PAGE = 100
_TITLE_CHARACTERS = 160
_GROUP_CHARACTERS = 80


def writeups_view(engine: Engine, *, by: str, limit: int, offset: int) -> View:
    """Return one page of the closed incidents without a write-up, and how many there are by `by`, a path."""
    closed, without = Counter[str](), Counter[str]()
    listed: list[StoredIncident] = []
    unreadable = 0
    for stored in each_of(partial(engine.incidents.scan, limit=_PAGE)):
        if not is_closed(stored.attributes, engine.policy.closed_statuses):
            continue
        group = _group(engine, stored.attributes, by)
        name = group if group in closed or len(closed) < MOST_GROUPS else OTHERS
        closed[name] += 1
        written = _is_written(engine, stored)
        unreadable += written is None
        if written is False:
            if offset <= without.total() < offset + limit:
                listed.append(stored)
            without[name] += 1
    last = offset + len(listed)
    return {
        "by": by,
        "closed": closed.total(),
        "without": without.total(),
        "unreadable": unreadable,
        "groups": [
            {"value": name, "closed": closed[name], "without": count}
            for name, count in without.most_common(GROUPS_SHOWN)
        ],
        "incidents": _rows(engine, listed, by),
        "next_offset": last if last < without.total() else None,
    }


def _is_written(engine: Engine, stored: StoredIncident) -> bool | None:
    try:
        return engine.transform.has_writeup(stored)
    except IncidentRejectedError:
        return None


def _rows(engine: Engine, listed: list[StoredIncident], by: str) -> list[View]:
    records = engine.ledger.records([each.incident_id for each in listed])
    return [
        {
            "incident_id": each.incident_id,
            "title": cut(engine.transform.title(each) or "", _TITLE_CHARACTERS),
            "group": _group(engine, each.attributes, by),
            "closed_at": engine.transform.shown(_text(each.attributes.get("resolved_at"))) or None,
            "state": str(records[each.incident_id].state) if each.incident_id in records else None,
        }
        for each in listed
    ]


def _group(engine: Engine, attributes: Attributes, by: str) -> str:
    return cut(engine.transform.shown(_text(value_at(attributes, by))), _GROUP_CHARACTERS) or NONE


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, Mapping | list | set | bytes) else str(value).strip()
