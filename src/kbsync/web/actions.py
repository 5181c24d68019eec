"""What changes something: log-in, retry, withdraw, pause and resume. Imports the pipeline's own API.

Invariant: nothing happens without the form token of a page of ours, nor, log-in apart, where actions are not
allowed; each act goes through the same function as the command of its name.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from kbsync.errors import KbSyncError
from kbsync.pipeline.changes import reopen_incident, retry_incidents
from kbsync.pipeline.pause import pause, resume
from kbsync.web.desk import Desk
from kbsync.web.guard import COOKIE, form_token, is_same, session_of
from kbsync.web.pages import desk_of, incident_url, page, trouble

MOST_REASON_CHARACTERS = 200
_FIELDS = 20

Act = Callable[[Desk, FormData], str]
"""Does it and returns the address of the page that shows the outcome."""


async def login_form(request: Request) -> Response:
    """Ask for the token."""
    return await run_in_threadpool(page, request, "login", wrong=False)


async def login(request: Request) -> Response:
    """Let the visitor in who knows the token; the cookie ends with the browser, or with this process."""
    desk = desk_of(request)
    form = await request.form(max_files=0, max_fields=_FIELDS)
    if not desk.token or not is_same(_text(form, "token"), desk.token):
        return await run_in_threadpool(page, request, "login", 403, wrong=True)
    response = RedirectResponse("/", 303)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, session_of(desk), httponly=True, samesite="strict", secure=secure)
    return response


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value.strip() if isinstance(value, str) else ""


def _acting(act: Act) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of an act: checked, done off the event loop, and answered with another page."""

    async def endpoint(request: Request) -> Response:
        desk = desk_of(request)
        form = await request.form(max_files=0, max_fields=_FIELDS)
        if not desk.allow_actions or not is_same(_text(form, "form_token"), form_token(desk)):
            return await run_in_threadpool(page, request, "refused", 403, reason="")
        try:
            there = await run_in_threadpool(act, desk, form)
        except KbSyncError as error:
            return await run_in_threadpool(page, request, "refused", 409, reason=f"{error}; {error.hint}")
        except Exception as error:  # noqa: BLE001 - the last line of defence, as on every page
            return await run_in_threadpool(trouble, request, error)
        return RedirectResponse(there, 303)

    return endpoint


def _retry(desk: Desk, form: FormData) -> str:
    incident_id = _text(form, "id")
    retry_incidents(desk.engine, [incident_id])
    return f"{incident_url(incident_id)}&said=retried"


def _retry_all(desk: Desk, _form: FormData) -> str:
    retry_incidents(desk.engine, None)
    return f"/incidents?{urlencode({'state': 'quarantined', 'said': 'retried'})}"


def _withdraw(desk: Desk, form: FormData) -> str:
    incident_id = _text(form, "id")
    reopen_incident(desk.engine, incident_id)
    return f"{incident_url(incident_id)}&said=reopened"


def _pause(desk: Desk, form: FormData) -> str:
    pause(desk.engine, reason=_text(form, "reason")[:MOST_REASON_CHARACTERS] or "no reason given")
    return "/?said=paused"


def _resume(desk: Desk, _form: FormData) -> str:
    resume(desk.engine)
    return "/?said=resumed"


retry = _acting(_retry)
retry_all = _acting(_retry_all)
withdraw = _acting(_withdraw)
pause_all = _acting(_pause)
resume_all = _acting(_resume)
