"""Lean puts: obstore's S3 client (Rust) for the one call that is made for every document, twice.

Imports obstore, botocore's errors and clients. A put costs a quarter millisecond of CPU here where boto3's
costs two (docs/PERFORMANCE.md); it is sent once, with the same conditions, checksum, metadata and encryption.
Where and as whom is learnt from boto3: the address and the region from a put that it sent, the credentials
from its chain. Invariant: what went wrong is told as botocore tells it, so one table of errors decides.
"""

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from botocore.exceptions import ClientError, HTTPClientError, NoCredentialsError

from kbsync.aws.clients import CONNECT_SECONDS, READ_SECONDS, Clients

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from obstore.store import S3Store

_BEFORE_SEND = "before-send.s3.PutObject"
_REGION = re.compile(r"Credential=[^/]+/\d+/([^/]+)/")
_STATUS = re.compile(r"status code: (\d{3})\b")
_CODE = re.compile(r"<Code>([\w.]{1,100})</Code>")
_ASKED_AGAIN = timedelta(minutes=10)
"""How long credentials count as good; obstore asks again five minutes before, and boto3 renews its own."""
_OWN_TRUST = ("AWS_CA_BUNDLE",)


@dataclass(frozen=True, slots=True)
class Place:
    """Where boto3 sent an object: the address without the key, and the region it signed for."""

    base: str
    region: str


class LeanPuts:
    """Puts of one bucket; ready once boto3 has sent one, unless the environment asks for boto3 alone."""

    def __init__(self, clients: Clients, bucket: str, *, kms_key_id: str = "") -> None:
        self._clients = clients
        self._bucket = bucket
        self._kms_key_id = kms_key_id
        self._making = threading.Lock()
        self._store: S3Store | None = None
        self._place: Place | None = None
        clients.s3_once.meta.events.register(_BEFORE_SEND, self._learn_place)

    @property
    def are_ready(self) -> bool:
        """Whether puts may go this way: not where boto3 was given certificates of its own to trust."""
        return self._place is not None and not any(os.environ.get(each) for each in _OWN_TRUST)

    def put(
        self, key: str, content: bytes, *, content_type: str, metadata: Mapping[str, str], if_etag: str
    ) -> str:
        """Store one object where the condition holds, checked by its SHA-256 on arrival; returns its ETag.

        Raises:
            ClientError, BotoCoreError: as boto3's `put_object` would have it; sent once in any case.
        """
        store = self._opened()
        try:
            reply = store.put(
                key,
                content,
                attributes={"Content-Type": content_type, **metadata},
                mode={"e_tag": f'"{if_etag}"'} if if_etag else "create",
                use_multipart=False,
            )
        except Exception as error:  # noqa: BLE001 - obstore's classes share no base, and none says enough
            raise _as_botocore_says(error) from None  # its text holds the whole answer, and the key
        return (reply["e_tag"] or "").strip('"')

    def _opened(self) -> "S3Store":
        with self._making:
            if self._store is None:
                self._store = self._open()
            return self._store

    def _open(self) -> "S3Store":
        from obstore.store import S3Store  # noqa: PLC0415 - 30 ms, only where objects are put

        assert self._place is not None  # noqa: S101 - `are_ready` was asked
        address = urlsplit(self._place.base)
        encryption: dict[str, Any] = {}  # options are obstore's, by name
        if self._kms_key_id:
            encryption = {
                "server_side_encryption": "aws:kms",
                "sse_kms_key_id": self._kms_key_id,
                "sse_bucket_key_enabled": True,
            }
        return S3Store(
            self._bucket,
            endpoint=f"{address.scheme}://{address.netloc}",
            virtual_hosted_style_request=not address.path,
            region=self._place.region,
            checksum_algorithm="SHA256",
            conditional_put="etag",
            credential_provider=self._credentials,
            client_options={
                "allow_http": address.scheme == "http",
                "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                "timeout": timedelta(seconds=CONNECT_SECONDS + READ_SECONDS),
                "user_agent": "kbsync",
            },
            retry_config={"max_retries": 0},
            **encryption,
        )

    def _learn_place(self, request: "AWSPreparedRequest", **_: object) -> None:
        """Remember where boto3 sends a put: its rules for endpoints are many, and are not to be repeated."""
        address = urlsplit(str(request.url))
        signed: str | bytes = request.headers.get("Authorization", "")
        region = _REGION.search(signed.decode() if isinstance(signed, bytes) else signed)
        folder = f"/{quote(self._bucket)}"
        style = folder if address.path.startswith(f"{folder}/") else ""
        if region is not None:
            self._place = Place(f"{address.scheme}://{address.netloc}{style}", region[1])

    def _credentials(self) -> Any:  # obstore's S3Credential, a dictionary
        found = self._clients.credentials
        if found is None:
            raise NoCredentialsError
        frozen = found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _ASKED_AGAIN,
        }


def _as_botocore_says(error: Exception) -> Exception:
    """Return botocore's error for one of obstore's: status and code are in its text, from S3's own answer.

    Source: obstore 0.12.1 over object_store 0.14.2, looked at with every kind of answer that S3 documents.
    """
    text = str(error)
    status = _STATUS.search(text)
    if status is None:
        if type(error).__name__ == "UnauthenticatedError":
            return NoCredentialsError()
        return HTTPClientError(error=type(error).__name__)
    code = _CODE.search(text, status.end())
    return ClientError(
        {
            "Error": {"Code": code[1] if code else status[1], "Message": ""},
            "ResponseMetadata": {
                "HTTPStatusCode": int(status[1]),
                "RequestId": "",
                "HostId": "",
                "HTTPHeaders": {},
                "RetryAttempts": 0,
            },
        },
        "PutObject",
    )
