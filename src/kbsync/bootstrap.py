"""Composition root: Settings to Engine, and the only chooser between the local and the AWS adapters.

May import everything below the CLI. Invariant: nothing of a backend is imported before it was chosen, so each
works without the packages of the other.
"""

# ruff: noqa: PLC0415 - a backend's modules need packages that the other backend does without

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kbsync.engine import Engine, Place, Policy
from kbsync.errors import MissingExtraError, RetriableError, UsageError
from kbsync.model import Clock
from kbsync.pipeline.discover import turn_marking_on
from kbsync.setting_types import by_attribute
from kbsync.settings import Settings

if TYPE_CHECKING:
    from kbsync.aws.export_files import ExportFiles
    from kbsync.aws.run_soon import BatchFunction
    from kbsync.importing.dynamodb_export import ExportSource
    from kbsync.local.embedder import Embedder
    from kbsync.pipeline.transform.rules import TransformRules

DATABASE = "kbsync.db"
KNOWLEDGE_BASE = "knowledge_base.db"
DOCUMENTS = "documents"
LEASES = "leases"
RUNS = "runs"
ALERTS = "alerts.jsonl"

LOCAL_HINT = "pip install 'kbsync[local]'"

_LOGGER = logging.getLogger("kbsync.bootstrap")


def utc_now() -> datetime:
    """Return the present moment as an aware UTC datetime."""
    return datetime.now(UTC)


def build_engine(
    settings: Settings, *, now: Clock = utc_now, sleep: Callable[[float], None] = time.sleep
) -> Engine:
    """Return one of each port as the settings choose; opening the embedded home creates what is missing.

    A repeat opens the same home again, also from another process. No embedding model is loaded before a text
    is embedded.

    Raises:
        ConfigInvalidError (fatal): a setting that cannot be worked with; nothing was created.
        MissingExtraError (fatal): the backend's packages are not installed; the hint installs them.
        SchemaTooNewError (fatal): a newer kbsync wrote the home; nothing was changed.
    """
    if settings.backend == "aws":
        return _build_aws(settings, now, sleep)
    try:
        engine = _build_local(settings, now, sleep)
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        if package in ("", "kbsync"):
            raise
        raise MissingExtraError(f"local mode needs the package {package}", hint=LOCAL_HINT) from error
    # Every writer of an embedded home marks, so a table that was empty once never needs a full pass.
    first_page = engine.incidents.scan(cursor="", limit=1)
    turn_marking_on(engine, table_is_empty=not first_page.items)
    return engine


def home_exists(settings: Settings) -> bool:
    """Whether there is an embedded home to work on; looks, creates nothing."""
    return (settings.home / DATABASE).is_file()


def lend_vectors(settings: Settings, other: Settings) -> None:
    """Copy the vectors of an embedded home into another, whose equal texts then need no embedding.

    A model's vectors are only ever used by that model. Where the first home is not embedded, nothing happens.
    """
    if settings.backend != "local" or not (settings.home / KNOWLEDGE_BASE).is_file():
        return
    from kbsync.local.kb_schema import KnowledgeBaseFile
    from kbsync.local.lending import copy_vectors

    source, target = (KnowledgeBaseFile(each.home / KNOWLEDGE_BASE) for each in (settings, other))
    copy_vectors(source, target)
    source.close()
    target.close()


def document_path(settings: Settings, key: str) -> Path:
    """Return the file in which the embedded document store keeps a key."""
    return settings.home / DOCUMENTS / key


def export_source(settings: Settings, place: str) -> "ExportSource":
    """Return a table export as parts of a back-fill: a folder or file here, or `s3://` and its manifest.

    Raises:
        UsageError: there is no export, or the S3 address names no manifest.
        KbSyncError: S3 could not be read.
    """
    from kbsync.importing.dynamodb_export import MANIFEST, ExportSource, folder_source, manifest_keys

    if not place.startswith("s3://"):
        return folder_source(Path(place))
    bucket, _, key = place.removeprefix("s3://").partition("/")
    if key.rsplit("/", 1)[-1] != MANIFEST:
        raise UsageError(f"{place} is no manifest of an export", hint=f"give s3://BUCKET/.../{MANIFEST}")
    files = _bucket_files(settings, bucket)
    return ExportSource(place, manifest_keys(files.content(key), place), files.open)


def exported_object(settings: Settings, bucket: str, key: str) -> "ExportSource":
    """Return one file of an export in S3 as a source of one part."""
    from kbsync.importing.dynamodb_export import ExportSource

    return ExportSource(f"s3://{bucket}/{key}", [key], _bucket_files(settings, bucket).open)


def _bucket_files(settings: Settings, bucket: str) -> "ExportFiles":
    from kbsync.aws.clients import Clients
    from kbsync.aws.export_files import ExportFiles

    return ExportFiles(Clients(settings.aws_region or None), bucket)


def batch_function(settings: Settings) -> "BatchFunction | None":
    """Return the function that whoever marks asks to run soon, or None where none is named."""
    from kbsync.aws.clients import Clients
    from kbsync.aws.run_soon import BatchFunction

    name = settings.batch_function
    return BatchFunction(Clients(settings.aws_region or None), name) if name else None


def policy_of(settings: Settings) -> Policy:
    """Return the pipeline's numbers and names as the settings say."""
    return Policy(
        closed_statuses=settings.closed_statuses,
        other_statuses=settings.other_statuses,
        page_size=settings.batch_size,
        publish_at_once=settings.published_at_once,
        publish_bytes=settings.publish_bytes,
        max_attempts=settings.max_attempts,
        backoff_seconds=settings.retry_backoff_seconds,
        lease_seconds=settings.lease_seconds,
        shards=settings.queue_shards,
        discovery=settings.discovery,
        ingestion=settings.ingestion,
        wait_seconds=settings.wait_seconds,
        searchable_within_seconds=settings.searchable_within_seconds,
        probe_sample=settings.probed_of_each_kind,
        place=place_of(settings),
    )


def place_of(settings: Settings) -> Place:
    """Return where documents stand and who reads them; a changed prefix is each document's own matter."""
    if settings.backend == "local":
        documents, index = "the home's folder", "the home's search index"
    else:
        documents = f"bucket {settings.s3_bucket}"
        index = f"data source {settings.data_source_id} of knowledge base {settings.kb_id}"
    return Place(documents, index if settings.ingestion == "job" else "")


def rules_of(settings: Settings) -> "TransformRules":
    """Return how incidents become documents; raise ConfigInvalidError for a prefix that is too long."""
    from kbsync.pipeline.transform.rules import TransformRules

    # Settings that are rules under the same name.
    alike = settings.model_dump(include={field.name for field in fields(TransformRules)})
    return TransformRules(
        **{
            **alike,
            "prefix": settings.s3_prefix,
            "exclude": by_attribute(settings.exclude),
            "confidential": by_attribute(settings.confidential),
        }
    )


def _build_local(settings: Settings, now: Clock, sleep: Callable[[float], None]) -> Engine:
    from kbsync.local.alerts import LocalAlerts
    from kbsync.local.database import LocalDatabase
    from kbsync.local.document_store import LocalDocumentStore
    from kbsync.local.faults import LocalFaults
    from kbsync.local.incident_store import LocalIncidentStore
    from kbsync.local.knowledge_base import LocalKnowledgeBase
    from kbsync.local.ledger import LocalLedger
    from kbsync.local.run_records import LocalRunRecords
    from kbsync.local.steady_clock import SteadyClock
    from kbsync.pipeline.transform.transform import IncidentTransform

    home, shards, now = settings.home, settings.queue_shards, SteadyClock(now)
    transform = IncidentTransform(rules_of(settings))
    faults = LocalFaults.from_json(settings.local_faults)
    embedder = _choose_embedder(settings.embedder)
    database = LocalDatabase(home / DATABASE)
    documents = home / DOCUMENTS
    ledger = LocalLedger(database, home / LEASES, shards)
    knowledge_base = LocalKnowledgeBase(
        home / KNOWLEDGE_BASE,
        documents,
        settings.s3_prefix,
        embedder,
        now,
        faults,
        words_weight=settings.words_weight,
    )
    for run in ledger.runs(limit=1):
        now.not_before(run.ended_at or run.started_at)
    with suppress(RetriableError):  # a drill may have it fail from its first call on
        for job in knowledge_base.jobs(limit=1):
            now.not_before(max(job.started_at, job.updated_at))
    return Engine(
        incidents=LocalIncidentStore(database, shards),
        ledger=ledger,
        documents=LocalDocumentStore(documents, "", now),
        knowledge_base=knowledge_base,
        alerts=LocalAlerts(home / ALERTS),
        transform=transform,
        policy=policy_of(settings),
        now=now,
        sleep=sleep,
        run_records=LocalRunRecords(home / RUNS, settings.document_language),
    )


def _choose_embedder(name: str) -> "Embedder | None":
    """Return the embedder of this name; where `auto` finds no model, search goes by words and says so."""
    from kbsync.local.embedder import choose_embedder

    try:
        return choose_embedder(name)
    except MissingExtraError as error:
        if name != "auto":
            raise
        _LOGGER.warning("search goes by words only: %s (%s)", error, error.hint)
        return None


def _build_aws(settings: Settings, now: Clock, sleep: Callable[[float], None]) -> Engine:
    """Return the engine over AWS; nothing is called before its first use, so no check is made here."""
    from kbsync.aws.alerts import LogAlerts, SnsAlerts
    from kbsync.aws.clients import Clients
    from kbsync.aws.document_store import S3DocumentStore
    from kbsync.aws.dynamo_table import DynamoTable
    from kbsync.aws.incident_store import DynamoIncidentStore
    from kbsync.aws.knowledge_base import BedrockKnowledgeBase
    from kbsync.aws.lean_puts import LeanPuts
    from kbsync.aws.ledger import DynamoLedger
    from kbsync.aws.record_marks import RecordMarks
    from kbsync.aws.run_records import S3RunRecords
    from kbsync.aws.schema import checked_table
    from kbsync.pipeline.transform.transform import IncidentTransform

    clients = Clients(settings.aws_region or None)
    transform = IncidentTransform(rules_of(settings))
    incidents = DynamoTable(clients.dynamodb, settings.incidents_table)
    ledger = checked_table(DynamoTable(clients.dynamodb, settings.kbsync_table))
    marks = RecordMarks(ledger, settings.queue_shards, now)
    lean = LeanPuts(clients, settings.s3_bucket, kms_key_id=settings.s3_kms_key_id)
    topic = settings.alert_topic_arn
    return Engine(
        incidents=DynamoIncidentStore(incidents, marks, transform.source_attributes),
        ledger=DynamoLedger(ledger, settings.queue_shards, now),
        documents=S3DocumentStore(
            clients, settings.s3_bucket, "", kms_key_id=settings.s3_kms_key_id, lean=lean, now=now
        ),
        knowledge_base=BedrockKnowledgeBase(
            clients,
            settings.kb_id,
            settings.data_source_id,
            settings.s3_bucket,
            kind="MANAGED" if settings.kb_type == "managed" else "VECTOR",
            sleep=sleep,
        ),
        alerts=SnsAlerts(clients, topic) if topic else LogAlerts(),
        transform=transform,
        policy=policy_of(settings),
        now=now,
        sleep=sleep,
        run_records=S3RunRecords(
            clients,
            settings.s3_bucket,
            settings.run_records_prefix,
            language=settings.document_language,
            kms_key_id=settings.s3_kms_key_id,
        )
        if settings.run_records_prefix
        else None,
    )
