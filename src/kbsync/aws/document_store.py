"""DocumentStore of AWS mode: documents and sidecars as objects of one S3 bucket.

May import boto3 through clients, the model and ports. Invariant: every put and delete is conditional on an
ETag and is sent once; what became of a lost reply is told by `head`, never guessed.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from botocore.exceptions import ClientError

from kbsync.aws.aws_errors import code_of, status_of, translated_aws_errors
from kbsync.aws.clients import Clients
from kbsync.aws.lean_puts import LeanPuts
from kbsync.aws.object_puts import ObjectPuts, Put, date_of
from kbsync.errors import AccessDeniedError, UnavailableError, WriteConflictError
from kbsync.model import Clock, ObjectHead, PutReply
from kbsync.ports import ObjectVersion, Page

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import (
        HeadObjectOutputTypeDef,
        ListObjectVersionsRequestTypeDef,
        ResponseMetadataTypeDef,
    )

CLOCK_ALLOWANCE = timedelta(seconds=5)
"""S3's clock is read from whole seconds, and Bedrock's need not agree with it (DESIGN.md, section 5)."""

_MOST_KEYS_A_PAGE = 1_000
_MOST_ID_CHARACTERS = 1_024
"""Source: S3 User Guide, "Working with object metadata": 2 KB of user metadata in all."""
_ID_CHARACTERS_KEPT = "!$&'()*+,/:;=?@"
_CONTENT_TYPES = {"md": "text/markdown; charset=utf-8", "json": "application/json"}
_OTHER_CONTENT_TYPE = "application/octet-stream"
_CONFLICTS = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "OperationAborted"})
"""412; 409, where another write of this key was under way; 404, where the object went meanwhile.

Source: S3 User Guide, "Conditional writes". None of them changed anything, so HEAD decides what stands.
"""

_PASSING = frozenset({"BadDigest", "RequestTimeout", "XAmzContentChecksumMismatch"})
"""The line's faults, which S3 answers with 400. Source: S3 API Reference, "Error responses"."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class S3DocumentStore:
    """Implements ports.DocumentStore; times are S3's own plus an allowance for clocks that disagree."""

    late_effects = True

    def __init__(
        self,
        clients: Clients,
        bucket: str,
        prefix: str,
        *,
        kms_key_id: str = "",
        lean: LeanPuts | None = None,
        now: Clock = _utc_now,
    ) -> None:
        self._clients = clients
        self._bucket = bucket
        self._prefix = prefix
        self._puts = ObjectPuts(clients, bucket, kms_key_id=kms_key_id, lean=lean)
        self._now = now

    def put(self, key: str, content: bytes, *, fingerprint: str, incident_id: str, if_etag: str) -> PutReply:
        """Store one object where the condition holds, checked by its SHA-256 on arrival; sent once.

        Raises:
            WriteConflictError: the condition does not hold, or another write raced; nothing was changed.
            ThrottledError (retriable): nothing was changed.
            UnavailableError (retriable): the object may have been stored; `head` tells.
            AccessDeniedError, ConfigInvalidError (fatal): the hint names what to grant or to correct.
        """
        sent = Put(
            self._checked(key),
            content,
            _CONTENT_TYPES.get(key.rpartition(".")[2], _OTHER_CONTENT_TYPE),
            self._metadata(fingerprint, incident_id),
            if_etag,
        )
        with translated_aws_errors(self._subject):
            try:
                etag, at = self._puts.put(sent)
            except ClientError as error:
                self._raise_if_passing(error)
                if code_of(error) not in _CONFLICTS:
                    raise
                raise _conflict(key) from error
        return PutReply(etag, (at or self._now()) + CLOCK_ALLOWANCE)

    def delete(self, key: str, *, if_etag: str) -> datetime | None:
        """Delete the object with this ETag; returns S3's time, None where it was already absent; sent once.

        In a bucket with versioning the older versions stay until the bucket's lifecycle rule ends them.

        Raises:
            WriteConflictError: another object stands there; it was not deleted.
            UnavailableError (retriable): the object may have been deleted; repeat it.
        """
        with translated_aws_errors(self._subject):
            try:
                reply = self._clients.s3_once.delete_object(
                    Bucket=self._bucket, Key=self._checked(key), IfMatch=f'"{if_etag}"'
                )
            except ClientError as error:
                self._raise_if_passing(error)
                if code_of(error) not in _CONFLICTS:
                    raise
                if self.head(key) is None:
                    return None
                raise _conflict(key) from error
        return self._time_of(reply["ResponseMetadata"])

    def head(self, key: str) -> ObjectHead | None:
        """Return what is stored under a key, or None; S3 answers with what was written last."""
        with translated_aws_errors(self._subject):
            try:
                found = self._clients.s3.head_object(Bucket=self._bucket, Key=self._checked(key))
            except ClientError as error:
                # A HEAD has no body, so the status stands where the code should be.
                if status_of(error) == 404:  # noqa: PLR2004 - not found
                    return None
                if status_of(error) == 403:  # noqa: PLR2004 - forbidden
                    raise AccessDeniedError(
                        f"{self._subject}: HeadObject was refused",
                        hint="allow s3:GetObject on the objects and s3:ListBucket on the bucket",
                    ) from error
                raise
        return self._head_of(key, found)

    def get(self, key: str) -> bytes:
        """Return an object's bytes; raise KeyError where there is none."""
        with translated_aws_errors(self._subject):
            try:
                found = self._clients.s3.get_object(Bucket=self._bucket, Key=self._checked(key))
            except ClientError as error:
                if code_of(error) == "NoSuchKey":
                    raise KeyError(key) from None
                raise
            return found["Body"].read()

    def list(self, *, begins: str, cursor: str, limit: int) -> Page[ObjectHead]:
        """Return one page of the objects whose keys begin so, by key; a listing tells no fingerprints."""
        with translated_aws_errors(self._subject):
            page = self._clients.s3.list_objects_v2(
                Bucket=self._bucket,
                Prefix=self._under_prefix(begins),
                StartAfter=cursor,
                MaxKeys=min(limit, _MOST_KEYS_A_PAGE),
            )
        heads = tuple(
            ObjectHead(each["Key"], _bare(each["ETag"]), each["Size"], each["LastModified"] + CLOCK_ALLOWANCE)
            for each in page.get("Contents", ())
        )
        return Page(heads, heads[-1].key if heads and page["IsTruncated"] else "")

    def versions(self, *, begins: str, cursor: str, limit: int) -> Page[ObjectVersion]:
        """Return one page of all versions and delete markers of the objects whose keys begin so.

        In a bucket without versioning each object is its one version, called `null`.
        """
        request: ListObjectVersionsRequestTypeDef = {
            "Bucket": self._bucket,
            "Prefix": self._under_prefix(begins),
            "MaxKeys": min(limit, _MOST_KEYS_A_PAGE),
        }
        if cursor:
            request["KeyMarker"], request["VersionIdMarker"] = json.loads(cursor)
        with translated_aws_errors(self._subject):
            page = self._clients.s3.list_object_versions(**request)
        found = [ObjectVersion(each["Key"], each["VersionId"]) for each in page.get("Versions", ())]
        found += [
            ObjectVersion(each["Key"], each["VersionId"], is_marker=True)
            for each in page.get("DeleteMarkers", ())
        ]
        if not page["IsTruncated"]:
            return Page(tuple(found))
        return Page(tuple(found), json.dumps([page["NextKeyMarker"], page["NextVersionIdMarker"]]))

    def version(self, version: ObjectVersion) -> bytes:
        """Return the bytes of one version that is no marker; raise KeyError where it is gone."""
        with translated_aws_errors(self._subject):
            try:
                found = self._clients.s3.get_object(
                    Bucket=self._bucket, Key=self._checked(version.key), VersionId=version.version_id
                )
            except ClientError as error:
                if code_of(error) in ("NoSuchKey", "NoSuchVersion"):
                    raise KeyError(version.key) from None
                raise
            return found["Body"].read()

    def remove_version(self, version: ObjectVersion) -> None:
        """Remove one version or marker for good; an absent one is what is wanted.

        Raises:
            AccessDeniedError: `s3:DeleteObjectVersion` is missing, or Object Lock keeps the version.
        """
        with translated_aws_errors(self._subject):
            self._clients.s3.delete_object(
                Bucket=self._bucket, Key=self._checked(version.key), VersionId=version.version_id
            )

    @property
    def _subject(self) -> str:
        return f"bucket {self._bucket}"

    def _raise_if_passing(self, error: ClientError) -> None:
        if code_of(error) in _PASSING:
            raise UnavailableError(
                f"{self._subject}: {error.operation_name} answered {code_of(error)}", hint="try again"
            ) from error

    def _under_prefix(self, begins: str) -> str:
        return f"{self._prefix}{begins.removeprefix(self._prefix)}"

    def _checked(self, key: str) -> str:
        if not key.startswith(self._prefix):
            raise ValueError("a document key begins with the store's prefix")
        return key

    def _metadata(self, fingerprint: str, incident_id: str) -> dict[str, str]:
        """Return the original's four keys and our fingerprint, in ASCII as boto3 demands.

        An id too long for S3's 2 KB is left out; the sidecar has it whole.
        Source: ORIGINAL_DESIGN.md, PutObject; CASES.md O-20.
        """
        metadata = {
            "synced-at": self._now().astimezone(UTC).isoformat(timespec="milliseconds"),
            "source": "batch-sync",
            "status": "closed",
            "fingerprint": fingerprint,
        }
        encoded = quote(incident_id, safe=_ID_CHARACTERS_KEPT, errors="replace")
        if len(encoded) <= _MOST_ID_CHARACTERS:
            metadata["incident-id"] = encoded
        return metadata

    def _time_of(self, reply: "ResponseMetadataTypeDef") -> datetime:
        """Return S3's clock at the reply plus the allowance; ours where a gateway took the header away."""
        return (self._puts.not_before_a_put(date_of(reply)) or self._now()) + CLOCK_ALLOWANCE

    @staticmethod
    def _head_of(key: str, found: "HeadObjectOutputTypeDef") -> ObjectHead:
        return ObjectHead(
            key,
            _bare(found["ETag"]),
            found["ContentLength"],
            found["LastModified"] + CLOCK_ALLOWANCE,
            found["Metadata"].get("fingerprint", ""),
        )


def _bare(etag: str) -> str:
    return etag.strip('"')


def _conflict(key: str) -> WriteConflictError:
    return WriteConflictError(f"{key} is not what it was when it was last seen")
