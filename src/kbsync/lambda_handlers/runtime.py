"""What every handler shares: the engine of this container, the deadline, the log and the metrics.

May import bootstrap, settings and Powertools. Invariant: nothing connects or reads the environment at import.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from aws_lambda_powertools import Logger, Metrics, Tracer

from kbsync.bootstrap import batch_function, build_engine
from kbsync.engine import Engine
from kbsync.errors import BusyError
from kbsync.setting_sources import load_settings

NAMESPACE = "IncidentManagement"
"""Source: ORIGINAL_DESIGN.md, "Métricas CloudWatch"."""
SERVICE = "kbsync"
RESERVE = timedelta(seconds=90)
"""Time kept for the page in hand, the report and the metrics: more than one call's time-outs together, which
are 60 seconds (aws/clients.py)."""

BUSY_WAIT_SECONDS = 15.0
T = TypeVar("T")

logger = Logger(service=SERVICE)
"""Parent of the library's own loggers; Powertools gives it the level that LOG_LEVEL says."""
reports = Logger(service=SERVICE, child=True, level="INFO")
"""What a person must find whatever LOG_LEVEL says: one line for each run."""
tracer = Tracer(service=SERVICE, auto_patch=False)
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)


class LambdaContext(Protocol):
    """The part of Lambda's context that handlers use."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the function may still run."""
        ...


class Runner(Protocol):
    """Who can be asked for a run: aws/run_soon.py, or nobody."""

    def run_soon(self, engine: Engine) -> bool:
        """Ask for a run, unless somebody did just now; returns whether this call asked."""
        ...


@dataclass
class _Container:
    engine: Engine | None = None
    runner: Runner | None = None
    knows_runner: bool = False


_container = _Container()


def engine() -> Engine:
    """Return the engine of this container, built at the first call from the environment as it is then.

    Raises:
        ConfigInvalidError (fatal): a variable is missing or wrong; the next invocation tries again.
    """
    if _container.engine is None:
        _container.engine = build_engine(load_settings({"backend": "aws"}, os.environ))
    return _container.engine


def run_soon(built: Engine) -> bool:
    """Ask the function of `BATCH_FUNCTION` to run; False where none is named, or it was asked just now.

    Raises:
        KbSyncError: it could not be asked; nothing else depends on it.
    """
    if not _container.knows_runner:
        use_runner(batch_function(load_settings({"backend": "aws"}, os.environ)))
    return _container.runner.run_soon(built) if _container.runner is not None else False


def use_runner(runner: Runner | None) -> None:
    """Let this container ask this one for runs; `None`: ask nobody."""
    _container.runner, _container.knows_runner = runner, True


def use_engine(built: Engine | None) -> None:
    """Let this container work with an engine that was built elsewhere; `None`: build one at the next call."""
    _container.engine = built


def when_free(built: Engine, work: Callable[[], T], *, give_up_at: datetime) -> T:
    """Return what the work gives, which is begun again while another run is active.

    Raises:
        BusyError: another run was active until it was no longer worth beginning; nothing was written.
    """
    while True:
        try:
            return work()
        except BusyError:
            if built.now() > give_up_at:
                raise
            built.sleep(BUSY_WAIT_SECONDS)


def deadline(context: LambdaContext, now: datetime) -> datetime:
    """Return when to stop taking work, so that the report is out before the function is ended.

    Source: AWS_FACTS.md section 9; the remaining time is asked for, never assumed.
    """
    return now + timedelta(milliseconds=context.get_remaining_time_in_millis()) - RESERVE
