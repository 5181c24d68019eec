"""What differs about one incident: a table of what is known and the finding that follows."""

from dataclasses import replace

import pytest

from builders import NOON
from kbsync.knowledge import DocumentStatus
from kbsync.model import ObjectHead, State, SyncRecord
from kbsync.pipeline.reconcile_judge import Drift, Look, Remedy, Wish, judge

KEY = "incidents/INC-1.md"
BODY = ObjectHead(KEY, "b", 1, NOON, "print")
SIDECAR = ObjectHead(f"{KEY}.metadata.json", "s", 1, NOON, "print")
STRANGE = ObjectHead(KEY, "x", 1, NOON)
CLOSED = Wish(
    incident_id="INC-1", rest=State.INDEXED, exists=True, fingerprint="print", source_version="v",
    rendered_by="r", says_synced=True,
)  # fmt: skip
SILENT = replace(CLOSED, says_synced=False)
BROKEN = replace(SILENT, rest=State.QUARANTINED, fingerprint="")
OPEN = replace(SILENT, rest=State.WITHDRAWN, fingerprint="")
BARRED = replace(OPEN, rest=State.EXCLUDED)
DELETED = replace(OPEN, exists=False)
INDEXED = SyncRecord(
    incident_id="INC-1", state=State.INDEXED, document_key=KEY, fingerprint="print", body_etag="b",
    sidecar_etag="s", source_version="v", rendered_by="r",
)  # fmt: skip
EMPTY = SyncRecord(incident_id="INC-1", source_version="v", rendered_by="r")
QUARANTINED = replace(EMPTY, state=State.QUARANTINED)
WITHDRAWN = replace(EMPTY, state=State.WITHDRAWN)
EXCLUDED = replace(EMPTY, state=State.EXCLUDED)


def a_look(wish: Wish, record: SyncRecord | None, **seen: object) -> Look:
    return Look(wish=wish, record=record, document_key=KEY, objects_seen=True, **seen)  # type: ignore[arg-type]


def whole(wish: Wish = CLOSED, record: SyncRecord = INDEXED, **seen: object) -> Look:
    return a_look(
        wish, record, **{"body": BODY, "sidecar": SIDECAR, "listed": DocumentStatus.INDEXED, **seen}
    )


FINDINGS = {
    "all-well": (whole(), None),
    "not-asked": (Look(wish=CLOSED, record=INDEXED, document_key=KEY), None),
    "in-work": (whole(record=replace(INDEXED, queue="publish#0"), body=None), None),
    "indexing": (whole(listed=DocumentStatus.IN_PROGRESS), None),
    "open": (a_look(OPEN, None), None),
    "open-withdrawn": (a_look(OPEN, WITHDRAWN), None),
    "barred-excluded": (a_look(BARRED, EXCLUDED), None),
    "quarantined": (a_look(BROKEN, QUARANTINED), None),
    "quarantined-stale": (a_look(BROKEN, replace(QUARANTINED, body_etag="b"), body=BODY), None),
    "tombstone": (a_look(DELETED, replace(WITHDRAWN, expires_at=NOON)), None),
    "no-record": (a_look(SILENT, None), (Drift.MISSING, Remedy.LOOK)),
    "closed-again": (a_look(SILENT, WITHDRAWN), (Drift.MISSING, Remedy.LOOK)),
    "rule-gone": (a_look(SILENT, EXCLUDED), (Drift.MISSING, Remedy.LOOK)),
    "unreadable-new": (a_look(BROKEN, None), (Drift.MISSING, Remedy.LOOK)),
    "body-lost": (whole(body=None), (Drift.MISSING, Remedy.PUT_AGAIN)),
    "sidecar-lost": (whole(sidecar=None), (Drift.SIDECAR_LOST, Remedy.PUT_AGAIN)),
    "edited": (whole(replace(CLOSED, fingerprint="other")), (Drift.STALE, Remedy.LOOK)),
    "made-unreadable": (whole(replace(BROKEN, source_version="w")), (Drift.STALE, Remedy.LOOK)),
    "unreadable-since": (whole(BROKEN), None),
    "body-other": (whole(body=replace(BODY, etag="x")), (Drift.STALE, Remedy.PUT_AGAIN)),
    "sidecar-other": (whole(sidecar=replace(SIDECAR, etag="x")), (Drift.STALE, Remedy.PUT_AGAIN)),
    "json-lost": (whole(record=replace(INDEXED, json_etag="j")), (Drift.STALE, Remedy.PUT_AGAIN)),
    "released": (a_look(replace(SILENT, source_version="w"), QUARANTINED), (Drift.MISSING, Remedy.LOOK)),
    "released-stale": (
        a_look(replace(SILENT, rendered_by="s"), replace(QUARANTINED, body_etag="b")),
        (Drift.STALE, Remedy.LOOK),
    ),
    "quarantine-leaks": (a_look(BROKEN, QUARANTINED, body=BODY), (Drift.ORPHAN, Remedy.WITHDRAW)),
    "unlisted": (whole(listed=DocumentStatus.NOT_FOUND), (Drift.UNLISTED, Remedy.PUT_AGAIN)),
    "failed": (whole(listed=DocumentStatus.FAILED), (Drift.FAILED, Remedy.PUT_AGAIN)),
    "ignored": (whole(listed=DocumentStatus.IGNORED), (Drift.FAILED, Remedy.PUT_AGAIN)),
    "partial": (
        whole(listed=DocumentStatus.PARTIALLY_INDEXED), (Drift.PARTIALLY_INDEXED, Remedy.PUT_AGAIN),
    ),
    "metadata-partial": (
        whole(listed=DocumentStatus.METADATA_PARTIALLY_INDEXED), (Drift.PARTIALLY_INDEXED, Remedy.PUT_AGAIN),
    ),
    "reopened": (whole(OPEN), (Drift.ORPHAN, Remedy.LOOK)),
    "reopened-lost": (a_look(OPEN, INDEXED), (Drift.ORPHAN, Remedy.LOOK)),
    "leftover": (a_look(DELETED, None, sidecar=SIDECAR), (Drift.ORPHAN, Remedy.LOOK)),
    "stranger": (a_look(DELETED, None, body=STRANGE), (Drift.FOREIGN, Remedy.NONE)),
    "stranded": (a_look(SILENT, EMPTY), (Drift.UNSETTLED, Remedy.LOOK)),
    "open-stranded": (a_look(OPEN, EMPTY), (Drift.UNSETTLED, Remedy.LOOK)),
    "barred-unknown": (a_look(BARRED, None), (Drift.UNSETTLED, Remedy.LOOK)),
    "deleted-withdrawn": (a_look(DELETED, WITHDRAWN), (Drift.UNSETTLED, Remedy.LOOK)),
    "silent": (whole(SILENT), (Drift.STATUS_LIE, Remedy.LOOK)),
    "claims-open": (a_look(replace(OPEN, says_synced=True), None), (Drift.STATUS_LIE, Remedy.UNSAY)),
    "claims-broken": (
        a_look(replace(BROKEN, says_synced=True), QUARANTINED), (Drift.STATUS_LIE, Remedy.UNSAY),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("look", "finding"), FINDINGS.values(), ids=FINDINGS)
def test_what_is_known_gives_the_one_finding(look: Look, finding: tuple[Drift, Remedy] | None) -> None:
    """Each combination of wish, record, objects and listing has one finding and one remedy."""
    difference = judge(look)

    assert (difference and (difference.drift, difference.remedy)) == finding


def test_a_strangers_object_is_named_by_its_key() -> None:
    """Where no incident can be named, the key is."""
    difference = judge(a_look(DELETED, None, body=STRANGE))

    assert difference is not None
    assert difference.subject == KEY
