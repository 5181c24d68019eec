"""AWS on this machine: one ministack process for the whole test run, on loopback and a free port.

It lives in a virtual environment of its own (it pins another botocore), made by `make test-setup`. Started
once a worker, ended by its process id. Where it is absent, the tests that need it say how to make it.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

REGION = "eu-west-1"
START_SECONDS = 30.0
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def ministack_program() -> Path:
    """Return where `make setup` puts the stand-in: beside the virtual environment that runs the tests."""
    return Path(f"{sys.prefix}-standins") / "bin" / "ministack"


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_ministack(log: Path) -> Iterator[str]:
    """Start the stand-in, yield its address, end it by its process id."""
    program, port = ministack_program(), free_port()
    if not program.exists():
        raise FileNotFoundError(f"{program} is missing: run `make test-setup`")
    address = f"http://127.0.0.1:{port}"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
        **ENVIRONMENT,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(program)], env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent
        )
        try:
            _await_health(address, process, log)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=START_SECONDS)


def _await_health(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(f"{address}/_ministack/health", timeout=1):  # noqa: S310 - our own process
                return
        except (URLError, OSError):
            process_waits(process)
    raise RuntimeError(f"the stand-in did not start: {log.read_text(encoding='utf-8')[-2000:]}")


def process_waits(process: "subprocess.Popen[bytes]") -> None:
    """Wait a moment for the process to be ready, or to have ended."""
    try:
        process.wait(timeout=0.05)
    except subprocess.TimeoutExpired:
        return
