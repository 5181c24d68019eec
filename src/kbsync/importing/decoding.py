"""Bytes of a file as lines of text, one at a time: UTF-8, or UTF-16 where a byte order mark says so.

Imports nothing of ours. Invariant: a line longer than the limit never stands in memory whole.
"""

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

MAX_LINE_CHARACTERS = 16 * 1024 * 1024
"""Well over DynamoDB's largest item (400 KB), so that a broken file cannot fill the memory."""

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UNDECODED = re.compile("[\udc80-\udcff]")


@contextmanager
def decoded(stream: BinaryIO, *, newline: str, encoding: str = "utf-8-sig") -> Iterator[io.TextIOWrapper]:
    """Open a stream as text whose lines keep their ends (`newline` as in `open`); the stream stays open.

    Bytes that the encoding does not know come as lone surrogates (`is_undecoded`), so that one bad line
    costs no other. A byte order mark of UTF-16 goes before `encoding`.
    """
    buffered = io.BufferedReader(cast("io.RawIOBase", stream))
    if buffered.peek(2)[:2] in _UTF_16_MARKS:
        text = io.TextIOWrapper(buffered, encoding="utf-16", errors="replace", newline=newline)
    else:
        text = io.TextIOWrapper(buffered, encoding=encoding, errors="surrogateescape", newline=newline)
    try:
        yield text
    finally:
        text.detach()
        buffered.detach()


def is_undecoded(text: str) -> bool:
    """Tell whether the text holds bytes that were no UTF-8."""
    return not text.isascii() and _UNDECODED.search(text) is not None
