"""kbsync as a person with a laptop has it: `kbsync import FILE`, then `kbsync sync`, each its own process.

    python -m benchmarks.peers.run_kbsync import STORE FILE
    python -m benchmarks.peers.run_kbsync sync STORE
    python -m benchmarks.peers.run_kbsync served STORE

The commands are the real ones; around them stands a clock, and around `EMBEDDER=hash` a count.
"""

import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.frame import Embedding, measured, version_of
from kbsync import bootstrap
from kbsync.cli.main import run

if TYPE_CHECKING:
    import numpy as np

    from kbsync.local.embedder import Embedder


class Counted:
    """The embedder of the home, with every text counted."""

    def __init__(self, embedder: "Embedder", embedding: Embedding) -> None:
        self.id, self.dimension = embedder.id, embedder.dimension
        self.embed_query, self.release = embedder.embed_query, embedder.release
        self._embedding = embedding
        embedding.embed = embedder.embed_query  # what embed_documents of this one does, text by text

    def embed_documents(self, texts: Sequence[str]) -> "np.ndarray":
        """Return one unit row per text, in order."""
        return self._embedding(texts)


def command(store: Path, arguments: Sequence[str], embedding: Embedding) -> Mapping[str, int]:
    """Run one command of the CLI in this process and return what it counted."""
    os.environ.update(KBSYNC_HOME=str(store), EMBEDDER="hash")
    choose = bootstrap._choose_embedder  # noqa: SLF001 - the one place where every command's embedder comes from

    def counted(name: str) -> Any:
        embedder = choose(name)
        return Counted(embedder, embedding) if embedder else None

    bootstrap._choose_embedder = counted  # noqa: SLF001 - as above
    said = io.StringIO()
    sys.argv = ["kbsync", "--json", *arguments]
    with redirect_stdout(said), suppress(SystemExit):
        run()
    told = json.loads(said.getvalue())
    if arguments[0] == "import":
        return {"read": told["imported"] + told["updated"] + told["unchanged"]}
    return {"written": told["published"], "deleted": told["withdrawn"], "failed": told["failed"]}


def served(store: Path) -> Mapping[str, str]:
    """Return the text of every document that search can find."""
    from kbsync.local.kb_schema import KnowledgeBaseFile  # noqa: PLC0415 - no command pays for it

    file = KnowledgeBaseFile(store / bootstrap.KNOWLEDGE_BASE)
    rows = file.query("SELECT metadata, text FROM documents WHERE status = 'INDEXED'")
    file.close()
    return {json.loads(metadata)["incident_id"]: text for metadata, text in rows}


def main() -> None:
    """Do what the command line asks, and print one JSON line."""
    asked, store = sys.argv[1], Path(sys.argv[2])
    if asked == "served":
        print(json.dumps({key: version_of(text) for key, text in served(store).items()}))
        return
    arguments = [asked, *sys.argv[3:]]
    print(json.dumps(measured(lambda embedding: command(store, arguments, embedding), Embedding())))


if __name__ == "__main__":
    main()
