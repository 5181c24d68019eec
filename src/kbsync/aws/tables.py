"""The two tables' definitions: names, keys and indexes that adapters, tests and the deployed stack share.

Imports nothing of kbsync. Invariant: the incidents table is the customer's; its definition here is only used
where a new one is made, and nothing but the original's key and index is in it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef

STATUS_INDEX = "GSI-2-status-priority"
"""Source: ORIGINAL_DESIGN.md, `findUnsyncedClosedIncidents`."""
METADATA = "METADATA"
"""The sort key of an incident's own item. Source: ORIGINAL_DESIGN.md, "Actualizar al Cerrar Incidencia"."""

QUEUE_INDEX = "queue-due"
EXPIRES_AT = "expires_at"
"""The ledger's TTL attribute: epoch seconds. A lease keeps its own under this name as *text*, which TTL
passes over: an item that TTL deleted would start its generations anew.
Source: DynamoDB Developer Guide, "Using time to live": only a Number is looked at."""


def incidents_table(name: str) -> "CreateTableInputTypeDef":
    """Return the definition of a new incidents table, as the original design names it."""
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "incident_id", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
            {"AttributeName": "status", "AttributeType": "S"},
            {"AttributeName": "priority", "AttributeType": "S"},
        ],
        "KeySchema": [
            {"AttributeName": "incident_id", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": STATUS_INDEX,
                "KeySchema": [
                    {"AttributeName": "status", "KeyType": "HASH"},
                    {"AttributeName": "priority", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    }


def ledger_table(name: str) -> "CreateTableInputTypeDef":
    """Return the definition of the ledger table; its TTL attribute is switched on apart (`EXPIRES_AT`).

    The index is sparse: only what has `queue` and `due` is in it. It holds `pending_since` beside the keys,
    so that the age of the backlog is read from the backlog alone.
    """
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
            {"AttributeName": "queue", "AttributeType": "S"},
            {"AttributeName": "due", "AttributeType": "S"},
        ],
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": QUEUE_INDEX,
                "KeySchema": [
                    {"AttributeName": "queue", "KeyType": "HASH"},
                    {"AttributeName": "due", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["pending_since"]},
            }
        ],
    }
