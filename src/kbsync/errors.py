"""Every error of ours, sorted by its consequence. Imports nothing of ours.

```
KbSyncError
  FatalError               the run stops, exit 3
    ConfigInvalidError       settings are wrong; nothing was called
    AccessDeniedError        a permission is missing
    SchemaTooNewError        stored data was written by a newer kbsync
    LeaseLostError           another run took over; stop writing at once
    MissingExtraError        an optional part is not installed
  BusyError                another run holds the publisher lease; ends well, exit 0
  RetriableError           back off, same arguments; never an incident's fault
    ThrottledError           asked to slow down
    UnavailableError         no answer, or a lost one: the effect may have happened
    JobAlreadyRunningError   one ingestion job at a time: wait, then start ours
    OutageError              several refusals in a row: end this run early, nobody is to blame
  WriteConflictError       a conditional write did not hold; look again, then decide
  IncidentRejectedError    counts one attempt of this incident; the rest go on
    UnreadableIncidentError  the record cannot be read
    DocumentTooLargeError    the document is over the knowledge base's limit
    RedactionFailedError     redaction could not run: nothing may be published
  UsageError               the caller asked for something that cannot be, exit 2
    UnknownIncidentError     no such incident
```
"""


class KbSyncError(Exception):
    """Root of all errors of ours; `hint` is what a person can do about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class FatalError(KbSyncError):
    """The run cannot go on; it ends with exit code 3."""


class ConfigInvalidError(FatalError):
    """Settings are wrong; all problems are listed and nothing was called."""


class AccessDeniedError(FatalError):
    """A permission is missing; the hint names it."""


class SchemaTooNewError(FatalError):
    """Stored data was written by a newer kbsync; nothing was changed."""


class LeaseLostError(FatalError):
    """Another run took the publisher lease over; nothing more may be written."""


class MissingExtraError(FatalError):
    """An optional part is not installed; the hint is the command that installs it."""


class BusyError(KbSyncError):
    """Another run holds the publisher lease; this one ends well without working."""


class RetriableError(KbSyncError):
    """The same call may succeed later; it is never counted against an incident."""


class ThrottledError(RetriableError):
    """The service asked us to slow down; nothing was changed."""


class UnavailableError(RetriableError):
    """No answer came, or it was lost: the effect may or may not have happened."""


class JobAlreadyRunningError(RetriableError):
    """The knowledge base runs one ingestion job at a time and is busy with another."""


class OutageError(RetriableError):
    """A service refused several documents in a row; what was not reached stays in the queue."""


class WriteConflictError(KbSyncError):
    """A conditional write found something else than expected; nothing was changed."""


class IncidentRejectedError(KbSyncError):
    """This incident cannot be published as it is; counts one attempt."""


class UnreadableIncidentError(IncidentRejectedError):
    """The record cannot be read into an incident."""


class DocumentTooLargeError(IncidentRejectedError):
    """The rendered document is larger than the knowledge base accepts."""


class RedactionFailedError(IncidentRejectedError):
    """Redaction could not run, so nothing of this incident may be published."""


class UsageError(KbSyncError):
    """The caller asked for something that cannot be; nothing was changed."""


class UnknownIncidentError(UsageError):
    """There is no incident with this id."""
