"""What every handler shares: the engine of this container, the deadline, the log and the metrics.

May import bootstrap, settings and Powertools. Invariant: nothing connects or reads the environment at import.
"""

import os
from datetime import datetime, timedelta
from functools import cache
from typing import Protocol

from aws_lambda_powertools import Logger, Metrics, Tracer

from kbsync.bootstrap import build_engine
from kbsync.ports import Engine
from kbsync.settings import Settings, load_settings

NAMESPACE = "IncidentManagement"
"""Source: ORIGINAL_DESIGN.md, "Métricas CloudWatch"."""
SERVICE = "kbsync"
RESERVE = timedelta(seconds=45)
"""Time kept for the last page, the report and the metrics: more than one call's time-outs together."""

logger = Logger(service=SERVICE)
tracer = Tracer(service=SERVICE, auto_patch=False)
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)


class LambdaContext(Protocol):
    """The part of Lambda's context that handlers use."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the function may still run."""
        ...


@cache
def settings() -> Settings:
    """Return the settings of this container's environment, read once, at the first call."""
    return load_settings({"backend": "aws"}, os.environ)


@cache
def engine() -> Engine:
    """Return the engine of this container, built once, at the first call."""
    return build_engine(settings())


def deadline(context: LambdaContext, now: datetime) -> datetime:
    """Return when to stop taking work, so that the report is out before the function is ended.

    Source: AWS_FACTS.md section 9; the remaining time is asked for, never assumed.
    """
    return now + timedelta(milliseconds=context.get_remaining_time_in_millis()) - RESERVE
