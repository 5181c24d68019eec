"""Run records of AWS mode: two objects a run, outside what the knowledge base reads.

May import boto3 through clients, the document store for old versions, and errors.
"""

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from kbsync.aws.aws_errors import translated_aws_errors
from kbsync.aws.clients import Clients
from kbsync.aws.document_store import S3DocumentStore
from kbsync.aws.object_puts import encrypt
from kbsync.paging import each_of
from kbsync.run_page import record_json, record_page
from kbsync.run_report import RunReport
from kbsync.traces import Traces

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import PutObjectRequestTypeDef

_PAGE = 1_000


class S3RunRecords:
    """Implements ports.RunRecords: `<prefix><year>/<month>/<run id>.json` and `.html`."""

    def __init__(
        self, clients: Clients, bucket: str, prefix: str, *, language: str, kms_key_id: str = ""
    ) -> None:
        self._clients = clients
        self._bucket = bucket
        self._prefix = prefix
        self._language = language
        self._kms_key_id = kms_key_id

    def address(self, run: RunReport) -> str:
        """Return the page's S3 URI."""
        return f"s3://{self._bucket}/{self._key(run, 'html')}"

    def leave(self, run: RunReport) -> None:
        """Put both objects; a repeat replaces them.

        Raises:
            ThrottledError, UnavailableError (retriable): one may be missing.
            AccessDeniedError (fatal): `s3:PutObject` is missing under the prefix.
        """
        self._put(self._key(run, "json"), record_json(run), "application/json")
        self._put(self._key(run, "html"), record_page(run, self._language), "text/html; charset=utf-8")

    def forget(self, traces: Traces) -> None:
        """Remove every version of the records that name them; a repeat finds none.

        Raises:
            AccessDeniedError (fatal): `s3:ListBucketVersions`, `s3:GetObjectVersion` or
                `s3:DeleteObjectVersion` is missing.
        """
        store = S3DocumentStore(self._clients, self._bucket, "")
        listing = partial(store.versions, begins=self._prefix, limit=_PAGE)
        for version in each_of(listing):
            if version.is_marker:
                continue
            with suppress(KeyError):
                if traces.are_in(store.version(version).decode("utf-8", "replace")):
                    store.remove_version(version)

    def _key(self, run: RunReport, ending: str) -> str:
        return f"{self._prefix}{run.started_at:%Y/%m}/{run.run_id}.{ending}"

    def _put(self, key: str, content: bytes, content_type: str) -> None:
        request: PutObjectRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": key,
            "Body": content,
            "ContentType": content_type,
        }
        encrypt(request, self._kms_key_id)
        with translated_aws_errors(f"bucket {self._bucket}"):
            self._clients.s3.put_object(**request)
