"""Pages with opaque tokens, as the service's listings have them."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from bedrock_double.errors import ServiceError

T = TypeVar("T")
Params = Mapping[str, Any]  # any JSON that the service model has found valid
Reply = dict[str, Any]


def page_of(items: Sequence[T], params: Params, *, default: int) -> tuple[Sequence[T], dict[str, str]]:
    """Return one page and the token of the next; a foreign token is refused."""
    start, size = 0, int(params.get("maxResults", default))
    if "nextToken" in params:
        try:
            start = int(base64.b64decode(params["nextToken"], validate=True))
        except ValueError as error:
            raise ServiceError("ValidationException", "The provided token is not valid") from error
    end = start + size
    more = {"nextToken": base64.b64encode(str(end).encode()).decode()} if end < len(items) else {}
    return items[start:end], more
