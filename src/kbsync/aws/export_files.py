"""A DynamoDB export in S3: its manifest, and its files as streams. Imports the clients and errors.

Invariant: a file is never in memory whole, and a failure of the network while reading is a retriable error.
"""

import io
from typing import TYPE_CHECKING, BinaryIO, cast

from kbsync.aws.aws_errors import translated_aws_errors
from kbsync.aws.clients import Clients

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from typing_extensions import Buffer

_READ_BYTES = 1 << 20


class ExportFiles:
    """The objects of one bucket, read only."""

    def __init__(self, clients: Clients, bucket: str) -> None:
        self._clients = clients
        self._bucket = bucket

    def content(self, key: str) -> bytes:
        """Return a small object whole."""
        with self.open(key) as stream:
            return stream.read()

    def open(self, key: str) -> BinaryIO:
        """Return an object as a stream.

        Raises:
            UnavailableError (retriable): no answer, or the connection was lost while reading.
            AccessDeniedError (fatal): a permission is missing.
        """
        with translated_aws_errors(f"bucket {self._bucket}"):
            body = self._clients.s3.get_object(Bucket=self._bucket, Key=key)["Body"]
        return cast("BinaryIO", _Object(body, self._bucket))


class _Object(io.RawIOBase):
    """A body whose errors are ours."""

    def __init__(self, body: "StreamingBody", bucket: str) -> None:
        super().__init__()
        self._body = body
        self._bucket = bucket

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        view = memoryview(buffer)
        with translated_aws_errors(f"bucket {self._bucket}"):
            chunk = self._body.read(min(len(view), _READ_BYTES))
        view[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._body.close()
        super().close()
