"""What the pages are shown over: one engine, and what its operator allowed. Imports the engine only."""

from dataclasses import dataclass, field
from secrets import token_hex

from kbsync.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One served backend. `token` empty: pages answer on loopback names only, and ask nobody who they are."""

    engine: Engine
    backend: str = "local"
    home: str = ""
    language: str = "es"
    """Where neither the visitor nor the browser names one."""
    allow_actions: bool = False
    token: str = ""
    secret: str = field(default_factory=lambda: token_hex(32))
    """Of this process: what forms and log-ins are signed with; a restart ends every log-in."""
