"""What the embedded search finds, in which order, and that no query breaks it."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kbsync.errors import UsageError
from kbsync.local.embedder import Embedder, HashEmbedder
from kbsync.local.knowledge_base import LocalKnowledgeBase
from kbsync.local.lexical import Scores, match_words
from kbsync.local.search import query_vector

Open = Callable[[Embedder | None], LocalKnowledgeBase]

DOCUMENTS = {
    "deadlock": "# Deadlock in billing\n\nORA-00060 while two jobs lock the same rows.",
    "certificate": "# Certificado caducado\n\nLa pasarela rechazó las conexiones: el certificado expiró.",
    "pool": "# Pool exhausted\n\nConnections to orders-db time out after 30 s.",
    "parts": "# Order 00060\n\nThe ORA team moved desks.",
    "disk": "# Disk full\n\nNo space left on device /dev/sda1, error 28.",
}


class SeparateEmbedder:
    """Another space: every text is equally far from every other, and the dimension is its own."""

    id = "all-alike"
    dimension = 8

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the same row for each text."""
        return np.tile(self.embed_query(""), (len(texts), 1))

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return the one vector there is."""
        del text
        return np.full(self.dimension, self.dimension**-0.5, dtype=np.float32)

    def release(self) -> None:
        """Nothing is held."""


def now() -> datetime:
    return datetime.now(UTC)


def put(folder: Path, documents: Mapping[str, str]) -> None:
    for name, text in documents.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def run_job(knowledge_base: LocalKnowledgeBase, token: str = "t" * 40) -> None:
    job = knowledge_base.start_job(description="", client_token=token)
    while not job.status.is_final:
        job = knowledge_base.job(job.job_id)


def names(knowledge_base: LocalKnowledgeBase, query: str, limit: int = 10) -> list[str]:
    return [hit.document_key.removesuffix(".md") for hit in knowledge_base.retrieve(query, limit=limit)]


@pytest.fixture
def open_at(tmp_path: Path) -> Open:
    """Open the knowledge base over one folder with an embedder of the test's choice."""
    return lambda embedder: LocalKnowledgeBase(tmp_path / "kb.db", tmp_path, "", embedder, now)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LocalKnowledgeBase]:
    """The documents above, searched by words and meaning, and by words only."""
    folder = tmp_path_factory.mktemp("search")
    put(folder, DOCUMENTS)
    hybrid = LocalKnowledgeBase(folder / "kb.db", folder, "", HashEmbedder(), now)
    run_job(hybrid)
    scanned = LocalKnowledgeBase(folder / "kb.db", folder, "", HashEmbedder(), now)
    lexical = LocalKnowledgeBase(folder / "kb.db", folder, "", None, now)
    return {"hybrid": hybrid, "scanned": scanned, "lexical": lexical}


@pytest.fixture(params=["hybrid", "scanned", "lexical"])
def knowledge_base(
    request: pytest.FixtureRequest, filled: dict[str, LocalKnowledgeBase], monkeypatch: pytest.MonkeyPatch
) -> LocalKnowledgeBase:
    """Search in memory, search in the file as where there are too many vectors, and without vectors."""
    if request.param == "scanned":
        monkeypatch.setattr("kbsync.local.columns.MOST_VECTORS", 0)
    return filled[str(request.param)]


def word_scores(knowledge_base: LocalKnowledgeBase, query: str) -> dict[int, float]:
    """Return what the query's words are worth, of the documents that have one of them."""
    file = knowledge_base._file
    with file.snapshot():
        scores = match_words(file, knowledge_base._search._columns.current(), query)
    return {number: float(score) for number, score in enumerate(scores) if score}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("deadlock ORA-00060", "deadlock"),
        ("la pasarela RECHAZO conexiones", "certificate"),
        ("connections to orders-db", "pool"),
        ("espacio /dev/sda1", "disk"),
    ],
    ids=["code", "accents and case", "name with a hyphen", "path"],
)
def test_best_document_comes_first(query: str, expected: str, knowledge_base: LocalKnowledgeBase) -> None:
    assert names(knowledge_base, query)[0] == expected


HOSTILE = {
    "quote": '"',
    "quotes": 'a "b" c\' --',
    "operators": "pool AND NOT (exhausted OR NEAR(a b, 2))",
    "column": "text: pool",
    "signs": "pool* ^exhausted {a b}: - + ~ ; DROP TABLE documents",
    "parentheses": "((((((((((",
    "emoji": "🔥 pool 👩\u200d💻",
    "nul": "pool\x00exhausted",
    "half characters": "pool \ud800\udfff",
    "only signs": "?!... ---",
    "only stop words": "the of and de la",
    "no stop": "1" * 10_000,
    "dashes": "a-" * 5_000,
    "underscores": "a_" * 5_000,
    "long": "pool exhausted " * 700,
    "many words": " ".join(f"word{number}" for number in range(2_000)),
    "other scripts": "数据库连接失败 हिन्दी ﷽ \u0301\u0301",
    "directions": "\u202epool\u202c \u200b\ufeff",
}


@pytest.mark.parametrize("query", HOSTILE.values(), ids=HOSTILE)
def test_hostile_query_is_only_text(query: str, knowledge_base: LocalKnowledgeBase) -> None:
    """A second is ample for five documents: none of these may make the search crawl."""
    started = time.perf_counter()

    hits = knowledge_base.retrieve(query, limit=5)

    assert time.perf_counter() - started < 1.0
    assert len(hits) <= 5
    assert all(0.0 <= hit.score <= 1.25 for hit in hits)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(min_size=1, max_size=60).filter(lambda text: bool(text.replace("\x00", " ").strip())))
def test_any_text_is_a_query(query: str, filled: dict[str, LocalKnowledgeBase]) -> None:
    hits = filled["lexical"].retrieve(query, limit=5)

    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.parametrize(
    ("query", "limit", "message"),
    [("", 5, "query or a filter"), (" \x00\n", 5, "query or a filter"), ("pool", 0, "at least one")],
    ids=["empty", "blank", "no hits"],
)
def test_search_for_nothing_is_refused(
    query: str, limit: int, message: str, knowledge_base: LocalKnowledgeBase
) -> None:
    with pytest.raises(UsageError, match=message):
        knowledge_base.retrieve(query, limit=limit)


@pytest.mark.parametrize("code", ["ORA-00060", "ora-00060", "(ORA-00060)."])
def test_code_as_it_is_written_beats_its_parts_apart(
    code: str, filled: dict[str, LocalKnowledgeBase]
) -> None:
    scores = word_scores(filled["lexical"], code)
    keys = dict(filled["lexical"]._file.query("SELECT document_id, key FROM documents"))

    by_key = {keys[number]: score for number, score in scores.items()}
    assert set(by_key) == {"deadlock.md", "parts.md"}
    assert by_key["deadlock.md"] > by_key["parts.md"]


def test_word_score_is_small_where_a_document_has_little_of_the_query(
    filled: dict[str, LocalKnowledgeBase],
) -> None:
    whole = max(word_scores(filled["lexical"], "disk full").values())
    little = max(word_scores(filled["lexical"], "disk unheard unseen unknown unspoken words").values())

    assert 0.0 < little < whole / 2
    assert whole < 1.0


def test_words_of_long_queries_are_bounded_by_the_rarest(open_at: Open, tmp_path: Path) -> None:
    common = {f"d{number:02}": f"common {' '.join(f'shared{n}' for n in range(80))}" for number in range(5)}
    put(tmp_path, common | {"rare": "common uncommonword"})
    knowledge_base = open_at(None)
    run_job(knowledge_base)

    query = " ".join(["common", *[f"shared{n}" for n in range(80)], "uncommonword"])

    assert len(word_scores(knowledge_base, query)) == 6
    assert names(knowledge_base, "uncommonword common")[0] == "rare"


def test_frequent_words_are_left_out_where_rarer_ones_fill_the_bound(
    filled: dict[str, LocalKnowledgeBase], monkeypatch: pytest.MonkeyPatch
) -> None:
    unbounded = word_scores(filled["lexical"], "deadlock connections")
    monkeypatch.setattr("kbsync.local.lexical._MOST_POSTINGS", 1)

    one = word_scores(filled["lexical"], "deadlock connections")

    assert len(unbounded) == 2
    assert len(one) == 1


def test_compound_that_no_document_has_counts_by_its_parts(filled: dict[str, LocalKnowledgeBase]) -> None:
    assert len(word_scores(filled["lexical"], "ORA-00061")) == 2


def test_equal_scores_come_in_the_order_of_their_keys(open_at: Open, tmp_path: Path) -> None:
    put(tmp_path, dict.fromkeys("cab", "# The same text"))
    knowledge_base = open_at(HashEmbedder())
    run_job(knowledge_base)

    assert names(knowledge_base, "same text") == ["a", "b", "c"]


@pytest.mark.parametrize("most_vectors", [0, 1_000], ids=["in the file", "in memory"])
@pytest.mark.parametrize("embedder", [HashEmbedder(), None], ids=["hybrid", "words"])
def test_cut_among_equal_scores_goes_by_key_too(
    open_at: Open,
    tmp_path: Path,
    embedder: HashEmbedder | None,
    most_vectors: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else two pages of one search would show some twice and others never."""
    monkeypatch.setattr("kbsync.local.columns.MOST_VECTORS", most_vectors)
    monkeypatch.setattr("kbsync.local.search._CANDIDATES", 10)
    keys = [f"{number * 37 % 100:02}" for number in range(100)]
    put(tmp_path, dict.fromkeys(keys, "# The same text"))
    knowledge_base = open_at(embedder)
    run_job(knowledge_base)

    for limit in (5, 30, 99):
        hits = knowledge_base.retrieve("same text", limit=limit)
        assert [hit.document_key.removeprefix("incidents/")[:2] for hit in hits] == sorted(keys)[:limit]


def test_empty_knowledge_base_finds_nothing(open_at: Open) -> None:
    assert names(open_at(HashEmbedder()), "pool") == []


def test_document_without_a_single_word_is_found_by_its_vector_only(open_at: Open, tmp_path: Path) -> None:
    put(tmp_path, {"signs": "!!! ???"})
    knowledge_base = open_at(HashEmbedder())
    run_job(knowledge_base)

    assert names(knowledge_base, "pool") == ["signs"]
    assert word_scores(knowledge_base, "pool") == {}


def test_search_by_words_only_says_so_and_embeds_nothing(open_at: Open, tmp_path: Path) -> None:
    put(tmp_path, DOCUMENTS)
    knowledge_base = open_at(None)

    run_job(knowledge_base)

    assert knowledge_base.describe() == {"mode": "lexical", "embedder": "none", "dimension": 0}
    assert knowledge_base.embedded == 0
    assert names(knowledge_base, "pool exhausted") == ["pool"]


def test_hybrid_search_names_its_embedder(open_at: Open) -> None:
    assert open_at(HashEmbedder()).describe() == {
        "mode": "hybrid",
        "embedder": "hashed-ngrams-for-tests",
        "dimension": 384,
    }


def test_changed_embedder_embeds_all_anew_and_loses_nothing_meanwhile(open_at: Open, tmp_path: Path) -> None:
    put(tmp_path, DOCUMENTS)
    run_job(open_at(HashEmbedder()))
    changed = open_at(SeparateEmbedder())

    before = names(changed, "pool exhausted orders-db")
    run_job(changed, "u" * 40)

    # Before the job there are no vectors of the new space: words alone find the document, and nothing fails.
    assert before[0] == "pool"
    assert changed.embedded == len(DOCUMENTS)
    assert names(changed, "pool exhausted orders-db")[0] == "pool"
    assert changed._file.query("SELECT DISTINCT space FROM embeddings") == [("all-alike/8/text-1",)]


def test_half_embedded_knowledge_base_still_finds_the_rest_by_words(
    open_at: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kbsync.local.ingestion.DOCUMENTS_PER_SLICE", 2)
    put(tmp_path, DOCUMENTS)
    run_job(open_at(SeparateEmbedder()))
    changed = open_at(HashEmbedder())
    job = changed.start_job(description="", client_token="u" * 40)
    for _ in range(2):
        job = changed.job(job.job_id)

    found = {
        query: names(changed, query)[0]
        for query in ("deadlock billing", "pool exhausted", "disk full device")
    }

    assert not job.status.is_final
    assert changed.embedded == 2
    assert found == {"deadlock billing": "deadlock", "pool exhausted": "pool", "disk full device": "disk"}


def test_search_sees_one_moment_while_a_job_deletes(
    open_at: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process's job between two reads of one search must not mix two states."""
    put(tmp_path, DOCUMENTS)
    knowledge_base = open_at(HashEmbedder())
    run_job(knowledge_base)
    (tmp_path / "pool.md").unlink()
    other = open_at(HashEmbedder())

    def deleted_meanwhile(*given: Any) -> Scores:
        found = match_words(*given)
        run_job(other, "u" * 40)
        return found

    monkeypatch.setattr("kbsync.local.search.match_words", deleted_meanwhile)
    during = names(knowledge_base, "pool exhausted")
    monkeypatch.undo()

    assert during[0] == "pool"
    assert "pool" not in names(knowledge_base, "pool exhausted")


def test_query_is_embedded_before_the_file_is_held(open_at: Open, tmp_path: Path) -> None:
    """Loading a model takes long: nobody who shares the object waits for it with the file locked."""
    put(tmp_path, DOCUMENTS)
    held = []

    class Watching(HashEmbedder):
        def embed_query(self, text: str) -> NDArray[np.float32]:
            held.append(knowledge_base._file._connection.in_transaction)
            return super().embed_query(text)

    knowledge_base = open_at(Watching())
    run_job(knowledge_base)
    held.clear()
    names(knowledge_base, "pool")

    assert held == [False]


def test_headline_of_a_query_counts_as_much_as_the_whole() -> None:
    embedder = HashEmbedder()
    title, rest = "Certificado caducado en la pasarela", "disk full on sda1, no space left\n" * 9

    vector = query_vector(embedder, f"{title}\n{rest}")

    to_title, to_whole = (float(vector @ embedder.embed_query(text)) for text in (title, f"{title}\n{rest}"))
    assert to_title == pytest.approx(to_whole, abs=1e-5)
    assert float(np.linalg.norm(vector)) == pytest.approx(1.0, abs=1e-5)
    assert np.array_equal(query_vector(embedder, title), embedder.embed_query(title))
