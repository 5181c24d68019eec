"""Faults: an engine whose n-th effect fails, before or after it took place, or kills the run there."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

from kbsync.engine import Engine
from kbsync.ports import DocumentStore, IncidentStore, KnowledgeBase, Ledger

EFFECTS = {
    "incidents": {"write_sync_statuses", "change"},
    "ledger": {
        "acquire_lease",
        "renew_lease",
        "release_lease",
        "mark",
        "save",
        "drop",
        "write_value",
        "save_run",
    },
    "documents": {"put", "delete", "remove_version", "forget"},
    "knowledge_base": {"start_job", "job"},
}


class KilledError(BaseException):
    """The process is gone: nothing in it, not even a `finally`, has any effect from here on."""


@dataclass
class Faults:
    """Counts effects and decides at each what happens; `log` names them in order."""

    at: int = 0
    before: Callable[[], BaseException] | None = None
    after: Callable[[], BaseException] | None = None
    seen: int = 0
    dead: bool = False
    log: list[str] = field(default_factory=list)
    counting: threading.Lock = field(default_factory=threading.Lock)

    def around(self, name: str, effect: Callable[[], object]) -> object:
        if self.dead:
            raise KilledError
        with self.counting:  # effects may come from several threads at once
            self.seen += 1
            self.log.append(name)
            hit = self.seen == self.at
        if hit and self.before:
            self._raise(self.before())
        result = effect()
        if hit and self.after:
            self._raise(self.after())
        return result

    def _raise(self, error: BaseException) -> None:
        self.dead = isinstance(error, KilledError)
        raise error


class _Faulty:
    """One port with its effects under watch; reads of a dead process fail as well."""

    def __init__(self, port: object, name: str, faults: Faults) -> None:
        self._port, self._name, self._faults = port, name, faults

    def __getattr__(self, attribute: str) -> object:
        value = getattr(self._port, attribute)
        if not callable(value) or attribute not in EFFECTS[self._name]:
            return value

        def watched(*arguments: object, **named: object) -> object:
            return self._faults.around(f"{self._name}.{attribute}", lambda: value(*arguments, **named))

        return watched


def with_faults(engine: Engine, faults: Faults) -> Engine:
    """Return the engine with all its effects under watch."""
    return replace(
        engine,
        incidents=cast("IncidentStore", _Faulty(engine.incidents, "incidents", faults)),
        ledger=cast("Ledger", _Faulty(engine.ledger, "ledger", faults)),
        documents=cast("DocumentStore", _Faulty(engine.documents, "documents", faults)),
        knowledge_base=cast("KnowledgeBase", _Faulty(engine.knowledge_base, "knowledge_base", faults)),
    )
