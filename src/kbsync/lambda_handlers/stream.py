"""The stream marker: every other writer's change of the incidents table becomes a mark in our ledger.

It writes ledger marks and nothing else; the publisher decides what a mark means. Invariant: our own writes of
`kb_sync_status` mark nothing, so the stream never feeds itself.
"""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord

from kbsync.lambda_handlers.runtime import LambdaContext, engine, logger, metrics, tracer
from kbsync.model import SYNC_STATUS, Mark
from kbsync.ports import Engine

SORT_KEY = "METADATA"
"""Source: ORIGINAL_DESIGN.md, the incident's own item under its partition key."""

processor = BatchProcessor(event_type=EventType.DynamoDBStreams)


@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def handler(event: Mapping[str, Any], context: LambdaContext) -> Mapping[str, Any]:
    """Mark what changed; records that could not be marked are named, and only those come again.

    A record delivered twice or late marks again, which is harmless.
    """
    answer = process_partial_response(
        event=dict(event),
        record_handler=mark_record,
        processor=processor,
        context=context,  # type: ignore[arg-type] # our protocol is the part of it that is used
    )
    return dict(answer)


def mark_record(record: DynamoDBRecord) -> None:
    """Mark the incident of one stream record, if anything of it but our own note has changed."""
    change = record.dynamodb
    if change is None or change.keys.get("sk") != SORT_KEY:
        return
    before, after = change.old_image, change.new_image
    if before and after and _told(before) == _told(after):
        return
    built = engine()
    built.ledger.mark([mark_of(built, str(change.keys["incident_id"]), after)])


def mark_of(built: Engine, incident_id: str, after: Mapping[str, object]) -> Mark:
    """Return the mark: a closed incident gets a record, any other change needs one that exists already."""
    closed = after.get("status") in built.policy.closed_statuses
    return Mark(incident_id, built.now(), create=closed)


def _told(image: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in image.items() if name != SYNC_STATUS}
