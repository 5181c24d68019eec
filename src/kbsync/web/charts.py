"""Runs of the last days, and measures of search, drawn on the server: SVG without scripts.

Invariant: what is drawn stands as a table on the page too, for those who cannot see it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from kbsync.quality.history import Evaluation
from kbsync.run_report import RunReport
from kbsync.web.bars import Line, StackedBar, Style
from kbsync.web.language import Words

DAYS = 14
SERIES = ("published", "withdrawn", "failed")
SVG_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
"""The picture's own style is inside it; nothing else of it may act."""

_STYLE = Style(
    background="transparent",
    plot_background="transparent",
    foreground="#6b7280",
    foreground_strong="#6b7280",
    foreground_subtle="#9ca3af",
    guide_stroke_color="#9ca3af",
    major_guide_stroke_color="#9ca3af",
    colors=("#2563eb", "#d97706", "#dc2626", "#059669", "#7c3aed"),
    font_family="system-ui, sans-serif",
    label_font_size=12,
    legend_font_size=12,
)

_FRAME: dict[str, Any] = {  # Any: pygal's options, by name
    "style": _STYLE,
    "js": (),
    "disable_xml_declaration": True,
    "width": 820,
    "height": 240,
    "legend_at_bottom": True,
}


@dataclass(frozen=True, slots=True)
class Day:
    """What the runs of one day did, in UTC."""

    day: date
    runs: int
    published: int
    withdrawn: int
    failed: int


def days_of(runs: Sequence[RunReport], now: datetime) -> list[Day]:
    """Return the last fourteen days, oldest first, with what the runs that began in each did."""
    counts: dict[date, Counter[str]] = {now.date() - timedelta(days=ago): Counter() for ago in range(DAYS)}
    for run in runs:
        if (day := counts.get(run.started_at.date())) is not None:
            done = {name: getattr(run, name) for name in SERIES}
            day.update({"runs": 1, **done})
            day["published"] += run.metadata_only
    names = ("runs", *SERIES)
    return [Day(each, **{name: day[name] for name in names}) for each, day in sorted(counts.items())]


def runs_chart(days: Sequence[Day], words: Words) -> bytes:
    """Return the days as stacked bars, as SVG."""
    chart = StackedBar(
        **_FRAME,
        legend_at_bottom_columns=len(SERIES),
        no_prefix=True,
        show_minor_y_labels=False,
        y_labels_major_count=4,
        x_label_rotation=30,
        no_data_text=words("runs.none"),
    )
    chart.x_labels = [f"{each.day:%d.%m.}" for each in days]
    busy = any(getattr(each, name) for each in days for name in SERIES)
    for name in SERIES:
        chart.add(words(f"count.{name}"), [getattr(each, name) for each in days] if busy else [])
    return _drawn(chart)


def quality_chart(history: Sequence[Evaluation], measure: str, words: Words) -> bytes:
    """Return how one measure went from evaluation to evaluation, a line for each set, as SVG."""
    chart = Line(
        **_FRAME,
        legend_at_bottom_columns=3,
        range=(0, 1),
        no_data_text=words("quality.none"),
    )
    for name in dict.fromkeys(row.set_name for each in history for row in each.rows):
        values = [
            next((row.values.get(measure) for row in each.rows if row.set_name == name), None)
            for each in history
        ]
        chart.add(name, values)
    return _drawn(chart)


def _drawn(chart: StackedBar | Line) -> bytes:
    """Return the picture without pygal's scripts: they are for tooltips that need one from another host."""
    chart.config.js = []
    svg = str(chart.render(is_unicode=True))
    while (start := svg.find("<script")) >= 0:
        svg = svg[:start] + svg[svg.index("</script>", start) + len("</script>") :]
    return svg.encode()
