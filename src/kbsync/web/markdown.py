"""A document as people read it: Markdown to HTML that cannot act. Imports markdown-it-py.

Invariant: ticket text is data. HTML in it is shown as text, no picture is loaded, and links go nowhere by
themselves and tell nobody where they were followed from.
"""

from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

MOST_CHARACTERS = 60_000
"""Of a document on a page; all of it stands in the raw text."""

_SHIFT = 2
"""The page has its own h1 and h2."""


def _renderer() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 40}).enable("table").disable("image")
    parser.add_render_rule("link_open", _link_open)
    return parser


def _link_open(
    self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any
) -> str:  # Any: markdown-it's own renderer, which calls this
    tokens[index].attrSet("rel", "noopener noreferrer nofollow")
    return str(self.renderToken(tokens, index, options, env))


_PARSER = _renderer()


def html_of(text: str) -> Markup:
    """Return Markdown as safe HTML with headings below the page's own; a long text is cut."""
    tokens = _PARSER.parse(text[:MOST_CHARACTERS])
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + _SHIFT, 6)}"
    rendered = _PARSER.renderer.render(tokens, _PARSER.options, {})
    return Markup(rendered)  # noqa: S704 - markdown-it escapes all text, and html is off
