"""What every runner shares: the command line, the reading of a file, the text, the embedder, the clock.

    python -m benchmarks.peers.run_NAME sync STORE FILE
    python -m benchmarks.peers.run_NAME served STORE

`sync` ends with one JSON line: seconds and processor seconds after the imports, and counts. `served` prints
which version of which incident the store would answer with. Needs numpy and the standard library only: it
runs in every environment.
"""

import json
import os
import re
import resource
import signal
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

if TYPE_CHECKING:
    import numpy as np

CLOSED = "CLOSED"
DIMENSION = 384
EDIT = "The benchmark edited this, version"
KILL_AFTER = "BENCHMARK_KILL_AFTER"
EMBEDDED_LOG = "BENCHMARK_EMBEDDED_LOG"
_VERSION = re.compile(rf"{EDIT} (\d+)")
_WORD = re.compile(r"\w+")

Incident = Mapping[str, Any]


def incidents(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the incidents of a file, one a line."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def is_wanted(incident: Incident) -> bool:
    """Tell whether an incident is to be searchable."""
    return bool(incident["status"] == CLOSED)


def text_of(incident: Incident) -> str:
    """Return what a tool embeds and serves: the incident's own words."""
    resolution = incident.get("resolution") or {}
    parts = (incident.get("title"), incident.get("description"), incident.get("error_message"))
    return "\n\n".join(str(part) for part in (*parts, resolution.get("description")) if part)


def version_of(text: str) -> int:
    """Return the number of the edit that a served text shows; 0 is the first version."""
    found = _VERSION.search(text)
    return int(found[1]) if found else 0


def hashed(text: str) -> "np.ndarray":
    """Return hashed character n-grams as a unit vector: kbsync's `EMBEDDER=hash`, restated for every tool."""
    import numpy as np  # noqa: PLC0415 - a run that embeds nothing need not pay for it

    counts = np.zeros(DIMENSION, dtype=np.float32)
    folded = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode("ascii")
    for word in _WORD.findall(folded):
        padded = f"<{word}>"
        for size in (3, 4):
            for start in range(len(padded) - size + 1):
                counts[crc32(padded[start : start + size].encode()) % DIMENSION] += 1
    counts = np.sqrt(counts)
    counts[0] += 1e-6
    unit: np.ndarray = counts / np.linalg.norm(counts)
    return unit


@dataclass
class Embedding:
    """Embeds, counts, and where it was asked to, dies in the middle as in a crash, at a place that repeats.

    Each text is counted in a log outside of the store before its vector is returned: a kill hides none.
    """

    embed: "Callable[[str], np.ndarray]" = hashed
    count: int = 0
    seconds: float = 0.0
    kill_after: int = field(default_factory=lambda: int(os.environ.get(KILL_AFTER, "0")))

    def __call__(self, texts: Sequence[str]) -> "np.ndarray":
        """Return one unit row per text, in order."""
        import numpy as np  # noqa: PLC0415 - as above

        begun = time.thread_time()
        rows = np.stack([self.embed(text) for text in texts])
        self.seconds += time.thread_time() - begun
        self.count += len(texts)
        if log := os.environ.get(EMBEDDED_LOG):
            with Path(log).open("a", encoding="ascii") as counted:
                counted.write(f"{len(texts)}\n")
        if self.kill_after and self.count >= self.kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        return rows


@dataclass(frozen=True)
class Runner:
    """One tool: `sync` makes the store true to the file and counts; `served` tells what it would answer."""

    sync: Callable[[Path, Path, Embedding], Mapping[str, int]]
    served: Callable[[Path], Mapping[str, str]]


def main(runner: Runner) -> None:
    """Do what the command line asks, and print one JSON line."""
    asked, store = sys.argv[1], Path(sys.argv[2])
    if asked == "served":
        answer: Mapping[str, Any] = {key: version_of(text) for key, text in runner.served(store).items()}
    else:
        answer = measured(lambda embedding: runner.sync(store, Path(sys.argv[3]), embedding), Embedding())
    print(json.dumps(answer))


def measured(work: Callable[[Embedding], Mapping[str, int]], embedding: Embedding) -> dict[str, Any]:
    """Run the work and return its counts with what it took since the imports."""
    begun, cpu = time.perf_counter(), time.process_time()
    counts = work(embedding)
    return {
        **counts,
        "embedded": embedding.count,
        "embedding_seconds": embedding.seconds,
        "inside_seconds": time.perf_counter() - begun,
        "inside_cpu_seconds": time.process_time() - cpu,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
