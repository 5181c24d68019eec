"""Shards: how many parts of the queue have ever been written to. Knows the Ledger port only.

Invariant: a reader covers the highest count ever stored, so a lowered setting strands no entry.
"""

from kbsync.engine import Engine
from kbsync.model import Stage
from kbsync.queueing import LATEST_DUE, shard_queue

SHARDS = "queue_shards"
KEYS_PAGE = 1000
"""How many entries of a queue are counted at once; each is its keys alone."""


def covered_shards(engine: Engine) -> int:
    """Return how many shards to read; reads only."""
    return max(engine.policy.shards, int(engine.ledger.read_value(SHARDS) or 1))


def count_held(engine: Engine) -> int:
    """Return how many withdrawals the deletion brake holds, from the queue alone; reads only."""
    count = 0
    for shard in range(covered_shards(engine)):
        queue, after = shard_queue(Stage.HELD, shard), ""
        while entries := engine.ledger.due(queue, until=LATEST_DUE, after=after, limit=KEYS_PAGE):
            after, count = entries[-1].due, count + len(entries)
    return count


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
