"""Operating system errors of the local adapters, translated by their consequence. Imports errors only."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from kbsync.errors import AccessDeniedError, UnavailableError

_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@contextmanager
def translated_os_errors(subject: str) -> Iterator[None]:
    """Raise our errors for those of the block; the cause keeps its errno.

    Raises:
        AccessDeniedError (fatal): no permission, or a read-only disk.
        UnavailableError (retriable): anything else, a full disk for one; the effect may have happened.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _DENIED:
            raise AccessDeniedError(
                f"{subject}: {error.strerror}", hint="give kbsync write access to the folder"
            ) from error
        raise UnavailableError(f"{subject}: {error.strerror}", hint="check the disk") from error
