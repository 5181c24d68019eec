"""The command `serve`: pages for people over this backend. Imports the web packages only when it is called.

Invariant: nothing listens beyond loopback unless a token is set.
"""

# ruff: noqa: PLC0415 - the pages need packages of an extra that other commands do without

from typing import TYPE_CHECKING, Annotated

import typer

from kbsync.cli.command import Call
from kbsync.cli.listening import is_loopback, listen
from kbsync.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from starlette.applications import Starlette

DEFAULT_PORT = 8310


def serve(
    call: Call,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond loopback SERVE_TOKEN is needed.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = DEFAULT_PORT,
    allow_actions: Annotated[
        bool, typer.Option("--allow-actions", help="Let visitors retry, withdraw, pause and resume.")
    ] = False,
) -> None:
    """Show pages: what is pending, failing and stale, every incident's story, runs, and a search box.

    Listens on loopback, reads only, and loads nothing from another host. Ctrl-C or SIGTERM ends it.
    """
    token = call.settings.serve_token.get_secret_value()
    if not token and not is_loopback(host):
        raise UsageError(
            f"{host} can be reached by others, and no token is set",
            hint="set SERVE_TOKEN to a long random text, or leave --host out",
        )
    listen(call, _application(call, token, allow_actions=allow_actions), host, port, path="/")


def _application(call: Call, token: str, *, allow_actions: bool) -> "Starlette":
    try:
        from kbsync.web.app import build_app
        from kbsync.web.desk import Desk
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        if package in ("", "kbsync"):
            raise
        raise MissingExtraError(
            f"the pages need the package {package}", hint="pip install 'kbsync[serve]'"
        ) from error
    settings = call.settings
    return build_app(
        Desk(
            engine=call.engine(),
            backend=settings.backend,
            home=str(settings.home) if settings.backend == "local" else settings.s3_bucket,
            language=settings.document_language,
            allow_actions=allow_actions,
            token=token,
        )
    )
