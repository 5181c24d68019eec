"""The child process of embedding_pool.py: texts on standard input, their vectors on standard output.

It ends when its input ends, so it cannot outlive its parent, however that one died.
"""

import json
import signal
import struct
import sys
from pathlib import Path
from typing import BinaryIO

from kbsync.local.e5 import E5

LENGTH = struct.Struct("<I")


def serve(model: E5, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer each request (a length, then JSON: prefix and texts) with its rows as float32, until the end."""
    while header := requests.read(LENGTH.size):
        prefix, texts = json.loads(requests.read(LENGTH.unpack(header)[0]))
        replies.write(model.embed(texts, prefix=prefix).tobytes())
        replies.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer; it closes the pipe
    serve(E5(Path(sys.argv[1])), sys.stdin.buffer, sys.stdout.buffer)
