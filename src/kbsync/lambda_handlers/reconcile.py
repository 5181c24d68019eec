"""The daily reconcile: compare all four sides, and with `{"repair": true}` leave what differs due.

Invariant: a call that meets its deadline has its checkpoint in the ledger; the next call goes on from there.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from aws_lambda_powertools.metrics import MetricUnit

from kbsync.engine import Engine
from kbsync.errors import BusyError
from kbsync.lambda_handlers.runtime import (
    LambdaContext,
    deadline,
    engine,
    logger,
    metrics,
    reports,
    tracer,
)
from kbsync.pipeline.reconcile import reconcile
from kbsync.pipeline.reconcile_survey import Survey
from kbsync.views.reconcile import reconcile_view
from kbsync.views.report import View

BUSY_WAIT_SECONDS = 15.0


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
    survey = reconcile_when_free(built, repair=repair, until=deadline(context, built.now()))
    if survey is None:
        reports.info("reconcile.busy")
        metrics.add_metric(name="ReconcilesBusy", unit=MetricUnit.Count, value=1)
        return {"status": "busy", "complete": False}
    view = {"status": "ok", **reconcile_view(survey)}
    reports.info("reconcile.ended", extra={"report": view})
    metrics.add_metric(name="ReconcilesEnded", unit=MetricUnit.Count, value=int(survey.ended))
    metrics.add_metric(name="DifferencesFound", unit=MetricUnit.Count, value=sum(survey.found.values()))
    return view


def reconcile_when_free(built: Engine, *, repair: bool, until: datetime) -> Survey | None:
    """Reconcile, waiting for a run that works on the same incidents; None where one did until the end."""
    while True:
        try:
            return reconcile(built, repair=repair, deadline=until)
        except BusyError:
            if built.now() + timedelta(seconds=BUSY_WAIT_SECONDS) >= until:
                return None
            built.sleep(BUSY_WAIT_SECONDS)
