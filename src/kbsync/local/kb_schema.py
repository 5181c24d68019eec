"""The embedded knowledge base's own SQLite file: documents, words, vectors and jobs.

All of it can be built again from the documents folder; the vectors are kept by text hash, so that a second
indexing of the same text costs no embedding. Invariant: a document, its words and its attributes change
together.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from kbsync.errors import MissingExtraError
from kbsync.local.database import LocalDatabase
from kbsync.local.model_file import INSTALL_HINT

try:
    import apsw
except ImportError as missing:
    raise MissingExtraError("local mode needs apsw", hint=INSTALL_HINT) from missing

KB_MIGRATIONS = (
    """
    CREATE TABLE documents (
        document_id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        status TEXT NOT NULL,
        reason TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        body_stat TEXT NOT NULL,  -- what the file system said of the bytes that were read
        sidecar_stat TEXT NOT NULL,
        body_hash TEXT NOT NULL,
        sidecar_hash TEXT NOT NULL,
        embedding_id INTEGER,  -- NULL where it is found by words only
        space TEXT NOT NULL,
        word_count INTEGER NOT NULL,
        text TEXT NOT NULL,
        metadata TEXT NOT NULL
    );
    CREATE INDEX documents_by_embedding ON documents (status, embedding_id, document_id);
    CREATE TABLE attributes (
        document_id INTEGER NOT NULL,
        key TEXT NOT NULL,
        kind TEXT NOT NULL,
        value  -- text, number, or 0 and 1 for booleans: kind tells
    );
    CREATE INDEX attributes_by_document ON attributes (document_id, key, kind, value);
    CREATE INDEX attributes_by_value ON attributes (key, kind, value, document_id);
    CREATE TABLE embeddings (
        embedding_id INTEGER PRIMARY KEY,
        text_hash TEXT NOT NULL,
        space TEXT NOT NULL,
        vector BLOB NOT NULL,
        UNIQUE (text_hash, space)
    );
    CREATE VIRTUAL TABLE document_words USING fts5 (
        text, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2'
    );
    CREATE VIRTUAL TABLE word_places USING fts5vocab (document_words, instance);
    CREATE VIRTUAL TABLE word_documents USING fts5vocab (document_words, row);
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY,
        job_id TEXT NOT NULL UNIQUE,
        client_token TEXT NOT NULL UNIQUE,
        description TEXT NOT NULL,
        status TEXT NOT NULL,
        started_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        statistics TEXT NOT NULL,
        failure_reasons TEXT NOT NULL
    );
    CREATE TABLE job_tasks (
        task_id INTEGER PRIMARY KEY,
        key TEXT NOT NULL,
        action TEXT NOT NULL
    );
    """,
)


class KnowledgeBaseFile(LocalDatabase):
    """The file, opened with the vector functions of sqlite-vec and the word cutter of its own word index."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, migrations=KB_MIGRATIONS)
        self._connection.enable_load_extension(True)
        self._connection.load_extension(_vector_extension())
        self._connection.enable_load_extension(False)
        self._tokenizer = self._connection.fts5_tokenizer("unicode61", ["remove_diacritics", "2"])

    def words(self, text: str) -> list[str]:
        """Return the words of a text as the index holds them: folded, without accents, in order."""
        with self._lock:
            return [
                str(word)
                for word in self._tokenizer(
                    text.encode("utf-8", "replace"),
                    apsw.FTS5_TOKENIZE_DOCUMENT,
                    None,
                    include_offsets=False,
                    include_colocated=False,
                )
            ]

    def version(self) -> tuple[int, int]:
        """Return what differs after any write to the file, by this connection or another."""
        with self._lock:
            return int(self.query("PRAGMA data_version")[0][0]), self._connection.total_changes()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Make the block's reads see one moment of the file, whatever others write; it writes nothing."""
        with self._lock:
            self.query("BEGIN")
            try:
                yield
            finally:
                self.query("ROLLBACK")


def _vector_extension() -> str:
    """Return the path of sqlite-vec's extension, as `loadable_path` does: its package imports numpy."""
    spec = find_spec("sqlite_vec")
    if spec is None or spec.origin is None:
        raise MissingExtraError("local mode needs sqlite-vec", hint=INSTALL_HINT)
    return str(Path(spec.origin).with_name("vec0"))
