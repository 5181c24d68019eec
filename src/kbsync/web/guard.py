"""Who may see a page and who may act: the ASGI layer that every request passes first.

Imports Starlette and the desk. Invariant: without the token nothing but the log-in page and the style sheet
answers where a token is set; where none is, only loopback names are answered; no post counts
but one from a form of our own.
"""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kbsync.web.desk import Desk

COOKIE = "kbsync_session"
LOGIN = "/login"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: it would make the Origin of our own forms `null`.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_OPEN = frozenset({LOGIN, "/static/kbsync.css", "/static/kbsync.svg"})
_READING = frozenset({"GET", "HEAD"})


def form_token(desk: Desk) -> str:
    """Return what every form of ours carries: another site cannot read our pages, so it cannot know it."""
    return _signed(desk, "form")


def session_of(desk: Desk) -> str:
    """Return the value of the cookie that a visitor with the right token gets; it is not the token itself."""
    return _signed(desk, f"session {desk.token}")


def _signed(desk: Desk, text: str) -> str:
    return hmac.new(desk.secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def is_same(given: str, expected: str) -> bool:
    """Whether two secrets are equal, in a time that tells nothing about them."""
    return hmac.compare_digest(given.encode(), expected.encode())


class Guard:
    """Wraps the application; refuses, or lets through and adds the headers that browsers obey."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app = app
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything that is no HTTP request (start and stop of the server) passes."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(HTTPConnection(scope), str(scope.get("method", "")))
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, request: HTTPConnection, method: str) -> Response | None:
        """Return why not, or None where the request may pass."""
        if request.scope["type"] != "http":
            return PlainTextResponse("not served", 404)
        desk, path = self._desk, request.url.path
        if not desk.token and _host_name(request.headers) not in LOOPBACK:
            # A foreign name for this machine (DNS rebinding) is how a web page reaches a local one.
            return PlainTextResponse("this page answers to its loopback address only", 421)
        if method not in _READING and not _is_from_our_page(request.headers):
            return PlainTextResponse("refused: the request does not come from a page of this server", 403)
        if not desk.token or path in _OPEN or self._is_known(request):
            return None
        if method in _READING and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(LOGIN, 303)
        return PlainTextResponse("a token is needed", 401, {"WWW-Authenticate": "Bearer"})

    def _is_known(self, request: HTTPConnection) -> bool:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and is_same(given.strip(), self._desk.token):
            return True
        return is_same(request.cookies.get(COOKIE, ""), session_of(self._desk))


def _host_name(headers: Headers) -> str:
    try:
        return (urlsplit(f"//{headers.get('host', '')}").hostname or "").lower()
    except ValueError:
        return ""


def _is_from_our_page(headers: Headers) -> bool:
    """Whether the browser says so: where it says nothing of origin at all, the answer is no."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is not None:
        return urlsplit(origin).netloc == headers.get("host", "")
    return site == "same-origin"
