"""All checks of the AWS backend, in the order in which one explains the next.

Imports the AWS adapters' checks, those of any ledger, and the pipeline's names. Invariant: calls that read.
"""

from collections.abc import Iterable
from functools import partial

from kbsync.aws.doctor_bucket import BucketChecks
from kbsync.aws.doctor_knowledge_base import KnowledgeBaseChecks
from kbsync.aws.doctor_ledger import LedgerChecks
from kbsync.aws.doctor_place import Place, check_clock, place_of
from kbsync.aws.doctor_tables import TableChecks
from kbsync.aws.doctor_topic import check_topic
from kbsync.doctor.finding import Check, Finding, FindingError
from kbsync.doctor.ledger_checks import (
    check_brake,
    check_pause,
    check_queue,
    check_runs,
    marking_is_complete,
)
from kbsync.errors import KbSyncError
from kbsync.model import Clock
from kbsync.pipeline.lease import PUBLISHER
from kbsync.ports import Ledger
from kbsync.settings import Settings


def aws_checks(settings: Settings, now: Clock) -> list[tuple[str, Check]]:
    """Return every check of this set-up; the clients are made now, and nothing is called yet."""
    try:
        return checks_of(place_of(settings, now))
    except FindingError as ended:
        return [("AWS account", partial(_ended, ended))]


def _ended(found: FindingError) -> Iterable[Finding]:
    raise found


def checks_of(place: Place) -> list[tuple[str, Check]]:
    """Return every check of a place whose clients are made."""
    ledger = LedgerChecks(place)

    def runs(found: Ledger) -> Iterable[Finding]:
        return check_runs(found, place.now())

    def queue(found: Ledger) -> Iterable[Finding]:
        return check_queue(found, place.now())

    return [
        ("clock", lambda: check_clock(place)),
        *TableChecks(place, lambda: _is_marked(ledger.ledger)).checks(),
        *ledger.checks(),
        (ledger.subject, ledger.asked("dynamodb:Query", runs)),
        (ledger.subject, ledger.asked("dynamodb:Scan", queue)),
        (ledger.subject, ledger.asked("dynamodb:GetItem", check_pause)),
        (ledger.subject, ledger.asked("dynamodb:GetItem", check_brake)),
        (ledger.subject, ledger.asked_for_lease(PUBLISHER)),
        *BucketChecks(place).checks(),
        *KnowledgeBaseChecks(place).checks(),
        ("alerts", lambda: check_topic(place)),
    ]


def _is_marked(ledger: Ledger) -> bool:
    try:
        return marking_is_complete(ledger)
    except KbSyncError:
        return False  # the ledger's own checks say what is wrong with it
