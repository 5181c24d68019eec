"""The back-fill worker: marks the incidents of one file of a table export, called by the state machine.

The event names the file and the line to go on behind, `{"bucket": ..., "key": ..., "position": ""}`; the
answer has `done` and the new `position`, so that the state machine calls again where the time was not enough.
Invariant: the position never says more than is marked.
"""

import os
from collections import Counter
from collections.abc import Mapping

from aws_lambda_powertools.metrics import MetricUnit

from kbsync.bootstrap import exported_object
from kbsync.errors import UsageError
from kbsync.lambda_handlers.runtime import LambdaContext, deadline, engine, logger, metrics, reports, tracer
from kbsync.pipeline.backfill import Looked, mark_part
from kbsync.setting_sources import load_settings
from kbsync.shards import before_marking
from kbsync.views.report import View


@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(capture_cold_start_metric=False)
@logger.inject_lambda_context(clear_state=True)
def handler(event: Mapping[str, object], context: LambdaContext) -> View:
    """Mark what is behind the position of one file, as far as the time allows; a repeat marks nothing twice.

    Raises:
        UsageError: the event names no file, or the file is cut or damaged; what was marked stands.
        KbSyncError: it could not go on; the same event may be sent again.
    """
    metrics.add_metric(name="BackfillsStarted", unit=MetricUnit.Count, value=1)
    bucket, key, position = (event.get(name) for name in ("bucket", "key", "position"))
    if not (
        isinstance(bucket, str) and isinstance(key, str) and isinstance(position, str) and bucket and key
    ):
        raise UsageError("the event names no file", hint='{"bucket": ..., "key": ..., "position": ""}')
    built = engine()
    until = deadline(context, built.now())
    source = exported_object(load_settings({"backend": "aws"}, os.environ), bucket, key)
    before_marking(built)
    counts, done = Counter(dict.fromkeys(map(str, Looked), 0)), True
    for found, behind in mark_part(built, source, 0, position):
        counts, position = counts + found, behind
        if built.now() >= until:
            done = False
            break
    for name in (Looked.MARKED, Looked.UNREADABLE):
        metrics.add_metric(name=f"Backfill{name.title()}", unit=MetricUnit.Count, value=counts[name])
    view: View = {"done": done, "position": position, **{str(name): counts[name] for name in Looked}}
    reports.info("backfill.part", extra={"report": view})
    return view
