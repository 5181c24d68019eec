"""The page of what `kbsync eval` measured. Imports quality's history; nothing here asks a question or writes.

Invariant: one small value of the ledger is read, whatever the table's size.
"""

from starlette.requests import Request
from starlette.responses import Response

from kbsync.quality.history import evaluations
from kbsync.quality.measures import MEASURES
from kbsync.web.charts import SVG_HEADERS, quality_chart
from kbsync.web.pages import desk_of, page, words_of

DRAWN = "hit@5"
SHOWN = 40


def measured(request: Request) -> Response:
    """Show what the last evaluations found, the newest first, and how they went."""
    kept = evaluations(desk_of(request).engine)[-SHOWN:]
    return page(request, "quality", evaluations=kept[::-1], measures=MEASURES)


def picture(request: Request) -> Response:
    """Draw how often the right incident was among the first five, evaluation by evaluation."""
    kept = evaluations(desk_of(request).engine)[-SHOWN:]
    return Response(
        quality_chart(kept, DRAWN, words_of(request)), media_type="image/svg+xml", headers=SVG_HEADERS
    )
