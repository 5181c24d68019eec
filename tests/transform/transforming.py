"""What the tests of the transform share: one rendering, and CommonMark's own view of it."""

import json

from markdown_it import MarkdownIt

from builders import an_incident
from kbsync.model import Document, StoredIncident
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.pipeline.transform.transform import IncidentTransform

BASE = an_incident()


def render(rules: TransformRules | None = None, incident_id: str = "INC-1001", **changes: object) -> Document:
    """Return the document of BASE with changes; None as a change means NULL, as in the table."""
    wanted = IncidentTransform(rules or TransformRules()).desired(
        StoredIncident(incident_id, {**BASE, **changes}, "token")
    )
    assert isinstance(wanted, Document), wanted
    return wanted


def text_of(document: Document) -> str:
    return document.body.decode("utf-8")


def sidecar_of(document: Document) -> dict[str, object]:
    return json.loads(document.sidecar)["metadataAttributes"]


def headings_of(markdown: str) -> list[tuple[str, str]]:
    """Return the first and second level headings that CommonMark sees, wherever they are nested."""
    tokens = MarkdownIt("commonmark").parse(markdown)
    return [
        (token.tag, tokens[index + 1].content)
        for index, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag in ("h1", "h2")
    ]


def code_blocks_of(markdown: str) -> list[str]:
    return [token.content for token in MarkdownIt("commonmark").parse(markdown) if token.type == "fence"]
