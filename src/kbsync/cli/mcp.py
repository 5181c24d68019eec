"""The command `mcp`: past incidents for agents. Imports the SDK only when it is called.

Invariant: over standard input and output nothing but the protocol is printed; over HTTP a token is needed.
"""

# ruff: noqa: PLC0415 - the server needs packages of an extra that other commands do without

import secrets
import sys
from typing import Annotated

import typer

from kbsync.cli.command import Call
from kbsync.cli.listening import is_loopback, listen
from kbsync.errors import MissingExtraError, UsageError

DEFAULT_PORT = 8311


def mcp(
    call: Call,
    http: Annotated[
        bool, typer.Option("--http", help="Listen for HTTP in place of stdin and stdout.")
    ] = False,
    host: Annotated[str, typer.Option(help="With --http: loopback address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="With --http: port; 0 takes a free one.")
    ] = DEFAULT_PORT,
) -> None:
    """Let agents search past incidents: an MCP server over standard input and output, read only.

    With --http it listens on loopback, and asks for MCP_TOKEN; where none is set, one is made and printed.
    """
    if http and not is_loopback(host):
        raise UsageError(f"{host} can be reached by others", hint="MCP is served on loopback only")
    engine = call.engine()
    try:
        from kbsync.mcp_server.server import PATH, build_server, http_app
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        if package in ("", "kbsync"):
            raise
        raise MissingExtraError(
            f"the MCP server needs the package {package}", hint="pip install 'kbsync[mcp]'"
        ) from error
    if not http:
        build_server(engine).run("stdio")
        return
    token = call.settings.mcp_token.get_secret_value()
    if not token:
        token = secrets.token_urlsafe(32)
        sys.stderr.write(f"MCP_TOKEN is not set; this time it is {token}\n")
    listen(call, http_app(engine, token), host, port, path=PATH)
