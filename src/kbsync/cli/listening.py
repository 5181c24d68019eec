"""Serving an application on an address: what `serve` and `mcp` share. Imports uvicorn only when it is called.

Invariant: the address is printed once it is really ours, and both signals end it well.
"""

# ruff: noqa: PLC0415 - the server is a package of extras that other commands do without

import ipaddress
import signal
import sys
from contextlib import closing, suppress
from types import FrameType
from typing import TYPE_CHECKING

from rich.text import Text

from kbsync.cli.command import Call

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(call: Call, app: "ASGIApp", host: str, port: int, *, path: str) -> None:
    """Serve until told to stop; the address, with a path, is printed once it is really ours."""
    import uvicorn

    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", access_log=False, server_header=False, lifespan="auto"
    )
    server = uvicorn.Server(config)

    def on_sigterm(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True  # also where it comes before the server has begun

    # uvicorn ends well on both signals and then raises them once more, for whoever runs it.
    before = signal.signal(signal.SIGTERM, on_sigterm)
    try:
        with closing(config.bind_socket()) as listening, suppress(KeyboardInterrupt):
            listening.listen(config.backlog)  # who reads the address may call at once
            _tell(call, host, listening.getsockname()[1], path)
            server.run(sockets=[listening])
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell(call: Call, host: str, port: int, path: str) -> None:
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"

    def show() -> None:
        call.out.print(Text(f"Serving {url}"), soft_wrap=True)
        call.hint("Ctrl-C ends it")

    call.answer({"url": url}, show)
    sys.stdout.flush()
