"""Every page that only looks. Imports the views, Starlette and Jinja; nothing here writes.

Invariant: a page costs a bounded number of reads, whatever the table's size.
"""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from kbsync.errors import KbSyncError, UnknownIncidentError, UsageError
from kbsync.model import State
from kbsync.pipeline.pause import read_pause
from kbsync.pipeline.reconcile_survey import LAST_SURVEY, stored_survey
from kbsync.views.question import Narrowing, Question
from kbsync.views.reconcile import reconcile_view
from kbsync.views.records import incidents_view, records_view
from kbsync.views.report import iso, report_view
from kbsync.views.search import search_mode, search_view
from kbsync.views.status import status_view
from kbsync.views.story import explain_view, show_view
from kbsync.web.charts import SVG_HEADERS, days_of, runs_chart
from kbsync.web.desk import Desk
from kbsync.web.guard import form_token
from kbsync.web.language import LANGUAGES, NAMES, Words, chosen_language
from kbsync.web.markdown import html_of
from kbsync.web.outlook import next_run_expected

_LOGGER = logging.getLogger("kbsync.web")

Shown = dict[str, Any]  # Any: views, whose values templates show as they are

LANGUAGE_COOKIE = "kbsync_language"
PAGE_SIZE = 50
HITS = 8
RUNS_SHOWN = 50
RUNS_KEPT = 1000
PUT_DOLLARS = 5 / 1_000_000
"""One S3 write at list price. Source: AWS_FACTS.md."""
_A_YEAR_SECONDS = 31_536_000
_NARROWING = ("system", "severity", "category", "environment", "since", "until")


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("kbsync.web"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def desk_of(request: Request) -> Desk:
    """Return what this application is served over."""
    desk: Desk = request.app.state.desk
    return desk


def words_of(request: Request) -> Words:
    """Return the visitor's words: as they chose in the address or before, else as their browser asks."""
    asked = request.query_params.get("lang")
    wanted = asked if asked in LANGUAGES else request.cookies.get(LANGUAGE_COOKIE)
    accepted = request.headers.get("accept-language", "")
    return Words(chosen_language(wanted, accepted, desk_of(request).language))


def page(request: Request, name: str, status_code: int = 200, /, **values: object) -> HTMLResponse:
    """Return a template filled in, in the visitor's language, which is kept where they chose it."""
    desk, words = desk_of(request), words_of(request)
    text = (
        _templates()
        .get_template(f"{name}.html")
        .render(
            **values,
            desk=desk,
            t=words,
            here=name,
            path=request.url.path,
            form_token=form_token(desk),
            languages=[(each, NAMES[each], _in_language(request.url, each)) for each in LANGUAGES],
            said=request.query_params.get("said"),
        )
    )
    response = HTMLResponse(text, status_code)
    if request.query_params.get("lang") in LANGUAGES:
        response.set_cookie(
            LANGUAGE_COOKIE, words.language, max_age=_A_YEAR_SECONDS, httponly=True, samesite="strict"
        )
    return response


def _in_language(url: URL, language: str) -> str:
    there = url.include_query_params(lang=language)
    return f"{there.path}?{there.query}"


def overview(request: Request) -> Response:
    """Show on one screen what is pending, failing, set aside and stale, and how the runs went."""
    engine = desk_of(request).engine
    runs = engine.ledger.runs(limit=RUNS_KEPT)
    expected = next_run_expected(runs, engine.now())
    paused = read_pause(engine)
    return page(
        request,
        "overview",
        status=status_view(engine),
        runs=[report_view(each) for each in runs[:5]],
        days=days_of(runs, engine.now()),
        next_run=iso(expected),
        paused={"since": iso(paused.at), "reason": paused.reason} if paused else None,
        search=search_mode(engine),
    )


def runs_picture(request: Request) -> Response:
    """Draw the runs of the last days."""
    engine = desk_of(request).engine
    days = days_of(engine.ledger.runs(limit=RUNS_KEPT), engine.now())
    return Response(runs_chart(days, words_of(request)), media_type="image/svg+xml", headers=SVG_HEADERS)


def incidents(request: Request) -> Response:
    """Search the knowledge base, or go through incidents by state or status, page by page."""
    engine, asked = desk_of(request).engine, request.query_params
    query, found, problem = asked.get("q", "").strip(), None, ""
    narrowing = {name: asked.get(name, "").strip() for name in _NARROWING}
    if query or any(narrowing.values()):
        try:
            found = search_view(engine, Question(query=query, limit=HITS, narrowing=Narrowing(**narrowing)))
        except UsageError as error:
            problem = f"{error} ({error.hint})"
    statuses = engine.incidents.count_by_status() if desk_of(request).backend == "local" else {}
    return page(
        request,
        "incidents",
        query=query,
        narrowing=narrowing,
        found=found,
        problem=problem,
        listing=None if found else _listing(request),
        statuses=sorted(each for each in statuses if engine.transform.shown(each) == each),
        states=list(State),
    )


def _listing(request: Request) -> Shown:
    """Return the page of the table that the address asks for, and the address of the next one."""
    engine, asked = desk_of(request).engine, request.query_params
    state, status, cursor = asked.get("state", ""), asked.get("status", ""), asked.get("cursor", "")
    if status:
        view: Shown = incidents_view(engine, status=status, cursor=cursor, limit=PAGE_SIZE)
    else:
        wanted = State(state) if state in list(State) else None
        view = records_view(engine, state=wanted, cursor=cursor, limit=PAGE_SIZE)
    chosen = {"state": state, "status": status}
    onward = {**chosen, "cursor": view["next"]}
    return {
        **view,
        **chosen,
        "cursor": cursor,
        "first_url": _address("/incidents", chosen),
        "next_url": _address("/incidents", onward) if view["next"] else "",
    }


def _address(path: str, values: Mapping[str, str]) -> str:
    return f"{path}?{urlencode({name: value for name, value in values.items() if value})}"


def open_incident(request: Request) -> Response:
    """Go to the incident whose id was typed."""
    return RedirectResponse(incident_url(request.query_params.get("id", "").strip()), 303)


def incident_url(incident_id: str) -> str:
    """Return where an incident's page is; ids may hold anything, so they are no part of a path."""
    return _address("/incident", {"id": incident_id})


def incident(request: Request) -> Response:
    """Tell one incident's story, with its document as published."""
    engine = desk_of(request).engine
    incident_id = request.query_params.get("id", "")
    try:
        story: Shown = explain_view(engine, incident_id, paused=read_pause(engine) is not None)
    except UnknownIncidentError:
        return page(request, "missing", 404, subject=incident_id)
    shown: Shown | None = None
    if story["document"]["stored"]:
        try:
            shown = show_view(engine, incident_id)
        except UsageError:  # withdrawn while we looked
            shown = None
    rendered = html_of(shown["document"]) if shown else None
    return page(request, "incident", story=story, shown=shown, rendered=rendered)


def runs(request: Request) -> Response:
    """List the newest runs with what each did."""
    engine = desk_of(request).engine
    newest = engine.ledger.runs(limit=RUNS_KEPT)
    shown = [report_view(each) for each in newest[:RUNS_SHOWN]]
    return page(request, "runs", runs=shown, days=days_of(newest, engine.now()), total=len(newest))


def one_run(request: Request) -> Response:
    """Show everything that one run recorded."""
    run_id = request.query_params.get("id", "")
    for each in desk_of(request).engine.ledger.runs(limit=RUNS_KEPT):
        if each.run_id == run_id:
            return page(request, "run", run=report_view(each), put_dollars=PUT_DOLLARS)
    return page(request, "missing", 404, subject=run_id)


def drift(request: Request) -> Response:
    """Show what the last complete reconcile found."""
    survey = stored_survey(desk_of(request).engine.ledger.read_value(LAST_SURVEY))
    return page(request, "drift", report=reconcile_view(survey) if survey else None)


def trouble(request: Request, error: Exception) -> Response:
    """Say what could not be read and how to mend it; of an unexpected error only its kind. Logs it once."""
    known = isinstance(error, KbSyncError)
    _LOGGER.error("web.failed path=%s error=%s", request.url.path, type(error).__name__)
    text, hint = (str(error), error.hint) if isinstance(error, KbSyncError) else (type(error).__name__, "")
    return page(request, "trouble", 503 if known else 500, text=text, hint=hint)
