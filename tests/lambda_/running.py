"""Real handlers on an embedded home: the context that Lambda gives, and what a call writes and returns."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

DIMENSION = {"service": "kbsync"}


@dataclass
class Context:
    """Lambda's context, with the time that is left in milliseconds."""

    remaining_milliseconds: int = 900_000
    aws_request_id: str = "0b9ffb0c-7a16-4c6f-8d53-1e1c0d3b1a11"
    function_name: str = "incident-kb-batch-sync"
    memory_limit_in_mb: str = "1024"
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:000000000000:function:incident-kb-batch-sync"

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_milliseconds


@dataclass
class Call:
    """What became of one call: its answer or error, and the metrics it wrote in the embedded format."""

    answer: Any = None
    error: Exception | None = None
    metrics: dict[str, list[float]] = field(default_factory=dict)
    dimensions: dict[str, str] = field(default_factory=dict)
    namespace: str = ""

    @property
    def total(self) -> dict[str, float]:
        return {name: sum(values) for name, values in self.metrics.items()}


def call(
    handler: Callable[..., Any],
    event: Mapping[str, Any],
    capsys: pytest.CaptureFixture[str],
    context: Context | None = None,
) -> Call:
    """Call a handler as Lambda does and read the EMF lines it printed."""
    done = Call()
    capsys.readouterr()
    try:
        done.answer = handler(event, context or Context())
    except Exception as error:  # noqa: BLE001 - the test looks at it
        done.error = error
    for line in capsys.readouterr().out.splitlines():
        read_emf(json.loads(line), done)
    return done


def read_emf(line: Mapping[str, Any], into: Call) -> None:
    """Add one line's metrics. Source: CloudWatch, "Embedded metric format specification"."""
    for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
        into.namespace = directive["Namespace"]
        (names,) = directive["Dimensions"]
        into.dimensions = {name: line[name] for name in names}
        for metric in directive["Metrics"]:
            value = line[metric["Name"]]
            values = value if isinstance(value, list) else [value]
            into.metrics.setdefault(metric["Name"], []).extend(values)
