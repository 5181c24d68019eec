"""Alarms evaluated offline: the alarm's own definition against data points, missing ones included.

The rules are CloudWatch's for alarms on one metric with M out of N = N. Source: CloudWatch User Guide, "Using
Amazon CloudWatch alarms": evaluating an alarm, and configuring how alarms treat missing data.
"""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

OK, ALARM = "OK", "ALARM"
COMPARISONS = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
STATISTICS = {"Sum": sum, "Maximum": max, "Minimum": min}
Point = tuple[float, float]
"""Seconds since the start, and the value."""


def state_of(
    alarm: Mapping[str, Any], points: Sequence[Point], *, now_seconds: float, before: str = OK
) -> str:
    """Return the state at `now_seconds`, looking back over the alarm's whole periods that end there."""
    period, count = float(alarm["Period"]), int(alarm["EvaluationPeriods"])
    breaching: list[bool | None] = []
    for age in range(count):
        end = now_seconds - age * period
        values = [value for at, value in points if end - period <= at < end]
        breaching.append(_breaches(alarm, values) if values else _missing(alarm))
    if None in breaching:
        return before
    return ALARM if all(breaching) else OK


def _breaches(alarm: Mapping[str, Any], values: Sequence[float]) -> bool:
    compare = COMPARISONS[alarm["ComparisonOperator"]]
    return bool(compare(STATISTICS[alarm["Statistic"]](values), float(alarm["Threshold"])))


def _missing(alarm: Mapping[str, Any]) -> bool | None:
    return {"breaching": True, "notBreaching": False, "ignore": None}[alarm["TreatMissingData"]]
