"""What our own clients ask AWS for while a function works, told from what tests ask for by the user agent."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import botocore.client
import pytest

from policies.actions import Need, needs_of

OURS = "kbsync"
"""What aws/clients.py adds to the user agent."""


@dataclass
class Recorder:
    """The needs of each function; nothing is noted outside `working`."""

    needs: dict[str, set[Need]] = field(default_factory=dict)
    operations: dict[str, set[str]] = field(default_factory=dict)
    _function: str = ""

    @contextmanager
    def working(self, function: str) -> Iterator[None]:
        """Note what is called within the block as this function's."""
        self._function = function
        try:
            yield
        finally:
            self._function = ""

    def note(self, client: Any, operation: str, params: Mapping[str, Any]) -> None:
        if self._function and client.meta.config.user_agent_extra == OURS:
            self.needs.setdefault(self._function, set()).update(needs_of(operation, params))
            self.operations.setdefault(self._function, set()).add(operation)


@contextmanager
def recording() -> Iterator[Recorder]:
    """Listen to every client of boto3, whoever made it, until the block ends."""
    recorder = Recorder()
    make = botocore.client.BaseClient._make_api_call

    def listening(self: Any, operation: str, params: Mapping[str, Any]) -> Any:
        recorder.note(self, operation, params)
        return make(self, operation, params)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.client.BaseClient, "_make_api_call", listening)
        yield recorder
