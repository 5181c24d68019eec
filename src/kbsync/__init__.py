"""kbsync keeps a knowledge base true to the incidents behind it.

The public names are loaded when they are first used, so that importing one module costs only that module.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kbsync.bootstrap import build_engine
    from kbsync.pipeline.changes import close_incident, delete_incident, reopen_incident, update_incident
    from kbsync.pipeline.sync import sync_once
    from kbsync.run_report import RunReport
    from kbsync.setting_sources import load_settings
    from kbsync.settings import Settings

    __version__: str

__all__ = [
    "RunReport",
    "Settings",
    "__version__",
    "build_engine",
    "close_incident",
    "delete_incident",
    "load_settings",
    "reopen_incident",
    "sync_once",
    "update_incident",
]

_DEFINED_IN = {
    "RunReport": "kbsync.run_report",
    "Settings": "kbsync.settings",
    "build_engine": "kbsync.bootstrap",
    "close_incident": "kbsync.pipeline.changes",
    "delete_incident": "kbsync.pipeline.changes",
    "load_settings": "kbsync.setting_sources",
    "reopen_incident": "kbsync.pipeline.changes",
    "sync_once": "kbsync.pipeline.sync",
    "update_incident": "kbsync.pipeline.changes",
}


def __getattr__(name: str) -> object:
    """Return a public name, imported now; raise AttributeError for any other."""
    if name == "__version__":
        return import_module("importlib.metadata").version("kbsync")
    if name not in _DEFINED_IN:
        raise AttributeError(f"module 'kbsync' has no attribute {name!r}")
    return getattr(import_module(_DEFINED_IN[name]), name)
