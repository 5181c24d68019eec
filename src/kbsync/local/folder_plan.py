"""What an ingestion job has to do: the folder as it was scanned, against the documents that are stored.

SQLite compares them, in a temporary table of its own, so that memory does not follow the number of files. May
import the file, the folder's findings and the model. Invariant: a scan that did not come to its end leaves no
task, so nothing counts as gone because it was not reached.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from kbsync.local.documents_folder import Found
from kbsync.local.kb_schema import KnowledgeBaseFile
from kbsync.model import sidecar_key

_FILES_A_STATEMENT = 1_000
_MOST_FILES_NAMED = 10
_DOCUMENT, _SIDECAR, _REFUSED = "document", "sidecar", "refused"
_NEW_TABLE = "CREATE TEMP TABLE scanned_files (key TEXT PRIMARY KEY, stat TEXT, kind TEXT) WITHOUT ROWID"
_DROP_TABLE = "DROP TABLE IF EXISTS temp.scanned_files"
_NOTE = """
INSERT OR REPLACE INTO temp.scanned_files (key, stat, kind)
SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)
"""
_TASKS_TO_INDEX = """
INSERT INTO job_tasks (key, action)
SELECT f.key, 'index' FROM temp.scanned_files AS f
LEFT JOIN temp.scanned_files AS s ON s.key = f.key || ?1 AND s.kind = 'sidecar'
LEFT JOIN documents AS d ON d.key = f.key
WHERE f.kind = 'document' AND (d.status, d.body_stat, d.sidecar_stat, d.space)
    IS NOT ('INDEXED', f.stat, coalesce(s.stat, ''), ?2)
ORDER BY f.key
"""
_TASKS_TO_DELETE = """
INSERT INTO job_tasks (key, action)
SELECT d.key, 'delete' FROM documents AS d
WHERE NOT EXISTS (SELECT 1 FROM temp.scanned_files AS f WHERE f.key = d.key AND f.kind = 'document')
ORDER BY d.key
"""
_MARK_DELETING = """
UPDATE documents SET status = 'DELETING'
WHERE key IN (SELECT key FROM job_tasks WHERE action = 'delete')
"""


@dataclass(slots=True)
class Scanned:
    """How many files of each kind a scan found, and the first few whose format is not supported."""

    documents: int = 0
    sidecars: int = 0
    refused: int = 0
    refused_sample: tuple[str, ...] = ()

    @property
    def reasons(self) -> list[str]:
        """What a job says of files that it cannot read; empty where there are none."""
        if not self.refused:
            return []
        text = f"Ignored {self.refused} files as their file format was not supported"
        return [f"{text}. [Files: {', '.join(self.refused_sample)}]"]

    def count(self, each: Found) -> str:
        """Count one file and return its kind."""
        if each.is_sidecar:
            self.sidecars += 1
            return _SIDECAR
        self.documents += 1
        if each.is_readable:
            return _DOCUMENT
        self.refused += 1
        self.refused_sample = (*self.refused_sample, each.key)[:_MOST_FILES_NAMED]
        return _REFUSED


class FolderPlan:
    """One scan at a time over one file; `space` names the vectors that documents should have."""

    def __init__(self, file: KnowledgeBaseFile, space: str) -> None:
        self._file = file
        self._space = space

    def scan(self, found: Iterable[Found]) -> Scanned:
        """Note the files of a scan and return their numbers; an earlier scan's are forgotten."""
        counted = Scanned()
        self._file.query(_DROP_TABLE)
        self._file.query(_NEW_TABLE)
        rows = ([each.key, each.stat, counted.count(each)] for each in found)
        for page in _pages(rows):
            self._file.query(_NOTE, (json.dumps(page),))
        return counted

    def write_tasks(self) -> None:
        """Replace the job's tasks: files that differ from what is stored, and stored documents that are gone.

        The gone ones are not found by search any more. The caller holds the transaction.
        """
        self._file.query("DELETE FROM job_tasks")
        self._file.query(_TASKS_TO_INDEX, (sidecar_key(""), self._space))
        self._file.query(_TASKS_TO_DELETE)
        self._file.query(_MARK_DELETING)

    def forget(self) -> None:
        """Drop what the scan noted; a repeat does nothing."""
        self._file.query(_DROP_TABLE)


def _pages(rows: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    while page := list(islice(rows, _FILES_A_STATEMENT)):
        yield page
