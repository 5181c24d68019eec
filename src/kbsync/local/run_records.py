"""Run records of the embedded home: two files a run in a folder of their own. Imports errors and pages."""

from pathlib import Path

from kbsync.local.os_errors import translated_os_errors
from kbsync.local.whole_files import write_atomically
from kbsync.run_page import record_json, record_page
from kbsync.run_report import RunReport
from kbsync.traces import Traces

MOST_KEPT = 500
"""The newest runs of which files are kept; the ledger tells of older ones."""


class LocalRunRecords:
    """Implements ports.RunRecords: `<run id>.json` and `<run id>.html`; ids sort by time."""

    def __init__(self, folder: Path, language: str) -> None:
        self._folder = folder
        self._language = language

    def address(self, run: RunReport) -> str:
        """Return the page's path."""
        return str(self._folder / f"{run.run_id}.html")

    def leave(self, run: RunReport) -> None:
        """Write both files whole, and remove those of the oldest runs; a repeat replaces its own.

        Raises:
            AccessDeniedError, UnavailableError: a file could not be written.
        """
        with translated_os_errors("the folder of run records"):
            page = record_page(run, self._language)
            for ending, content in ((".json", record_json(run)), (".html", page)):
                write_atomically(self._folder / f"{run.run_id}{ending}", content, durable=False)
            for path in sorted(self._folder.iterdir())[: -2 * MOST_KEPT]:
                path.unlink(missing_ok=True)

    def forget(self, traces: Traces) -> None:
        """Remove the files that name them; a repeat finds none."""
        with translated_os_errors("the folder of run records"):
            paths = list(self._folder.iterdir()) if self._folder.exists() else []
            for path in paths:
                if traces.are_in(path.read_text(encoding="utf-8", errors="replace")):
                    path.unlink(missing_ok=True)
