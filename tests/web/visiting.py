"""A visitor of the pages: an embedded home with a few incidents, and a client that asks as a browser does."""

import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from starlette.testclient import TestClient

from builders import Home, a_home, an_incident
from kbsync.pipeline.changes import upsert_incidents
from kbsync.pipeline.sync import sync_once
from kbsync.web.app import build_app
from kbsync.web.desk import Desk

TOKEN = "a-long-token-of-the-tests"
HOST = "http://127.0.0.1"
OURS = {"origin": HOST, "sec-fetch-site": "same-origin"}
INJECTED = "<script>alert(1)</script><img src=x onerror=alert(2)>"
INCIDENTS = (
    an_incident(),
    an_incident(
        incident_id="INC/2 <b>",
        title=f"Broken {INJECTED}",
        description=f"It says {INJECTED}\n\n[a](javascript:x)",
    ),
    an_incident(incident_id="INC-3", title="Open one", status="OPEN", resolution=None),
    an_incident(incident_id="INC-4", title="Unreadable", description={"not": "a text"}),
)
"""Two become documents, the second of them hostile; one is open; one ends in quarantine."""


@dataclass
class Visit:
    """A home with its pages."""

    home: Home
    desk: Desk
    client: TestClient

    def get(self, path: str, **headers: str) -> str:
        """Return a page's text; any outcome but 200 fails."""
        answer = self.client.get(path, headers={"accept": "text/html", **headers})
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.text

    def post(self, path: str, **form: str) -> int:
        """Send a form as our own pages do; returns the status."""
        answer = self.client.post(path, data=form, headers=OURS, follow_redirects=False)
        return answer.status_code

    def form_token(self, path: str) -> str:
        """Return what the forms of a page carry."""
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', self.get(path))
        assert found
        return found[1]


def words(html: str) -> str:
    """Return what a page says, without tags, white space squeezed."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def a_visit(folder: Path, *, filled: bool = True, allow_actions: bool = False, token: str = "") -> Visit:
    """Return a visit of a home, with the incidents synced often enough that one is quarantined."""
    home = a_home(folder)
    if filled:
        upsert_incidents(home.engine, INCIDENTS)
        for _ in range(home.engine.policy.max_attempts):
            sync_once(home.engine)
    desk = Desk(engine=home.engine, home=str(folder), language="en", allow_actions=allow_actions, token=token)
    return Visit(home, desk, TestClient(build_app(desk), base_url=HOST))
