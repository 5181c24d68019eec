"""Botocore's own service models from the server's side: routes, and what is valid to ask and to answer."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import unquote

import botocore.session
from botocore.model import OperationModel, Shape, StringShape
from botocore.validate import ParamValidator

SERVICES = ("bedrock-agent", "bedrock-agent-runtime")
_LABEL = re.compile(r"\{(\w+)\+?\}")


@dataclass(frozen=True)
class Call:
    """One request as the service model understands it."""

    operation: OperationModel
    params: dict[str, Any]  # any JSON that the caller sent


@dataclass(frozen=True)
class _Route:
    method: str
    path: re.Pattern[str]
    operation: OperationModel


@cache
def routes() -> tuple[_Route, ...]:
    """Return every operation's method and path; reading the models takes a second, once."""
    session = botocore.session.get_session()
    found = []
    for service in SERVICES:
        model = session.get_service_model(service)
        for name in model.operation_names:
            operation = model.operation_model(name)
            template = str(operation.http["requestUri"]).rstrip("/")
            pattern = _LABEL.sub(r"(?P<\1>[^/]+)", template)
            found.append(_Route(str(operation.http["method"]), re.compile(pattern), operation))
    return tuple(found)


def call_of(method: str, path: str, body: Mapping[str, Any]) -> Call | None:
    """Return the operation that this request means, with its parameters, or None."""
    for route in routes():
        match = route.path.fullmatch(path.rstrip("/"))
        if match and route.method == method:
            labels = {name: unquote(value) for name, value in match.groupdict().items()}
            return Call(route.operation, {**body, **labels})
    return None


def problems(shape: Shape, value: Mapping[str, Any], *, but: frozenset[str] = frozenset()) -> list[str]:
    """Return what the model forbids: botocore's own check, then lengths, patterns and enumerations.

    Shapes named in `but` may have any text: what is asked of us strictly, we do not promise to answer with.
    """
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        return [report.generate_report()]
    return list(_bounds(shape, value, shape.name, but))


def _bounds(shape: Any, value: Any, path: str, but: frozenset[str]) -> Iterator[str]:
    """Check what botocore's validator leaves to the service; both are any JSON."""
    if getattr(shape, "is_document_type", False) or shape.name in but:
        return
    if isinstance(value, str | list | int) and not isinstance(value, bool):
        size = value if isinstance(value, int) else len(value)
        most = shape.metadata.get("max")
        if most is not None and size > most:
            yield f"{path}: {size} is more than {most}"
    if isinstance(shape, StringShape) and isinstance(value, str):
        yield from _text(shape, value, path)
    elif shape.type_name == "structure":
        for name, member in value.items():
            yield from _bounds(shape.members[name], member, f"{path}.{name}", but)
    elif shape.type_name == "list":
        for each in value:
            yield from _bounds(shape.member, each, f"{path}[]", but)


def _text(shape: StringShape, value: str, path: str) -> Iterator[str]:
    if shape.enum and value not in shape.enum:
        yield f"{path}: {value} is none of {', '.join(shape.enum)}"
    pattern = shape.metadata.get("pattern")
    if pattern and "\\P" not in pattern and not re.fullmatch(pattern, value):
        yield f"{path}: does not match {pattern}"


def as_json(value: object) -> object:
    """Return a response as it goes over the wire: times as ISO 8601 with microseconds."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {name: as_json(member) for name, member in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [as_json(member) for member in value]
    return value
