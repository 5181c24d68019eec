"""The application: every address, behind the guard. Imports Starlette and the pages.

Invariant: an error shows a page without incident text and without a traceback, and is logged once.
"""

from collections.abc import Callable
from importlib.resources import files

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kbsync.web import actions, pages, quality
from kbsync.web.desk import Desk
from kbsync.web.guard import Guard

_STATIC = {"kbsync.css": "text/css; charset=utf-8", "kbsync.svg": "image/svg+xml"}


def build_app(desk: Desk) -> Starlette:
    """Return the application over this desk; nothing is read before the first request."""
    looks = {
        "/": pages.overview,
        "/runs.svg": pages.runs_picture,
        "/incidents": pages.incidents,
        "/open": pages.open_incident,
        "/incident": pages.incident,
        "/runs": pages.runs,
        "/run": pages.one_run,
        "/reconcile": pages.drift,
        "/quality": quality.measured,
        "/quality.svg": quality.picture,
        "/static/{name}": _static,
    }
    acts = {
        "/login": actions.login,
        "/retry": actions.retry,
        "/retry-all": actions.retry_all,
        "/withdraw": actions.withdraw,
        "/pause": actions.pause_all,
        "/resume": actions.resume_all,
    }
    app = Starlette(
        routes=[
            *(Route(path, _safely(endpoint), methods=["GET"]) for path, endpoint in looks.items()),
            Route("/login", actions.login_form, methods=["GET"]),
            *(Route(path, endpoint, methods=["POST"]) for path, endpoint in acts.items()),
        ],
        middleware=[Middleware(Guard, desk=desk)],
        exception_handlers={404: _missing},
    )
    app.state.desk = desk
    return app


def _safely(endpoint: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Return the endpoint, answering with a page also where it fails; Starlette runs it in a thread."""

    def safe(request: Request) -> Response:
        try:
            return endpoint(request)
        except Exception as error:  # noqa: BLE001 - the last line of defence; no incident text in what it shows
            return pages.trouble(request, error)

    return safe


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _STATIC:
        return pages.page(request, "missing", 404, subject=name)
    content = files("kbsync.web").joinpath("static", name).read_bytes()
    return Response(content, media_type=_STATIC[name], headers={"Cache-Control": "max-age=3600"})


async def _missing(request: Request, _error: Exception) -> Response:
    return await run_in_threadpool(pages.page, request, "missing", 404, subject=request.url.path)
