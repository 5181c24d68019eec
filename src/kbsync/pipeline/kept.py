"""Small values of the ledger that several may change at once. Imports the engine and errors."""

from collections.abc import Callable

from kbsync.engine import Engine
from kbsync.errors import ThrottledError

_TRIES = 5


def change_value(engine: Engine, name: str, change: Callable[[str], str]) -> None:
    """Replace a named value by what `change` makes of it as it stands; nobody's change in between is lost.

    Raises:
        ThrottledError (retriable): others kept changing it; nothing was written.
    """
    for _ in range(_TRIES):
        text = engine.ledger.read_value(name)
        if engine.ledger.write_value(name, change(text), expected=text):
            return
    raise ThrottledError(f"the value {name} of the ledger keeps changing", hint="try again")
