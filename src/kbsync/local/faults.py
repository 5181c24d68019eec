"""What may go wrong with a knowledge base, switched on by hand for tests and drills; all off by default."""

import json
from collections import Counter
from dataclasses import dataclass, fields
from typing import Any

from kbsync.errors import ConfigInvalidError, JobAlreadyRunningError, ThrottledError, UnavailableError


@dataclass(frozen=True, slots=True)
class LocalFaults:
    """Faults of the embedded knowledge base; numbers say how many times each happens, per process."""

    fail_keys: tuple[str, ...] = ()
    """Documents whose key contains one of these end FAILED."""
    ignore_keys: tuple[str, ...] = ()
    """Documents whose key contains one of these are left out of the listing without a word."""
    job_fails: int = 0
    """The next jobs end FAILED and index nothing."""
    conflict: int = 0
    """Starting a job fails as if somebody else's were running."""
    delay_polls: int = 0
    """A job stands still for so many looks at it."""
    statistics_missing: bool = False
    """Jobs come without statistics."""
    zero_scan: bool = False
    """Jobs end COMPLETE without having looked at a document."""
    unavailable: int = 0
    """The next calls fail without an answer."""
    throttle: int = 0
    """The next calls are asked to slow down."""

    @classmethod
    def from_json(cls, text: str) -> "LocalFaults":
        """Return the faults of a JSON object with these names; an empty text is none.

        Raises:
            ConfigInvalidError (fatal): it is not such an object; the message names what is wrong.
        """
        try:
            given = json.loads(text or "{}")
        except ValueError as error:
            raise ConfigInvalidError(f"the faults are not JSON: {error}") from error
        if not isinstance(given, dict):
            raise ConfigInvalidError("the faults are not a JSON object")
        known = {each.name: each.default for each in fields(cls)}
        values: dict[str, Any] = {}  # each of its field's type, as checked below
        for name, value in given.items():
            default = known.get(name)
            if default is None or type(value) is not (list if isinstance(default, tuple) else type(default)):
                raise ConfigInvalidError(
                    f"fault {name}={value!r} is unknown or of the wrong type",
                    hint=f"one of {', '.join(known)}",
                )
            values[name] = tuple(map(str, value)) if isinstance(value, list) else value
        return cls(**values)


class FaultCounter:
    """Counts down the faults of one knowledge base object; a new object starts anew."""

    def __init__(self, faults: LocalFaults) -> None:
        self.faults = faults
        self._left = Counter(
            {name: getattr(faults, name) for name in ("job_fails", "conflict", "unavailable", "throttle")}
        )
        self._polls_of: Counter[str] = Counter()

    def fail_call(self) -> None:
        """Raise what the next call is to meet, if anything."""
        if self._take("unavailable"):
            raise UnavailableError("the knowledge base did not answer")
        if self._take("throttle"):
            raise ThrottledError("the knowledge base asks to slow down")

    def fail_start(self) -> None:
        """Raise as if a foreign job were running, if that is to happen."""
        if self._take("conflict"):
            raise JobAlreadyRunningError("another ingestion job of this knowledge base is running")

    def fails_job(self) -> bool:
        """Whether the job about to do its work is to end FAILED."""
        return self._take("job_fails")

    def delays(self, job_id: str) -> bool:
        """Whether this look at the job finds it standing still."""
        if not self.faults.delay_polls:
            return False
        self._polls_of[job_id] += 1
        return self._polls_of[job_id] <= self.faults.delay_polls

    def fails_document(self, key: str) -> bool:
        """Whether this document is to end FAILED."""
        return any(part in key for part in self.faults.fail_keys)

    def ignores_document(self, key: str) -> bool:
        """Whether this document is to be left out silently."""
        return any(part in key for part in self.faults.ignore_keys)

    def _take(self, name: str) -> bool:
        if self._left[name] <= 0:
            return False
        self._left[name] -= 1
        return True
