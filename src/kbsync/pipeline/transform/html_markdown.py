"""One piece of HTML to Markdown, through libraries imported with this module: at the first HTML, not before.

Pure. Invariant: whatever the libraries trip over is told by None, never by an exception.
"""

import re

from bs4 import BeautifulSoup, Tag
from markdownify import MarkdownConverter

_SCRIPT_ADDRESS = re.compile(r"[\s\x00-\x1f]*(?:javascript|vbscript|data)\s*:", re.IGNORECASE)
_MAX_DEPTH = 60


def html_to_markdown(markup: str) -> str | None:
    """Return the HTML as Markdown without script addresses; None where it is too deep or cannot be read."""
    try:
        soup = BeautifulSoup(markup, "html.parser")
        if _is_too_deep(soup):
            return None
        for element in soup.find_all(href=_SCRIPT_ADDRESS) + soup.find_all(src=_SCRIPT_ADDRESS):
            del element.attrs["href" if "href" in element.attrs else "src"]
        return str(_CONVERTER.convert_soup(soup))
    except Exception:  # noqa: BLE001 - whatever a parser trips over in foreign markup, the text stays
        return None


def _is_too_deep(soup: Tag) -> bool:
    waiting = [(soup, 0)]
    while waiting:
        element, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            return True
        waiting.extend((child, depth + 1) for child in element.children if isinstance(child, Tag))
    return False


_CONVERTER = MarkdownConverter(
    heading_style="ATX", bullets="-", escape_asterisks=False, escape_underscores=False, escape_misc=False
)
