"""An incident's texts to one Markdown document whose first and second level headings are ours alone."""

import re
from collections.abc import Iterator

from kbsync.pipeline.transform.blocks import contained, fence
from kbsync.pipeline.transform.read import CodeChange, Incident

TEMPLATE_VERSION = "1"

HEADINGS = {
    "es": (
        "Incidencia", "Problema", "Mensaje de error", "Causa raíz", "Resolución", "Pasos",
        "Cambios de código", "Sistemas afectados", "Etiquetas",
    ),
    "en": (
        "Incident", "Problem", "Error message", "Root cause", "Resolution", "Steps", "Code changes",
        "Affected systems", "Tags",
    ),
}  # fmt: skip
"""The word for a document without any title, then the sections in their order."""

SECTIONS = (
    "problem", "error_message", "root_cause", "resolution", "steps", "code_changes", "affected_systems",
    "tags",
)  # fmt: skip
"""What programs call the sections, in their order."""

_LANGUAGE_NAMES = {
    "spa": "es", "spanish": "es", "español": "es", "espanol": "es", "castellano": "es",
    "eng": "en", "english": "en", "inglés": "en", "ingles": "en",
}  # fmt: skip
"""Three-letter codes (ISO 639-2) and the words that people write."""

_TITLE_WORDS, _TITLE_CHARACTERS = 12, 200
_PARTED = re.compile("[-_ ]")
_CLOSING_MARKS = re.compile(r"(#+)$")


def language_of(language: str, fallback: str) -> str:
    """Return the first of the two that we have headings for; "es-ES", "spa" and "Español" count as "es"."""
    spoken = (_PARTED.split(name.strip().lower(), maxsplit=1)[0] for name in (language, fallback))
    known = (_LANGUAGE_NAMES.get(name, name) for name in spoken)
    return next((name for name in known if name in HEADINGS), "es")


def title_of(incident: Incident, language: str) -> str:
    """Return the title, or the first words of what the incident says where it has none."""
    words = (
        incident.title or incident.description or incident.error_message or HEADINGS[language][0]
    ).split()
    shown = words if incident.title else words[:_TITLE_WORDS]
    return " ".join(shown) if incident.title else " ".join(shown)[:_TITLE_CHARACTERS]


def render_body(incident: Incident, title: str, language: str) -> str:
    """Return the document; sections without text are left out, the same incident gives the same bytes."""
    heading = _CLOSING_MARKS.sub(r"\\\1", title) if title.endswith("#") else title
    sections = zip(HEADINGS[language][1:], _sections(incident), strict=True)
    parts = [f"# {heading}", *(f"## {name}\n\n{text}" for name, text in sections if text)]
    return "\n\n".join(parts) + "\n"


def _sections(incident: Incident) -> Iterator[str]:
    yield contained(incident.description)
    yield fence(incident.error_message) if incident.error_message else ""
    yield contained(incident.root_cause)
    yield contained(incident.resolution)
    yield "\n".join(_item(f"{number}. ", step) for number, step in enumerate(incident.steps, start=1))
    yield "\n".join(_item("- ", _change(change)) for change in incident.code_changes)
    yield contained(", ".join(incident.affected_systems))
    yield contained(", ".join(incident.tags))


def _change(change: CodeChange) -> str:
    return ": ".join(filter(None, (change.file, change.description)))


def _item(mark: str, text: str) -> str:
    first, *rest = contained(text).split("\n")
    indent = " " * len(mark)
    return "\n".join([mark + first, *(indent + line if line else "" for line in rest)])
