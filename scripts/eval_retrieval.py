"""Measure what search finds: import, sync and query a labelled set through the real product.

    python scripts/eval_retrieval.py FOLDER [FOLDER ...] [--keep HOMES]

A folder holds `documents.jsonl`, incidents as `kbsync import` takes them, and `queries.jsonl` with `set`,
`query`, `query_short`, `relevant_ids` and `exclude_ids` (left out of the ranking before it is scored).
Each folder gets a fresh home, or with --keep one below HOMES that a second evaluation goes on with. Prints
Markdown; what it means stands in docs/QUALITY.md.
"""

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from kbsync.bootstrap import DOCUMENTS, KNOWLEDGE_BASE, build_engine, utc_now
from kbsync.engine import Engine
from kbsync.importing.json_lines import read_json_lines
from kbsync.importing.records import Accepted
from kbsync.local.embedder import choose_embedder
from kbsync.local.kb_schema import KnowledgeBaseFile
from kbsync.local.knowledge_base import LocalKnowledgeBase
from kbsync.model import State
from kbsync.pipeline.changes import upsert_incidents
from kbsync.pipeline.sync import sync_once
from kbsync.ports import KnowledgeBase
from kbsync.run_report import RunReport
from kbsync.setting_sources import load_settings
from kbsync.settings import Settings

LOOKED_AT = 50
RESAMPLES = 2_000
Ranking = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class Query:
    """One question with its right answers."""

    set_name: str
    texts: dict[str, str]
    relevant: frozenset[str]
    excluded: frozenset[str]


def main() -> int:
    """Evaluate every folder named; 1 where a document did not become searchable."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--embedder", default="auto", help="as KBSYNC_EMBEDDER (default: auto)")
    parser.add_argument("--keep", type=Path, metavar="HOMES", help="keep each set's home in this folder")
    given = parser.parse_args()
    complete = True
    with tempfile.TemporaryDirectory() as fresh:
        for folder in given.folders:
            home = (given.keep or Path(fresh)) / folder.resolve().name
            complete &= evaluate(folder, load_settings({"home": home, "embedder": given.embedder}, {}))
    return 0 if complete else 1


def evaluate(folder: Path, settings: Settings) -> bool:
    """Print one folder's tables; False where not every document was indexed."""
    engine = build_engine(settings)
    started = time.monotonic()
    count = import_documents(engine, folder / "documents.jsonl")
    imported = time.monotonic()
    report = sync_once(engine, progress=show_progress)
    synced = time.monotonic()
    print(f"## {folder.name}\n")
    print(f"{count} incidents imported in {imported - started:.0f} s.")
    print(f"Synced in {synced - imported:.0f} s: {counts(report)}.")
    queries = list(read_queries(folder / "queries.jsonl"))
    print("\n| set | query | ranking | n | hit@1 | hit@5 | MRR |\n|---|---|---|---|---|---|---|")
    for name, ranking in rankings(engine.knowledge_base, settings).items():
        for (set_name, field), places in sorted(places_of(queries, ranking).items()):
            print(f"| {set_name} | {field} | {name} | {len(places)} | {scores(places)} |", flush=True)
    print(f"\n{latency(engine.knowledge_base, queries)}\n")
    return engine.ledger.count_records()[0].get(State.INDEXED) == count


def import_documents(engine: Engine, path: Path) -> int:
    """Import a file as the command does, in pages; returns how many incidents were taken."""
    count = 0
    with path.open("rb") as stream:
        accepted = (line.attributes for line in read_json_lines(stream) if isinstance(line, Accepted))
        while page := list(islice(accepted, 100)):
            upsert_incidents(engine, page)
            count += len(page)
    return count


def show_progress(step: str, done: int, total: int | None) -> None:
    """Say on the terminal how far the sync is; the tables go to standard output."""
    if sys.stderr.isatty():
        print(f"\r{step} {done} of {total}    ", end="", file=sys.stderr)


def counts(report: RunReport) -> str:
    """Return what a run did in a few words."""
    return f"{report.status}, {report.published} published, {report.indexed} indexed, {report.failed} failed"


def read_queries(path: Path) -> Iterator[Query]:
    """Yield the queries of a file."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            given = json.loads(line)
            texts = {"full": given["query"], "short": given["query_short"]}
            relevant, excluded = frozenset(given["relevant_ids"]), frozenset(given["exclude_ids"])
            yield Query(given["set"], texts, relevant, excluded)


def rankings(knowledge_base: KnowledgeBase, settings: Settings) -> dict[str, Ranking]:
    """Return the product's search, and for comparison its two halves alone."""

    def searched(subject: KnowledgeBase) -> Ranking:
        return lambda text, limit: [
            str(hit.metadata["incident_id"]) for hit in subject.retrieve(text, limit=limit)
        ]

    home = settings.home
    words = LocalKnowledgeBase(home / KNOWLEDGE_BASE, home / DOCUMENTS, settings.s3_prefix, None, utc_now)
    found = {"words and meaning": searched(knowledge_base), "words only": searched(words)}
    if choose_embedder(settings.embedder) is None:
        return {"words only": found["words only"]}
    return found | {"meaning only": by_vectors(settings)}


def by_vectors(settings: Settings) -> Ranking:
    """Return a ranking by the cosine alone, over the vectors that the sync has stored."""
    embedder = choose_embedder(settings.embedder)
    assert embedder is not None  # noqa: S101 - the caller has asked
    rows = KnowledgeBaseFile(settings.home / KNOWLEDGE_BASE).query(
        "SELECT json_extract(d.metadata, '$.incident_id'), e.vector FROM documents AS d"
        " JOIN embeddings AS e ON e.embedding_id = d.embedding_id ORDER BY d.key"
    )
    names = [str(row[0]) for row in rows]
    vectors = np.stack([np.frombuffer(row[1], dtype=np.float32) for row in rows])

    def ranking(text: str, limit: int) -> list[str]:
        cosines = vectors @ embedder.embed_query(text[:4_000])
        return [names[number] for number in np.argsort(-cosines, kind="stable")[:limit]]

    return ranking


def places_of(queries: Sequence[Query], ranking: Ranking) -> dict[tuple[str, str], list[int]]:
    """Return the place of the first right answer per set and query text; 0: not among the first."""
    places: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for query in queries:
        for field, text in query.texts.items():
            hits = [
                hit for hit in ranking(text, LOOKED_AT + len(query.excluded)) if hit not in query.excluded
            ]
            right = [place for place, hit in enumerate(hits[:LOOKED_AT], start=1) if hit in query.relevant]
            places[query.set_name, field].append(min(right, default=0))
    return places


def scores(places: Sequence[int]) -> str:
    """Return the three measures as table cells, each with its 95 % interval."""
    gains = [1 / place if place else 0.0 for place in places]
    draw = random.Random(7)  # noqa: S311 - the same intervals in every run
    means = sorted(statistics.fmean(draw.choices(gains, k=len(gains))) for _ in range(RESAMPLES))
    low, high = means[round(RESAMPLES * 0.025)], means[round(RESAMPLES * 0.975) - 1]
    cells = [wilson(sum(0 < place <= within for place in places), len(places)) for within in (1, 5)]
    return " | ".join([*cells, f"{statistics.fmean(gains):.3f} ({low:.3f} to {high:.3f})"])


def wilson(hits: int, count: int) -> str:
    """Return a share and its Wilson interval.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    z, share = 1.96, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return f"{share:.3f} ({middle - half:.3f} to {middle + half:.3f})"


def latency(knowledge_base: KnowledgeBase, queries: Sequence[Query]) -> str:
    """Return how long a search with ten hits takes, over every fifth query."""
    milliseconds = []
    for query in queries[::5]:
        started = time.perf_counter()
        knowledge_base.retrieve(query.texts["full"], limit=10)
        milliseconds.append(1000 * (time.perf_counter() - started))
    cuts = statistics.quantiles(milliseconds, n=20)
    return f"One search, full query: median {cuts[9]:.0f} ms, 95 % within {cuts[18]:.0f} ms."


if __name__ == "__main__":
    sys.exit(main())
