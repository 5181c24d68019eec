"""Lends one knowledge base file's vectors to another: equal texts need no second embedding.

May import the file alone. Invariant: a vector keeps the name of its text and of its space, so it is only ever
found by the model that made it.
"""

from kbsync.local.kb_schema import KnowledgeBaseFile

_PAGE = 1_000


def copy_vectors(source: KnowledgeBaseFile, target: KnowledgeBaseFile) -> int:
    """Copy every vector that the target has not; returns how many were looked at. A repeat adds nothing."""
    last, copied = 0, 0
    while rows := source.query(
        "SELECT embedding_id, text_hash, space, vector FROM embeddings WHERE embedding_id > ?"
        " ORDER BY embedding_id LIMIT ?",
        (last, _PAGE),
    ):
        with target.transaction():
            for _, text_hash, space, vector in rows:
                target.write(
                    "INSERT OR IGNORE INTO embeddings (text_hash, space, vector) VALUES (?, ?, ?)",
                    (text_hash, space, vector),
                )
        last, copied = int(rows[-1][0]), copied + len(rows)
    return copied
