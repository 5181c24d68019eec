"""Object puts: each by the lean client where it knows the way and S3's time, else by boto3, which tells both.

Imports botocore's replies, the lean client and clients. Invariant: the time of a put is S3's own, or at most
a moment late; none is earlier than that of the put before it.
"""

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from kbsync.aws.clients import Clients
from kbsync.aws.lean_puts import LeanPuts
from kbsync.aws.s3_time import S3Time

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import PutObjectRequestTypeDef, ResponseMetadataTypeDef


@dataclass(frozen=True, slots=True)
class Put:
    """One object as it is sent, by whichever client; an empty ETag means that none may stand there."""

    key: str
    content: bytes
    content_type: str
    metadata: dict[str, str]
    if_etag: str


class ObjectPuts:
    """Puts of one bucket, each sent once."""

    def __init__(
        self, clients: Clients, bucket: str, *, kms_key_id: str = "", lean: LeanPuts | None = None
    ) -> None:
        self._clients = clients
        self._bucket = bucket
        self._kms_key_id = kms_key_id
        self._lean = lean
        self._time = S3Time()

    def put(self, sent: Put) -> tuple[str, datetime | None]:
        """Store one object where its condition holds; returns its ETag and S3's time, if S3 told one.

        Raises:
            ClientError, BotoCoreError: as boto3's `put_object` has them.
        """
        if self._lean is not None and self._lean.are_ready and self._time.is_known:
            etag = self._lean.put(
                sent.key,
                sent.content,
                content_type=sent.content_type,
                metadata=sent.metadata,
                if_etag=sent.if_etag,
            )
            return etag, self._time.latest()
        return self._put_by_boto3(sent)

    def not_before_a_put(self, said: datetime | None) -> datetime | None:
        """Return what a reply said of the time, or what a put would be given now, if that is later."""
        return max(said, self._time.latest()) if said is not None and self._time.is_known else said

    def _put_by_boto3(self, sent: Put) -> tuple[str, datetime | None]:
        """Put by boto3, and learn what S3's clock says."""
        request: PutObjectRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": sent.key,
            "Body": sent.content,
            "ContentType": sent.content_type,
            "ChecksumAlgorithm": "SHA256",
            "Metadata": sent.metadata,
        }
        if sent.if_etag:
            request["IfMatch"] = f'"{sent.if_etag}"'
        else:
            request["IfNoneMatch"] = "*"
        encrypt(request, self._kms_key_id)
        asked_at = self._time.moment()
        reply = self._clients.s3_once.put_object(**request)
        said = date_of(reply["ResponseMetadata"])
        if said is not None:
            self._time.learn(said, asked_at)
        return reply["ETag"].strip('"'), said


def encrypt(request: "PutObjectRequestTypeDef", kms_key_id: str) -> None:
    """Ask for this key, one for the whole bucket's data keys; an empty one leaves the bucket's default."""
    if kms_key_id:
        request["ServerSideEncryption"] = "aws:kms"
        request["SSEKMSKeyId"] = kms_key_id
        request["BucketKeyEnabled"] = True


def date_of(reply: "ResponseMetadataTypeDef") -> datetime | None:
    """Return S3's clock as its reply has it, or None where a gateway took the header away."""
    said = reply["HTTPHeaders"].get("date", "")
    return parsedate_to_datetime(said) if said else None
