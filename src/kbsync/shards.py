"""Shards: how many parts of the queue have ever been written to. Knows the Ledger port only.

Invariant: a reader covers the highest count ever stored, so a lowered setting strands no entry.
"""

from kbsync.engine import Engine

SHARDS = "queue_shards"


def covered_shards(engine: Engine) -> int:
    """Return how many shards to read; reads only."""
    return max(engine.policy.shards, int(engine.ledger.read_value(SHARDS) or 1))


def before_marking(engine: Engine) -> None:
    """Make sure that readers will cover the shards we are about to mark in; one shard needs no call."""
    if engine.policy.shards > 1:
        note_shards(engine)


def note_shards(engine: Engine) -> int:
    """Remember this policy's count if it is the highest so far, and return how many shards to read.

    Whoever marks with a policy calls this first; a repeat writes nothing.
    """
    stored = engine.ledger.read_value(SHARDS)
    if engine.policy.shards > int(stored or 0):
        engine.ledger.write_value(SHARDS, str(engine.policy.shards), expected=stored)
    return covered_shards(engine)
