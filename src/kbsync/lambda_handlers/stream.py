"""The stream marker: every other writer's change of the incidents table becomes a mark in our ledger.

It writes to the ledger and nothing else, then asks the batch function to run soon, once a minute at most; the
publisher decides what a mark means. Invariant: our own writes
of `kb_sync_status` mark nothing, so the stream never feeds itself.
"""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord

from kbsync.errors import ConfigInvalidError, KbSyncError
from kbsync.lambda_handlers.runtime import LambdaContext, engine, logger, metrics, run_soon, tracer
from kbsync.model import SYNC_STATUS, Mark
from kbsync.pipeline.discover import turn_marking_on
from kbsync.queueing import is_closed
from kbsync.shards import before_marking

SORT_KEY = "METADATA"
"""Source: ORIGINAL_DESIGN.md, the incident's own item under its partition key."""
VIEW = "NEW_AND_OLD_IMAGES"

Image = Mapping[str, Mapping[str, Any]]
"""One item as the stream carries it: values with their types, never decoded: no value can break us."""

processor = BatchProcessor(event_type=EventType.DynamoDBStreams)


@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
@logger.inject_lambda_context(clear_state=True)
def handler(event: Mapping[str, Any], context: LambdaContext) -> Mapping[str, Any]:
    """Mark what changed; changes that could not be marked are named, and only those come again.

    A change delivered twice or late marks again, which is harmless. The first delivery turns marking on: from
    then on, and after one full pass, the hourly batch no longer pages the index.

    Raises:
        BatchProcessingError: not one change of the batch could be marked; all come again.
    """
    metrics.add_metric(name="ChangesReceived", unit=MetricUnit.Count, value=len(event["Records"]))
    turn_marking_on(engine(), table_is_empty=False)
    marked = 0

    def count_marks(record: DynamoDBRecord) -> None:
        nonlocal marked
        marked += mark_record(record)

    answer = process_partial_response(
        event=dict(event),
        record_handler=count_marks,
        processor=processor,
        context=context,  # type: ignore[arg-type] # our protocol is the part of it that is used
    )
    failed = len(answer["batchItemFailures"])
    if failed:
        logger.warning("changes.failed", extra={"failed": failed})
    metrics.add_metric(name="ChangesFailed", unit=MetricUnit.Count, value=failed)
    if marked:
        _ask_for_a_run()
    return dict(answer)


def _ask_for_a_run() -> None:
    """Have the batch function begin soon; the marks stand where that fails, and the next tick takes them."""
    try:
        asked = run_soon(engine())
    except KbSyncError as error:
        logger.warning("run.not_asked", extra={"reason": str(error)})
        return
    if asked:
        metrics.add_metric(name="RunsAsked", unit=MetricUnit.Count, value=1)


def mark_record(record: DynamoDBRecord) -> bool:
    """Mark the incident of one stream record, if anything of it but our own note has changed.

    Returns whether it was marked.

    Raises:
        ConfigInvalidError: the stream does not carry both images, so that our own writes cannot be told.
    """
    change = record.raw_event["dynamodb"]
    if change["Keys"].get("sk") != {"S": SORT_KEY}:
        return False
    if change.get("StreamViewType", VIEW) != VIEW:
        raise ConfigInvalidError(f"the stream carries {change['StreamViewType']}", hint=f"make it {VIEW}")
    before, after = change.get("OldImage", {}), change.get("NewImage", {})
    if _told(before) == _told(after):
        return False
    built = engine()
    closed = is_closed({"status": after.get("status", {}).get("S")}, built.policy.closed_statuses)
    before_marking(built)
    incident_id = str(change["Keys"]["incident_id"]["S"])
    # A closed incident gets a record; any other change needs one that exists already.
    built.ledger.mark([Mark(incident_id, built.now(), create=closed, deleted=not after)])
    return True


def _told(image: Image) -> dict[str, Mapping[str, Any]]:
    return {name: value for name, value in image.items() if name != SYNC_STATUS}
