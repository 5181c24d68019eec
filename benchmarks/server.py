"""The server: S3, DynamoDB and Bedrock on one port of loopback, each answer so many milliseconds late.

    python -m benchmarks.server PORT DELAY_SECONDS

One thread and no framework, so that it takes a small part of a core and measures the client. `/_prepare`
fills the tables, `/_counts` tells what was asked since, `/_state` what came of it.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from benchmarks.prepared import prepare
from benchmarks.services import FINGERPRINT, Base, Bucket
from benchmarks.tables import RefusedError, Tables

_XML = "<Error><Code>{}</Code><Message>{}</Message></Error>"


class Canned:
    """All that is stored and counted."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.bucket = Bucket()
        self.base = Base(self.bucket)
        self.counts: Counter[str] = Counter()

    def prepare(self, asked: Mapping[str, Any]) -> None:
        """Store so many incidents, anew or beside what is there."""
        if not asked.get("keep"):
            self.__init__()  # type: ignore[misc] # everything is to be as at the start
        self.bucket.is_strict = asked.get("strict", True)
        prepare(self.tables, asked)

    def told(self) -> dict[str, Any]:
        """Return and forget the counts."""
        told = {
            "requests": dict(self.counts),
            "units": dict(self.tables.units),
            "queries": dict(self.tables.queries),
            "objects": len(self.bucket.etags),
        }
        self.counts.clear()
        self.tables.units.clear()
        self.tables.queries.clear()
        return told

    def answer(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Return status, body and what the headers say of an object."""
        target = headers.get("x-amz-target", "")
        try:
            if path.startswith("/_"):
                return 200, self._told(path, content), {}
            if target:
                operation = target.rsplit(".", 1)[-1]
                self.counts[operation] += 1
                return 200, _json(self.tables.call(operation, json.loads(content))), {}
            if path.startswith("/knowledgebases/"):
                self.counts["Bedrock"] += 1
                return 202, _json(self.base.call(method, path, json.loads(content or b"{}"))), {}
            self.counts[f"S3 {method}"] += 1
            return self._object(method, path.removeprefix("/documents/").partition("?")[0], headers, content)
        except RefusedError as error:
            self.counts[f"refused {error.code}"] += 1
            if target or path.startswith("/knowledgebases/"):
                return error.status, _json({"__type": error.code, "message": ""}), {}
            return error.status, _XML.format(error.code, "").encode(), {}

    def _told(self, path: str, content: bytes) -> bytes:
        if path == "/_state":
            return _json({**self.tables.state(), "objects": len(self.bucket.etags)})
        if path == "/_prepare":
            self.prepare(json.loads(content))
        return _json(self.told() if path == "/_counts" else {})

    def _object(
        self, method: str, key: str, headers: Mapping[str, str], content: bytes
    ) -> tuple[int, bytes, Mapping[str, str]]:
        if method == "PUT":
            return 200, b"", _dated(self.bucket.put(key, headers, content))
        if method == "DELETE":
            self.bucket.delete(key, headers)
            return 204, b"", {}
        etag = self.bucket.etags.get(key)
        if etag is None:
            return 404, b"", {}
        return 200, b"", {**_dated(etag), FINGERPRINT: self.bucket.fingerprints[key]}


def _dated(etag: str) -> dict[str, str]:
    return {"ETag": f'"{etag}"', "Last-Modified": formatdate(usegmt=True)}


def _json(answer: Mapping[str, Any]) -> bytes:
    return json.dumps(answer).encode()


class Connection(asyncio.Protocol):
    """One connection: requests one after another, each answered after the delay."""

    def __init__(self, canned: Canned, delay_seconds: float) -> None:
        self._canned = canned
        self._delay_seconds = delay_seconds
        self._buffer = b""
        self._continued = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = transport  # type: ignore[assignment] # of a stream it is a Transport

    def data_received(self, data: bytes) -> None:
        """Collect bytes until a request is whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
            named = (line.split(":", 1) for line in lines)
            headers = {name.lower(): value.strip() for name, value in named}
            size = int(headers.get("content-length", 0))
            if len(self._buffer) < end + 4 + size:
                if headers.get("expect") == "100-continue" and not self._continued:
                    self._continued = True
                    self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            content = self._buffer[end + 4 : end + 4 + size]
            self._buffer, self._continued = self._buffer[end + 4 + size :], False
            method, path, _ = first.split(" ")
            self._reply(path, *self._canned.answer(method, path, headers, content))

    def _reply(self, path: str, status: int, body: bytes, more: Mapping[str, str]) -> None:
        head = f"HTTP/1.1 {status} -\r\nDate: {formatdate(usegmt=True)}\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in more.items())
        reply = f"{head}Content-Type: application/json\r\n\r\n".encode() + body
        delay_seconds = 0.0 if path.startswith("/_") else self._delay_seconds
        asyncio.get_running_loop().call_later(delay_seconds, self._write, reply)

    def _write(self, reply: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(reply)


async def serve(port: int, delay_seconds: float) -> None:
    """Serve until the process ends; says `ready` when it listens."""
    canned, loop = Canned(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(canned, delay_seconds), "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
