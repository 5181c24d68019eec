"""How long a search takes, in milliseconds: median and 95th percentile, over a home or made-up documents.

    python scripts/measure_search.py --home HOME --questions FILE    questions as for `kbsync eval`
    python scripts/measure_search.py --synthetic 50000              made-up documents

Made-up documents have 70 words each, drawn by Zipf's law from 30,000, and random unit vectors; queries are
five words, or all words, of one of them. The model embeds the queries either way: it is part of every search.
Each search asks for ten hits, in a process that has searched before. Time by the clock is noisy where others
work on the machine; the processor's time, which is printed beside it, is less so.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from kbsync.bootstrap import build_engine
from kbsync.local.document_rows import DocumentRows
from kbsync.local.documents_folder import Reading
from kbsync.local.embedder import Embedder, choose_embedder
from kbsync.local.ingestion import space_of
from kbsync.local.kb_schema import KnowledgeBaseFile
from kbsync.local.search import Search
from kbsync.quality.questions import read_questions
from kbsync.setting_sources import load_settings

VOCABULARY = 30_000
WORDS = 70
SEARCHES = 100
PAGE = 500


def main() -> None:
    """Print one line for each kind of query."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--questions", type=Path)
    parser.add_argument("--synthetic", type=int, metavar="COUNT")
    given = parser.parse_args()
    if given.synthetic:
        with TemporaryDirectory() as folder:
            synthetic(Path(folder) / "knowledge_base.db", given.synthetic)
    elif given.home and given.questions:
        engine = build_engine(load_settings({"home": given.home}, {}))
        queries = [each.query for each in read_questions(given.questions)]
        timed(
            given.questions.name, queries[:: max(len(queries) // SEARCHES, 1)], engine.knowledge_base.retrieve
        )
    else:
        parser.error("give --home and --questions, or --synthetic")


def synthetic(path: Path, count: int) -> None:
    """Fill a file and search it with queries of its own words."""
    embedder = choose_embedder("auto")
    if embedder is None:
        sys.exit("no model is installed")
    texts = fill(KnowledgeBaseFile(path), embedder, count)
    search = Search(KnowledgeBaseFile(path), embedder, space_of(embedder))

    def retrieve(query: str, *, limit: int) -> object:
        return search.retrieve(query, limit=limit, given=None)

    timed(f"{count} made-up documents, five words", [" ".join(each.split()[:5]) for each in texts], retrieve)
    timed(f"{count} made-up documents, {WORDS} words", texts, retrieve)


def fill(file: KnowledgeBaseFile, embedder: Embedder, count: int) -> list[str]:
    """Write the documents as an ingestion does, but for the model; return the texts of a few of them."""
    rows = DocumentRows(file, space_of(embedder))
    draw = np.random.default_rng(7)
    now = datetime.now(UTC)
    kept = []
    for start in range(0, count, PAGE):
        numbers = range(start, min(start + PAGE, count))
        vectors = draw.standard_normal((len(numbers), embedder.dimension)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        with file.transaction():
            for text, number, vector in zip(made_up(len(numbers), start), numbers, vectors, strict=True):
                read = Reading(
                    key=f"incidents/{number}.md",
                    body_stat=str(number),
                    body_hash=sha256(text.encode()).hexdigest(),
                    text=text,
                    metadata={"incident_id": str(number)},
                )
                rows.write(read, rows.keep_embedding(text, vector.tobytes()), now)
                if number % max(count // SEARCHES, 1) == 0:
                    kept.append(text)
    return kept


def made_up(count: int, seed: int) -> Iterator[str]:
    """Yield texts whose words are as unequal as those of a language."""
    draw = random.Random(seed)  # noqa: S311 - the same texts in every run
    weights = list(accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))
    for _ in range(count):
        yield " ".join(
            f"w{number}" for number in draw.choices(range(VOCABULARY), cum_weights=weights, k=WORDS)
        )


def timed(name: str, queries: Sequence[str], retrieve: Callable[..., object]) -> None:
    """Search once for each query, after a first search that loads the model, and print the times."""
    retrieve(queries[0], limit=10)
    clock, processor = [], []
    for query in queries:
        begun, worked = time.perf_counter(), time.process_time()
        retrieve(query, limit=10)
        clock.append(1000 * (time.perf_counter() - begun))
        processor.append(1000 * (time.process_time() - worked))
    cells = [f"{value:.0f}" for taken in (clock, processor) for value in percentiles(taken)]
    print(f"| {name} | {len(queries)} | {' | '.join(cells)} |", flush=True)


def percentiles(taken: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 95th percentile."""
    return statistics.median(taken), statistics.quantiles(taken, n=20)[18]


if __name__ == "__main__":
    main()
