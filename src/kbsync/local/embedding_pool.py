"""Two child processes that embed many texts at once, each with one BLAS thread.

Measured (EMBEDDED.md, section 3): 37 documents a second against 25 in one process with two threads. Children
are plain programs with pipes, so nothing is inherited from a parent that has threads or an open database.
"""

import json
import os
import subprocess
import sys
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np

from kbsync.errors import UnavailableError
from kbsync.local.e5_model import Floats
from kbsync.local.embedding_worker import LENGTH

_TEXTS_PER_REQUEST = 8
_SINGLE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class EmbeddingPool:
    """Starts its processes at the first texts and keeps them until `close` or the end of this process."""

    def __init__(self, model_path: Path, *, workers: int, dimension: int) -> None:
        self._model_path = model_path
        self._workers = workers
        self._dimension = dimension
        self._processes: list[subprocess.Popen[bytes]] = []
        weakref.finalize(self, _end, self._processes)

    def embed(self, texts: Sequence[str], *, prefix: str) -> Floats:
        """Return one unit row per text, in order.

        Raises:
            UnavailableError (retriable): a child process died; the next call starts new ones.
        """
        rows = np.empty((len(texts), self._dimension), dtype=np.float32)
        requests: SimpleQueue[list[int]] = SimpleQueue()
        by_length = sorted(range(len(texts)), key=lambda number: -len(texts[number]))
        for start in range(0, len(by_length), _TEXTS_PER_REQUEST):
            requests.put(by_length[start : start + _TEXTS_PER_REQUEST])

        def drain(process: subprocess.Popen[bytes]) -> None:
            while True:
                try:
                    numbers = requests.get_nowait()
                except Empty:
                    return
                rows[numbers] = self._ask(process, [texts[number] for number in numbers], prefix)

        with ThreadPoolExecutor(self._workers) as threads:
            try:
                list(threads.map(drain, self._running()))
            except OSError as error:
                self.close()
                raise UnavailableError(f"an embedding process ended before it answered: {error}") from error
            except BaseException:
                self.close()  # an interrupted caller does not wait for the texts in hand
                raise
        return rows

    def close(self) -> None:
        """End the child processes; a later `embed` starts new ones."""
        _end(self._processes)

    def _running(self) -> list[subprocess.Popen[bytes]]:
        while len(self._processes) < self._workers:
            command = [sys.executable, "-m", "kbsync.local.embedding_worker", str(self._model_path)]
            environment = os.environ | _SINGLE_THREAD
            self._processes.append(
                subprocess.Popen(  # noqa: S603 - our own module in our own interpreter
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
                )
            )
        return list(self._processes)

    def _ask(self, process: subprocess.Popen[bytes], texts: Sequence[str], prefix: str) -> Floats:
        assert process.stdin is not None  # noqa: S101 - both are pipes; for the types
        assert process.stdout is not None  # noqa: S101
        request = json.dumps([prefix, texts]).encode("ascii")
        process.stdin.write(LENGTH.pack(len(request)) + request)
        process.stdin.flush()
        expected = len(texts) * self._dimension * 4
        reply = process.stdout.read(expected)
        if len(reply) < expected:
            raise OSError("no reply")
        return np.frombuffer(reply, dtype=np.float32).reshape(len(texts), self._dimension)


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    while processes:
        process = processes.pop()
        process.kill()
        process.communicate()
