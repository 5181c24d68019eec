"""Lambda's Runtime API on loopback, and the runtime's own client (awslambdaric) with a handler under it.

Source: AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes".
"""

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 30.0
FUNCTION_SECONDS = 900
ROOT = "/2018-06-01/runtime"


@dataclass(frozen=True)
class Outcome:
    """What the runtime posted: `kind` is `response`, `error`, or `init/error` where nothing could start."""

    kind: str
    body: Any


class RuntimeApi(ThreadingHTTPServer):
    """Hands out events one by one and keeps what comes back."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.events: queue.Queue[bytes] = queue.Queue()
        self.outcomes: queue.Queue[Outcome] = queue.Queue()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one segment for head and body: no delayed acknowledgement between them
    server: RuntimeApi

    def do_GET(self) -> None:
        assert self.path == f"{ROOT}/invocation/next"
        event = self.server.events.get()
        self._answer(
            200,
            event,
            {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
                "Lambda-Runtime-Deadline-Ms": str(round((time.time() + FUNCTION_SECONDS) * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:000000000000:function:sync",
                "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0",
            },
        )

    def do_POST(self) -> None:
        body = self._body()
        kind = self.path.removeprefix(f"{ROOT}/")
        if kind.startswith("invocation/"):
            kind = kind.rsplit("/", 1)[-1]
        self.server.outcomes.put(Outcome(kind, json.loads(body)))
        self._answer(202, b"{}", {})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing: the tests look at outcomes."""


@dataclass
class Runtime:
    """One container of one function."""

    api: RuntimeApi
    log: Path

    def invoke(self, event: object) -> Outcome:
        """Give the function one event and return what it made of it."""
        self.api.events.put(json.dumps(event).encode())
        return self.outcome()

    def outcome(self) -> Outcome:
        """Return what came back; fail with the function's log where nothing does."""
        try:
            return self.api.outcomes.get(timeout=LIMIT_SECONDS)
        except queue.Empty:
            raise TimeoutError("\n".join(self.lines())) from None

    def lines(self) -> list[str]:
        """Return what the function has written to its log."""
        return self.log.read_text(encoding="utf-8").splitlines()


@contextmanager
def running_function(handler: str, environment: Mapping[str, str]) -> Iterator[Runtime]:
    """Start the runtime with a handler in an environment of its own, and end it by its process id."""
    api = RuntimeApi()
    thread = threading.Thread(target=api.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    with tempfile.NamedTemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", handler],
            env={**environment, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Runtime(api, Path(log.name))
        finally:
            process.kill()
            process.wait()
            api.shutdown()
            api.server_close()
            thread.join()
