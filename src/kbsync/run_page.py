"""What one run did, as JSON for programs and as one page for people. Pure: a report in, texts out.

The page stands alone: no script, nothing from another host, light and dark. Every text is escaped; reasons
hold no incident text (run_report.py).
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime
from html import escape

from kbsync.run_report import RunReport

_WORDS = {
    "es": {
        "title": "Ejecución",
        "status": "resultado",
        "trigger": "inicio por",
        "started_at": "comenzó",
        "ended_at": "terminó",
        "duration_seconds": "segundos",
        "found": "pendientes vistos",
        "published": "publicados",
        "metadata_only": "solo metadatos",
        "unchanged": "sin cambios",
        "withdrawn": "retirados",
        "indexed": "localizables",
        "failed": "fallidos",
        "quarantined": "en cuarentena",
        "excluded": "excluidos",
        "pending": "en espera",
        "withheld": "retiradas retenidas",
        "probed": "búsquedas de prueba",
        "probes_failed": "pruebas fallidas",
        "objects_written": "objetos escritos",
        "objects_deleted": "objetos borrados",
        "job_id": "trabajo de ingesta",
        "messages": "Mensajes",
        "errors": "Errores (una muestra)",
        "none": "ninguno",
        "searchable": "De cerrado a localizable, en segundos",
        "severity": "gravedad",
        "all": "todas",
        "count": "cuántos",
        "late": "tarde",
    },
    "en": {
        "title": "Run",
        "trigger": "trigger",
        "started_at": "started",
        "ended_at": "ended",
        "duration_seconds": "seconds",
        "found": "due",
        "metadata_only": "metadata only",
        "indexed": "searchable",
        "pending": "waiting",
        "withheld": "withdrawals withheld",
        "probed": "probes of search",
        "probes_failed": "probes failed",
        "objects_written": "objects written",
        "objects_deleted": "objects deleted",
        "job_id": "ingestion job",
        "messages": "Messages",
        "errors": "Errors (a sample)",
        "searchable": "From closed to searchable, in seconds",
    },
}
_FACTS = (
    "status", "trigger", "started_at", "ended_at", "duration_seconds", "found", "published", "metadata_only",
    "unchanged", "withdrawn", "indexed", "failed", "quarantined", "excluded", "pending", "withheld", "probed",
    "probes_failed", "objects_written", "objects_deleted", "job_id",
)  # fmt: skip
_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;"
    "padding:0 1rem}table{border-collapse:collapse}th,td{text-align:left;padding:.2rem 1rem .2rem 0;"
    "border-bottom:1px solid #8886;overflow-wrap:anywhere;vertical-align:top}"
)


def record_json(run: RunReport) -> bytes:
    """Return everything that the report holds; times are ISO 8601 in UTC."""
    content = {name: value for name, value in asdict(run).items() if name not in ("page", "isolated")}
    return json.dumps(content, default=_iso, ensure_ascii=False, indent=1).encode("utf-8", "replace")


def record_page(run: RunReport, language: str) -> bytes:
    """Return the report as an HTML page, in Spanish (`es`) or English."""
    words = _WORDS[language if language in _WORDS else "en"]

    def word(name: str) -> str:
        return escape(words.get(name, name))

    facts = "".join(_row(word(name), _text(getattr(run, name))) for name in _FACTS)
    messages = "".join(f"<li>{escape(each)}</li>" for each in run.messages)
    errors = "".join(_row(escape(each.incident_id), escape(each.error)) for each in run.errors)
    title = f"{word('title')} {escape(run.run_id)}"
    parts = [
        f'<!doctype html><html lang="{"es" if words is _WORDS["es"] else "en"}"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main><h1>{title}</h1>",
        f"<table><tbody>{facts}</tbody></table>",
        f"<h2>{word('messages')}</h2>{f'<ul>{messages}</ul>' if messages else _none(word('none'))}",
        f"<h2>{word('errors')}</h2>",
        f"<table><tbody>{errors}</tbody></table>" if errors else _none(word("none")),
        _times(run, word) if run.searchable else "",
        "</main></body></html>\n",
    ]
    return "".join(parts).encode("utf-8", "replace")


def _times(run: RunReport, word: Callable[[str], str]) -> str:
    names = ("severity", "count", "late", "p50", "p95", "max")
    head = "".join(f'<th scope="col">{word(name)}</th>' for name in names)
    rows = "".join(
        _cells((each.severity or word("all"), each.count, each.late, each.p50, each.p95, each.longest))
        for each in run.searchable
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<h2>{word('searchable')}</h2>{table}"


def _cells(values: Iterable[object]) -> str:
    return f"<tr>{''.join(f'<td>{escape(str(value))}</td>' for value in values)}</tr>"


def _row(name: str, value: str) -> str:
    return f'<tr><th scope="row">{name}</th><td>{value}</td></tr>'


def _none(word: str) -> str:
    return f"<p>{word}</p>"


def _text(value: object) -> str:
    return escape(_iso(value) if isinstance(value, datetime) else "" if value is None else str(value))


def _iso(value: object) -> str:
    return value.isoformat(timespec="seconds").replace("+00:00", "Z") if isinstance(value, datetime) else ""
