"""Ask a knowledge base questions whose answers are known, and measure what it says; by set and language.

Imports the engine, ports and errors. Invariant: the knowledge base is asked through its port alone, so every
one of them is measured alike, and nothing is written.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kbsync.engine import Engine
from kbsync.errors import ThrottledError
from kbsync.knowledge import Hit
from kbsync.quality.measures import LOOKED_AT, Estimate, Places, measure
from kbsync.quality.questions import Asked

ALL = "all"
_TRIES = 4
_WAIT_SECONDS = 2.0

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one question: the places of its right answers, and which incident came first."""

    asked: Asked
    places: Places
    first: str


@dataclass(frozen=True, slots=True)
class Row:
    """The measures of one group of questions; an empty language stands for all of them."""

    set_name: str
    language: str
    questions: int
    measures: dict[str, Estimate]


def ask(engine: Engine, questions: Sequence[Asked], progress: Progress) -> list[Answer]:
    """Return the answers in the order of the questions; one retrieval each.

    Raises:
        ThrottledError, UnavailableError (retriable): it does not answer, also when asked again.
    """
    answers = []
    for number, asked in enumerate(questions, start=1):
        hits = _retrieved(engine, asked.query, LOOKED_AT + len(asked.excluded))
        ids = [each for each in _incidents_of(hits) if each not in asked.excluded][:LOOKED_AT]
        found = tuple(place for place, each in enumerate(ids, start=1) if each in asked.relevant)
        answers.append(Answer(asked, Places(found, len(asked.relevant)), ids[0] if ids else ""))
        progress("ask", number, len(questions))
    return answers


def rows_of(answers: Sequence[Answer]) -> list[Row]:
    """Return a row for each set, for each language of a set that has several, and one for all of them."""
    sets = sorted({each.asked.set_name for each in answers})
    rows = []
    for name in sets:
        of_set = [each for each in answers if each.asked.set_name == name]
        rows.append(_row(name, "", of_set))
        languages = sorted({each.asked.language for each in of_set})
        rows += [
            _row(name, language, [each for each in of_set if each.asked.language == language])
            for language in languages
            if language and len(languages) > 1
        ]
    return rows if len(sets) == 1 else [*rows, _row(ALL, "", answers)]


def _row(name: str, language: str, answers: Sequence[Answer]) -> Row:
    return Row(name, language, len(answers), measure([each.places for each in answers]))


def _incidents_of(hits: Sequence[Hit]) -> Iterator[str]:
    """Yield the incidents that were found, each once: long documents may come in several passages."""
    yield from dict.fromkeys(str(hit.metadata.get("incident_id", hit.document_key)) for hit in hits)


def _retrieved(engine: Engine, query: str, limit: int) -> list[Hit]:
    """Ask, and wait where the knowledge base asks to slow down."""
    for attempt in range(1, _TRIES):
        try:
            return engine.knowledge_base.retrieve(query, limit=limit)
        except ThrottledError:
            engine.sleep(_WAIT_SECONDS**attempt)
    return engine.knowledge_base.retrieve(query, limit=limit)
