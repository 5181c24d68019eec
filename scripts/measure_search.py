"""How long a search takes, in milliseconds of the processor and by the clock: median and 95th percentile.

    python scripts/measure_search.py --home HOME --questions FILE      questions as for `kbsync eval`
    python scripts/measure_search.py --made-up 100000 --like INCIDENTS --questions FILE
    python scripts/measure_search.py --made-up 100000

With `--like`, documents are those of a file of incidents (JSON Lines), repeated until there are so many.
Without it they have 70 words each, drawn by Zipf's law from 30,000, none of them on the stop list, so that
queries of five and of all 70 of their words are the most that words can cost. Made-up documents have random
unit vectors. The index's part is all but the embedding of the query: words, exact nearest vectors, fusion,
ten whole hits. The first search of a process reads the vectors and is told apart. Time by the clock is noisy
where others work on the machine; the processor's time is less so.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from itertools import accumulate, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from kbsync.bootstrap import KNOWLEDGE_BASE
from kbsync.errors import UnreadableIncidentError
from kbsync.local.document_rows import DocumentRows
from kbsync.local.documents_folder import Reading
from kbsync.local.e5_model import Floats
from kbsync.local.embedder import Embedder, choose_embedder
from kbsync.local.ingestion import space_of
from kbsync.local.kb_schema import KnowledgeBaseFile
from kbsync.local.search import MOST_QUERY_CHARACTERS, Search, query_vector
from kbsync.model import Document, StoredIncident
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.pipeline.transform.transform import IncidentTransform
from kbsync.quality.questions import read_questions
from kbsync.query import telling_part

VOCABULARY = 30_000
WORDS = 70
SEARCHES = 100
PAGE = 500
SHORT = 160


@dataclass
class Remembering:
    """An embedder that embeds each query once, so that it can be timed apart."""

    embedder: Embedder
    vectors: dict[str, Floats] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The model's own name."""
        return self.embedder.id

    @property
    def dimension(self) -> int:
        """Numbers per vector."""
        return self.embedder.dimension

    def embed_documents(self, texts: Sequence[str]) -> Floats:
        """Return one unit row per text."""
        return self.embedder.embed_documents(texts)

    def embed_query(self, text: str) -> Floats:
        """Return one unit vector, from memory where it was asked for before."""
        if text not in self.vectors:
            self.vectors[text] = self.embedder.embed_query(text)
        return self.vectors[text]

    def release(self) -> None:
        """Give back what the model holds."""
        self.embedder.release()


def main() -> None:
    """Print one line for each kind of query."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--questions", type=Path)
    parser.add_argument("--made-up", type=int, metavar="COUNT")
    parser.add_argument("--like", type=Path, metavar="INCIDENTS")
    given = parser.parse_args()
    embedder = choose_embedder("auto")
    if embedder is None or not (given.home or given.made_up):
        parser.error("needs a model, and --home or --made-up")
    print("| documents | queries | n | index: CPU ms | index: ms | whole: CPU ms | whole: ms | first: CPU |")
    print("|---|---|---:|---:|---:|---:|---:|---:|", flush=True)
    asked = questions(given.questions) if given.questions else {}
    if given.home:
        timed("of the home", KnowledgeBaseFile(given.home / KNOWLEDGE_BASE), embedder, asked)
        return
    with TemporaryDirectory() as folder:
        file = KnowledgeBaseFile(Path(folder) / "knowledge_base.db")
        texts = like(given.like, given.made_up) if given.like else made_up(given.made_up)
        kept = fill(file, embedder, texts)
        five = {"five words": [" ".join(each.split()[:5]) for each in kept], f"{WORDS} words": kept}
        timed(f"{given.made_up} made up", file, embedder, asked or five)


def questions(path: Path) -> dict[str, list[str]]:
    """Return about a hundred of the questions, by what each asks with: short ones, and whole reports."""
    queries = [each.query for each in read_questions(path)]
    queries = queries[:: max(len(queries) // SEARCHES, 1)]
    return {
        "up to 160 characters": [each for each in queries if len(each) <= SHORT],
        "longer": [each for each in queries if len(each) > SHORT],
    }


def like(path: Path, count: int) -> Iterator[str]:
    """Yield the documents of these incidents again and again; each copy has a number of its own."""
    transform = IncidentTransform(TransformRules())
    bodies = []
    with path.open(encoding="utf-8") as lines:
        for item in map(json.loads, lines):
            with suppress(UnreadableIncidentError):
                wish = transform.desired(StoredIncident(str(item["incident_id"]), item, ""))
                if isinstance(wish, Document):
                    bodies.append(wish.body.decode())
    for number in range(count):
        yield f"{bodies[number % len(bodies)]}\n\nCopy {number // len(bodies)}."


def fill(file: KnowledgeBaseFile, embedder: Embedder, texts: Iterable[str]) -> list[str]:
    """Write the documents as an ingestion does, but for the model; return the texts of a few of them."""
    rows = DocumentRows(file, space_of(embedder))
    draw = np.random.default_rng(7)
    now = datetime.now(UTC)
    kept, numbered = [], enumerate(texts)
    while page := list(islice(numbered, PAGE)):
        vectors = draw.standard_normal((len(page), embedder.dimension)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        with file.transaction():
            for (number, text), vector in zip(page, vectors, strict=True):
                read = Reading(
                    key=f"incidents/{number}.md",
                    body_stat=str(number),
                    body_hash=sha256(text.encode()).hexdigest(),
                    text=text,
                    metadata={"incident_id": str(number)},
                )
                rows.write(read, rows.keep_embedding(text, vector.tobytes()), now)
        kept.append(page[0][1])
    return kept[:SEARCHES]


def made_up(count: int) -> Iterator[str]:
    """Yield texts whose words are as unequal as those of a language."""
    draw = random.Random(7)  # noqa: S311 - the same texts in every run
    weights = list(accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))
    for _ in range(count):
        words = draw.choices(range(VOCABULARY), cum_weights=weights, k=WORDS)
        yield " ".join(f"w{number}" for number in words)


def timed(name: str, file: KnowledgeBaseFile, embedder: Embedder, asked: Mapping[str, Sequence[str]]) -> None:
    """Search once for each query and print the times of its parts."""
    embedder.embed_query("the model is loaded")
    for kind, queries in asked.items():
        remembering = Remembering(embedder)
        search = Search(file, remembering, space_of(embedder))
        first = watched(search.retrieve, "nothing that any document has", limit=10, given=None)
        index, whole = [], []
        for query in queries:
            text = telling_part(query.strip())[:MOST_QUERY_CHARACTERS]
            embedded = watched(query_vector, remembering, text)
            found = watched(search.retrieve, query, limit=10, given=None)
            index.append(found)
            whole.append((embedded[0] + found[0], embedded[1] + found[1]))
        cells = [percentiles([each[way] for each in taken]) for taken in (index, whole) for way in (0, 1)]
        print(f"| {name} | {kind} | {len(queries)} | {' | '.join(cells)} | {first[0]:.0f} |", flush=True)


def watched(call: Callable[..., object], *given: object, **named: object) -> tuple[float, float]:
    """Return the milliseconds of the processor and of the clock that a call takes."""
    begun, worked = time.perf_counter(), time.process_time()
    call(*given, **named)
    return 1000 * (time.process_time() - worked), 1000 * (time.perf_counter() - begun)


def percentiles(taken: Sequence[float]) -> str:
    """Return the median and the 95th percentile."""
    return f"{statistics.median(taken):.1f}; {statistics.quantiles(taken, n=20)[18]:.0f}"


if __name__ == "__main__":
    main()
