"""The daily reconcile: compare all four sides, and with `{"repair": true}` leave what differs due.

Invariant: a call that meets its deadline has its checkpoint in the ledger; the next call goes on from there.
"""

from collections.abc import Mapping
from datetime import timedelta

from aws_lambda_powertools.metrics import MetricUnit

from kbsync.errors import BusyError
from kbsync.lambda_handlers.runtime import (
    LambdaContext,
    deadline,
    engine,
    logger,
    metrics,
    reports,
    tracer,
    when_free,
)
from kbsync.pipeline.reconcile import reconcile
from kbsync.views.reconcile import reconcile_view
from kbsync.views.report import View

SHORTEST = timedelta(seconds=15)
"""Less than this is not worth beginning after a wait."""


@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(capture_cold_start_metric=False)
@logger.inject_lambda_context(clear_state=True)
def handler(event: Mapping[str, object] | None, context: LambdaContext) -> View:
    """Reconcile as far as the time allows and return what was found; `complete` says whether it was all.

    A second delivery of the same event goes on, begins anew, or finds the other one active; all are harmless.

    Raises:
        KbSyncError: it could not go on; the next call does, from the last page.
    """
    metrics.add_metric(name="ReconcilesStarted", unit=MetricUnit.Count, value=1)
    built = engine()
    repair = (event or {}).get("repair") is True
    until = deadline(context, built.now())
    try:
        survey = when_free(
            built, lambda: reconcile(built, repair=repair, deadline=until), give_up_at=until - SHORTEST
        )
    except BusyError as error:
        reports.info("reconcile.busy", extra={"reason": str(error)})
        metrics.add_metric(name="ReconcilesBusy", unit=MetricUnit.Count, value=1)
        return {"status": "busy", "complete": False}
    view = {"status": "ok", **reconcile_view(survey)}
    reports.info("reconcile.ended", extra={"report": view})
    metrics.add_metric(name="ReconcilesEnded", unit=MetricUnit.Count, value=int(survey.ended))
    metrics.add_metric(name="DifferencesFound", unit=MetricUnit.Count, value=sum(survey.found.values()))
    return view
