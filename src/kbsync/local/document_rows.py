"""Writes one document's row, words, attributes and vector together; the caller holds the transaction."""

import json
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from kbsync.knowledge import DocumentStatus
from kbsync.local.documents_folder import Reading
from kbsync.local.kb_schema import KnowledgeBaseFile

_LONGEST_SEARCHABLE_ATTRIBUTE = 100


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """What an earlier job left of a document."""

    document_id: int
    status: DocumentStatus
    body_stat: str
    sidecar_stat: str
    body_hash: str
    sidecar_hash: str
    embedding_id: int | None
    space: str


class DocumentRows:
    """The documents the knowledge base knows; `space` names the vectors that may be compared."""

    def __init__(self, file: KnowledgeBaseFile, space: str) -> None:
        self._file = file
        self._space = space

    def stored(self, key: str) -> StoredDocument | None:
        """Return what is stored under a key."""
        rows = self._file.query(
            "SELECT document_id, status, body_stat, sidecar_stat, body_hash, sidecar_hash, embedding_id,"
            " space FROM documents WHERE key = ?",
            (key,),
        )
        return StoredDocument(rows[0][0], DocumentStatus(rows[0][1]), *rows[0][2:]) if rows else None

    def embedding_of(self, text: str) -> int | None:
        """Return the stored vector's number for a text of this space, if it was ever embedded."""
        rows = self._file.query(
            "SELECT embedding_id FROM embeddings WHERE text_hash = ? AND space = ?",
            (text_hash(text), self._space),
        )
        return int(rows[0][0]) if rows else None

    def keep_embedding(self, text: str, vector: bytes) -> int:
        """Store a text's vector and return its number; a text that has one keeps it."""
        known = self.embedding_of(text)
        if known is not None:
            return known
        rows = self._file.query(
            "INSERT INTO embeddings (text_hash, space, vector) VALUES (?, ?, ?) RETURNING embedding_id",
            (text_hash(text), self._space, vector),
        )
        return int(rows[0][0])

    def touch(self, stored: StoredDocument, read: Reading) -> None:
        """Remember that the same bytes carry another stat; status and time stay."""
        self._file.write(
            "UPDATE documents SET body_stat = ?, sidecar_stat = ? WHERE document_id = ?",
            (read.body_stat, read.sidecar_stat, stored.document_id),
        )

    def write(self, read: Reading, embedding_id: int | None, at: datetime) -> None:
        """Replace the document with this key by what was read; a refused one keeps no text."""
        words = self._file.words(_searchable(read))
        values = (
            read.status,
            read.reason,
            at.isoformat(),
            read.body_stat,
            read.sidecar_stat,
            read.body_hash,
            read.sidecar_hash,
            embedding_id,
            self._space,
            len(words),
            read.text,
            json.dumps(read.metadata or {}),
        )
        rows = self._file.query(
            "INSERT INTO documents (key, status, reason, updated_at, body_stat, sidecar_stat, body_hash,"
            " sidecar_hash, embedding_id, space, word_count, text, metadata)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET status = excluded.status, reason = excluded.reason,"
            " updated_at = excluded.updated_at, body_stat = excluded.body_stat,"
            " sidecar_stat = excluded.sidecar_stat, body_hash = excluded.body_hash,"
            " sidecar_hash = excluded.sidecar_hash,"
            " embedding_id = excluded.embedding_id, space = excluded.space, word_count = excluded.word_count,"
            " text = excluded.text, metadata = excluded.metadata RETURNING document_id",
            (read.key, *values),
        )
        document_id = int(rows[0][0])
        self._remove_words(document_id)
        if read.status is DocumentStatus.INDEXED:
            self._add_words(document_id, read)

    def delete(self, key: str) -> bool:
        """Remove a document and all that was derived from it; False where there is none."""
        stored = self.stored(key)
        if stored is None:
            return False
        self._remove_words(stored.document_id)
        self._file.write("DELETE FROM documents WHERE document_id = ?", (stored.document_id,))
        return True

    def drop_unused_embeddings(self) -> None:
        """Forget the vectors of texts that no document has any more."""
        self._file.write(
            "DELETE FROM embeddings WHERE embedding_id NOT IN"
            " (SELECT embedding_id FROM documents WHERE embedding_id IS NOT NULL)",
            (),
        )

    def drop_deleted_words(self) -> None:
        """Merge the word index into one segment: a deleted document's words stay in it until then.

        Source: SQLite FTS5, "The 'optimize' Command", and "Contentless-Delete Tables".
        """
        self._file.query("INSERT INTO document_words (document_words) VALUES ('optimize')")

    def _add_words(self, document_id: int, read: Reading) -> None:
        self._file.write(
            "INSERT INTO document_words (rowid, text) VALUES (?, ?)", (document_id, _searchable(read))
        )
        for attribute in read.attributes:
            self._file.write(
                "INSERT INTO attributes (document_id, key, kind, value) VALUES (?, ?, ?, ?)",
                (document_id, attribute.key, attribute.kind, attribute.value),
            )

    def _remove_words(self, document_id: int) -> None:
        self._file.write("DELETE FROM document_words WHERE rowid = ?", (document_id,))
        self._file.write("DELETE FROM attributes WHERE document_id = ?", (document_id,))


def text_hash(text: str) -> str:
    """Return the name under which a text's vector is kept."""
    return sha256(text.encode()).hexdigest()


def _searchable(read: Reading) -> str:
    """Return the words a document is found by: its text and its short attributes; no addresses."""
    values = [
        value
        for value in (read.metadata or {}).values()
        if isinstance(value, str) and len(value) <= _LONGEST_SEARCHABLE_ATTRIBUTE and "://" not in value
    ]
    return "\n".join([read.text, *values])
