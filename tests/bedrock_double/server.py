"""The double behind HTTP on loopback: it checks every request and every answer against the service model."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from bedrock_double.double import Double
from bedrock_double.errors import ServiceError
from bedrock_double.service_model import Call, as_json, call_of, problems, routes

POLL_SECONDS = 0.01


class Server(ThreadingHTTPServer):
    """Serves one double at a time; `violations` are answers of ours that the service model forbids."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        routes()
        super().__init__(("127.0.0.1", port), _Handler)
        self.double: Double | None = None
        self.violations: list[str] = []
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        """The URL for boto3's endpoint settings."""
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, call: Call) -> tuple[int, dict[str, Any]]:
        """Return status and body of a valid call."""
        with self.lock:
            if self.double is None:
                raise ServiceError("ResourceNotFoundException", "there is no knowledge base yet")
            reply = self.double.answer(call.operation.name, call.params)
            unknown = self.double.switches.unknown_status
        if call.operation.output_shape is not None and not unknown:
            self.violations += problems(call.operation.output_shape, reply, but=frozenset({"S3BucketUri"}))
        return int(call.operation.http.get("responseCode", 200)), cast("dict[str, Any]", as_json(reply))

    def loses_reply(self) -> bool:
        """Whether the answer at hand never arrives."""
        with self.lock:
            return self.double is not None and self.double.switches.take("lost_replies")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one segment for head and body: no delayed acknowledgement between them
    disable_nagle_algorithm = True
    server: Server

    def _answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            call = self._call(content)
            status, reply = self.server.answer(call)
            error_type = ""
        except ServiceError as error:
            status, reply, error_type = error.status, {"message": str(error)}, error.code
        if self.server.loses_reply():
            self.close_connection = True
            return
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if error_type:
            self.send_header("x-amzn-ErrorType", error_type)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _call(self, content: bytes) -> Call:
        try:
            given = json.loads(content or b"{}")
        except ValueError as error:
            raise ServiceError("ValidationException", "the body is not JSON") from error
        call = call_of(self.command, self.path.partition("?")[0], given)
        if call is None:
            raise ServiceError("ResourceNotFoundException", f"no operation is {self.command} {self.path}")
        found = problems(call.operation.input_shape, call.params) if call.operation.input_shape else []
        if found:
            raise ServiceError("ValidationException", "; ".join(found)[:500])
        return call

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the standard library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing: the tests look at `calls`."""


@contextmanager
def running_server(port: int = 0) -> Iterator[Server]:
    """Serve from a thread of this process until the block ends."""
    server = Server(port)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
