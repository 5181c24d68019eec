"""The benchmark beside other tools: its parts on ten documents, kbsync, and each peer installed here."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.__main__ import crash, difference, measure, report
from benchmarks.peers.corpus import Corpus
from benchmarks.peers.frame import hashed, version_of
from benchmarks.peers.tools import NAMES, OURS, Tool, environment_of, installed, versions
from kbsync.local.embedder import HashEmbedder

PEERS = [name for name in NAMES if not name.startswith(OURS)]
TEXTS = ("El servicio de pagos falló.", "ORA-00060: deadlock detected while waiting for resource", "Straße 7")


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    documents = tmp_path / "documents.jsonl"
    lines = (
        {
            "incident_id": f"INC-{number}",
            "status": "CLOSED",
            "title": f"Pool {number} exhausted",
            "description": f"Node {number} refused connections.",
            "resolution": {"description": f"Raised pool {number}."},
        }
        for number in range(10)
    )
    documents.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    (tmp_path / "files").mkdir()
    return Corpus(documents, tmp_path / "files")


def tool_of(name: str) -> Tool:
    if not name.startswith(OURS) and not environment_of(name).exists():
        pytest.skip(f"{name} is not installed here: `make bench-peers` does it")
    return Tool(name, installed(name) if name.startswith(OURS) else environment_of(name))


@pytest.mark.parametrize("text", TEXTS)
def test_peers_embedder_gives_the_vectors_of_our_hash_embedder(text: str) -> None:
    assert np.array_equal(hashed(text), HashEmbedder().embed_query(text))


def test_each_case_changes_other_incidents_and_moves_their_cursor(corpus: Corpus) -> None:
    before = {each["incident_id"]: each["updated_at"] for each in corpus.incidents}

    edited, reopened, removed = corpus.edited(1), corpus.reopened(), corpus.removed()

    changed = (edited.changed_ids, reopened.changed_ids, removed.changed_ids)
    assert [len(ids) for ids in changed] == [1, 1, 1]
    assert len(frozenset().union(*changed)) == 3
    after = {each["incident_id"]: each["updated_at"] for each in corpus.incidents}
    assert {each for each in after if after[each] > before[each]} == edited.changed_ids | reopened.changed_ids
    assert len(corpus.expected) == 8
    assert {each for each, version in corpus.expected.items() if version == 1} == edited.changed_ids
    assert len(reopened.whole.read_text().splitlines()) == 10
    assert len(removed.whole.read_text().splitlines()) == 9


def test_difference_names_what_is_missing_stale_and_left_over() -> None:
    assert (
        difference({"A": 0, "B": 1, "D": 0}, {"A": 1, "B": 1, "C": 0}) == "1 missing, 1 stale, 1 to be gone"
    )
    assert difference({"A": 1}, {"A": 1}) == "none"


def test_version_is_read_from_a_served_text() -> None:
    assert version_of("# Title\n\nThe benchmark edited this, version 12.") == 12
    assert version_of("# Title") == 0


def test_peers_versions_are_those_of_the_pinned_lists() -> None:
    assert versions("cocoindex").startswith("cocoindex 1.")
    for name in PEERS:
        pinned = Path(f"benchmarks/peers/{name}.txt").read_text()
        assert versions(name), name
        assert "http" not in pinned.split("==")[0], "no address of a mirror"
        assert all(
            "--hash=sha256:" in part for part in pinned.replace("\\\n", " ").splitlines() if "==" in part
        )


@pytest.mark.slow
def test_kbsync_serves_what_it_must_after_each_case(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: all cases, each command a process of its own, and a crash."""
    results = measure([tool_of(OURS)], corpus, tmp_path, rounds=1)
    report(results)

    told = {case: rounds[0].told for case, rounds in results.figures[OURS].items()}
    assert (told["cold"]["written"], told["cold"]["embedded"]) == (10, 10)
    assert (told["no-op"]["written"], told["no-op"]["embedded"]) == (0, 0)
    assert (told["1 % edited"]["written"], told["1 % edited"]["embedded"]) == (1, 1)
    assert told["reopened"]["deleted"] == 1
    assert results.wrong[OURS]["reopened"] == "none"
    # A line that is absent is never a deletion, so this one is still served.
    assert results.still_served[OURS] == {"reopened": "0 of 1", "removed": "1 of 1"}
    assert results.crashed[OURS].endswith("| none")
    assert "| kbsync | 1 % edited | 1 | 1 | 0 |" in capsys.readouterr().out


def test_told_what_changed_kbsync_imports_that_alone_and_nothing_where_nothing_did(
    corpus: Corpus, tmp_path: Path
) -> None:
    tool, store = tool_of("kbsync, told"), tmp_path / "store"
    files = corpus.edited(1)

    first = tool.commands(store, files)
    store.mkdir()

    assert first == [["import", str(store), str(files.whole)], ["sync", str(store)]]
    assert tool.commands(store, files) == [["import", str(store), str(files.changed)], ["sync", str(store)]]
    assert tool.commands(store, corpus.same("no-op")) == [["sync", str(store)]]


@pytest.mark.slow
@pytest.mark.parametrize("name", PEERS)
def test_peer_serves_what_it_loaded(name: str, corpus: Corpus, tmp_path: Path) -> None:
    """Slow: a peer's imports take seconds. Skipped where its environment was not made."""
    tool = tool_of(name)
    store = tmp_path / "store"

    cold = tool.sync(store, corpus.same("cold"))
    edited = tool.sync(store, corpus.edited(1))

    assert (cold.told["written"], cold.told["embedded"], edited.told["embedded"]) == (10, 10, 1)
    assert difference(tool.served(store), corpus.expected) == "none"
    files = corpus.same("crash")
    assert "missing" not in crash(tool, files, corpus.expected, tmp_path)
