"""The publisher lease on AWS: one item of the ledger table a name, taken and kept by conditional writes.

Imports the table, the model and errors. Nobody can tell whether a holder far away is dead, so a lease is
free only when released or overdue by the clock of who asks. Invariant: the item is never deleted, so that
generations only rise; its `expires_at` is text, which TTL passes over.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from kbsync.aws.attributes import Item, attributes_of, item_of
from kbsync.aws.aws_errors import translated_aws_errors
from kbsync.aws.dynamo_table import DynamoTable
from kbsync.errors import BusyError, LeaseLostError
from kbsync.model import Lease
from kbsync.queueing import utc_text

_TRIES = 3
_NAMES = {"#owner": "owner"}
_OURS = "#owner = :owner AND generation = :generation AND released = :no"


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the item says; an absent one is a released lease of generation 0."""

    owner: str = ""
    generation: int = 0
    expires_at: str = ""
    released: bool = True

    def is_overdue(self, now: datetime, grace_seconds: float) -> bool:
        """Whether the holder has been silent for so long that it counts as gone."""
        return utc_text(now - timedelta(seconds=grace_seconds)) >= self.expires_at


class DynamoLeases:
    """Leases of any number of functions and people; see ports.Ledger for what each call promises."""

    def __init__(self, table: DynamoTable) -> None:
        self._table = table

    def acquire(self, name: str, owner: str, *, now: datetime, seconds: float, grace_seconds: float) -> Lease:
        """Take a lease that is free or long expired; else raise BusyError.

        Of two that take it at once, one gets it. A take whose answer was lost is recognised as our own.
        """
        stored = _Stored()
        for _ in range(_TRIES):
            stored = self._read(name)
            if not (stored.released or stored.is_overdue(now, grace_seconds)):
                break
            expires_at = now + timedelta(seconds=seconds)
            lease = Lease(name, owner, stored.generation + 1, expires_at, forced=not stored.released)
            if self._take(lease, stored):
                return lease
        raise BusyError(
            f"another run is active ({stored.owner}); its lease ends at {stored.expires_at}",
            hint="wait for it; `kbsync runs` shows it",
        )

    def renew(self, lease: Lease, *, now: datetime, seconds: float) -> Lease:
        """Extend a lease that is still ours; raise LeaseLostError where another holder has it."""
        expires_at = now + timedelta(seconds=seconds)
        if not self._update(lease, "expires_at = :ends", {":ends": utc_text(expires_at)}):
            raise LeaseLostError(
                "another run took the publisher lease over", hint="nothing to do: the other run goes on"
            )
        return replace(lease, expires_at=expires_at)

    def release(self, lease: Lease) -> None:
        """Free the lease if it is still ours; otherwise nothing happens."""
        self._update(lease, "released = :yes", {":yes": True})

    def _read(self, name: str) -> _Stored:
        with translated_aws_errors(self._table.subject):
            answer = self._table.client.get_item(
                TableName=self._table.name, Key=_key(name), ConsistentRead=True
            )
        if "Item" not in answer:
            return _Stored()
        item = attributes_of(answer["Item"])
        return _Stored(
            owner=str(item["owner"]),
            generation=int(str(item["generation"])),
            expires_at=str(item["expires_at"]),
            released=item["released"] is True,
        )

    def _take(self, lease: Lease, stored: _Stored) -> bool:
        """Write the lease where the item is still what was read: same generation, end and state."""
        values = {":generation": stored.generation, ":ends": stored.expires_at, ":released": stored.released}
        held = "generation = :generation AND expires_at = :ends AND released = :released"
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if stored.generation:
            condition = {"ConditionExpression": held, "ExpressionAttributeValues": item_of(values)}
        taken = _Stored(lease.owner, lease.generation, utc_text(lease.expires_at), released=False)
        item = {**_key(lease.name), **item_of(asdict(taken))}
        return self._table.wrote(
            lambda: self._table.client.put_item(TableName=self._table.name, Item=item, **condition),
            lambda: self._read(lease.name) == taken,
        )

    def _update(self, lease: Lease, change: str, values: Mapping[str, object]) -> bool:
        ours = {":owner": lease.owner, ":generation": lease.generation, ":no": False}
        return self._table.wrote(
            lambda: self._table.client.update_item(
                TableName=self._table.name,
                Key=_key(lease.name),
                UpdateExpression=f"SET {change}",
                ConditionExpression=_OURS,
                ExpressionAttributeNames=_NAMES,
                ExpressionAttributeValues=item_of({**ours, **values}),
            )
        )


def _key(name: str) -> Item:
    return item_of({"pk": f"lease#{name}", "sk": "lease"})
