"""DynamoDB as the benchmarks need it: the calls that a run makes, checked as the service checks them.

Holds items in memory and counts capacity units. It is no emulator: a call or a form that no run makes is an
error, so that a change of what is sent is noticed.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

Item = dict[str, Any]  # attribute values as the wire has them
Key = tuple[str, str]
KEYS = {"incidents": ("incident_id", "sk"), "kbsync": ("pk", "sk")}
_UPDATE = re.compile(r'UPDATE "(\w+)" (.*?) WHERE (.*)', re.DOTALL)
_CLAUSE = re.compile(r'"((?:[^"]|"")+)" (= \?|<= \?|IS MISSING)')
_EXISTS = re.compile(r"attribute_(not_)?exists\((\w+)\)")
_COMPARES = re.compile(r"(#?\w+) (<?=) (:\w+)")


class RefusedError(Exception):
    """An answer other than 200, with the service's code."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


@lru_cache(maxsize=4096)
def parsed(text: str) -> tuple[str, list[str], list[str], list[tuple[str, str]]]:
    """Return table, names set, names removed and conditions of an UPDATE statement."""
    found = _UPDATE.fullmatch(text)
    if found is None:
        raise RefusedError("ValidationException")
    table, changes, conditions = found.groups()
    sets = re.findall(r'SET "((?:[^"]|"")+)" = \?', changes)
    removes = re.findall(r'REMOVE "((?:[^"]|"")+)"', changes)
    clauses = [(name, form) for name, form in _CLAUSE.findall(conditions)]
    if len(clauses) != conditions.count(" AND ") + 1:
        raise RefusedError("ValidationException")
    return table, sets, removes, clauses


def size_of(value: object) -> int:
    """Return about how many bytes an item takes: its JSON without the type letters is near enough."""
    return len(json.dumps(value))


class Tables:
    """Two tables with their items, and the ledger's sparse index, which holds the keys of what is queued.

    `units` counts read and write units by table, `queries` what was queried.
    """

    def __init__(self) -> None:
        self.items: dict[str, dict[Key, Item]] = {"incidents": {}, "kbsync": {}}
        self.units: Counter[str] = Counter()
        self.queries: Counter[str] = Counter()
        self._queued: defaultdict[str, set[Key]] = defaultdict(set)
        self._calls: dict[str, Callable[[Mapping[str, Any]], Item]] = {
            "GetItem": self._get,
            "BatchGetItem": self._batch_get,
            "PutItem": self._put,
            "UpdateItem": self._update,
            "DeleteItem": self._delete,
            "Query": self._query,
            "Scan": self._scan,
            "BatchExecuteStatement": self._statements,
        }

    def call(self, operation: str, asked: Mapping[str, Any]) -> Item:
        """Answer one call; raise RefusedError as the service would."""
        if operation not in self._calls:
            raise RefusedError("UnknownOperationException")
        return self._calls[operation](asked)

    def store(self, table: str, item: Item) -> None:
        """Put one item, as a preparation: nothing is counted."""
        self._keep(table, self._key(table, item), item)

    def _keep(self, table: str, key: Key, item: Item | None) -> None:
        """Put an item, or remove what stands there, in the table and in the sparse index."""
        old = self.items[table].pop(key, None)
        if old is not None and "queue" in old:
            self._queued[old["queue"]["S"]].discard(key)
        if item is None:
            return
        self.items[table][key] = item
        if "queue" in item:
            self._queued[item["queue"]["S"]].add(key)

    def state(self) -> dict[str, Any]:
        """Return how many records are in each state and in a queue, and who says `synced: true`."""
        records = [item for (_, sort), item in self.items["kbsync"].items() if sort == "record"]
        statuses = (item.get("kb_sync_status", {}).get("M", {}) for item in self.items["incidents"].values())
        return {
            "records": Counter(item["state"]["S"] for item in records),
            "queued": sum("queue" in item for item in records),
            "synced": sum(status.get("synced", {}).get("BOOL", False) for status in statuses),
        }

    def _key(self, table: str, item: Mapping[str, Any]) -> Key:
        first, second = KEYS[table]
        return item[first]["S"], item[second]["S"]

    def _read(self, table: str, item: Item | None, *, consistent: bool = True) -> None:
        blocks = -(-size_of(item or {}) // 4096) or 1
        self.units[f"{table} read"] += blocks if consistent else -(-blocks // 2)

    def _wrote(self, table: str, *items: Item | None) -> None:
        self.units[f"{table} write"] += max(-(-size_of(each or {}) // 1024) or 1 for each in items)

    def _get(self, asked: Mapping[str, Any]) -> Item:
        table = asked["TableName"]
        item = self.items[table].get(self._key(table, asked["Key"]))
        self._read(table, item)
        return {"Item": item} if item is not None else {}

    def _batch_get(self, asked: Mapping[str, Any]) -> Item:
        [(table, wanted)] = asked["RequestItems"].items()
        keys = [self._key(table, each) for each in wanted["Keys"]]
        if not 0 < len(set(keys)) == len(keys) <= 100:  # noqa: PLR2004 - the service's limit
            raise RefusedError("ValidationException")
        found = [self.items[table][key] for key in keys if key in self.items[table]]
        for item in found:
            self._read(table, item, consistent=wanted.get("ConsistentRead", False))
        return {"Responses": {table: found}, "UnprocessedKeys": {}}

    def _put(self, asked: Mapping[str, Any]) -> Item:
        table, item = asked["TableName"], asked["Item"]
        key = self._key(table, item)
        old = self.items[table].get(key)
        self._require(old, asked)
        self._wrote(table, old, item)
        self._keep(table, key, item)
        return {}

    def _update(self, asked: Mapping[str, Any]) -> Item:
        table = asked["TableName"]
        key = self._key(table, asked["Key"])
        old = self.items[table].get(key)
        self._require(old, asked)
        names = asked.get("ExpressionAttributeNames", {})
        changed = {**(old or asked["Key"])}
        for part in asked["UpdateExpression"].removeprefix("SET ").split(", "):
            name, value = part.split(" = ")
            changed[names.get(name, name)] = asked["ExpressionAttributeValues"][value]
        self._wrote(table, old, changed)
        self._keep(table, key, changed)
        return {}

    def _delete(self, asked: Mapping[str, Any]) -> Item:
        table = asked["TableName"]
        key = self._key(table, asked["Key"])
        old = self.items[table].get(key)
        self._require(old, asked)
        self._wrote(table, old)
        self._keep(table, key, None)
        return {}

    def _require(self, item: Item | None, asked: Mapping[str, Any]) -> None:
        """Raise where no group of the condition holds; groups are joined by OR, what is in one by AND."""
        names, values = asked.get("ExpressionAttributeNames", {}), asked.get("ExpressionAttributeValues", {})
        text = asked.get("ConditionExpression", "")
        for group in text.split(" OR ") if text else ():
            exists = [(("not" in each[0]) != (each[1] in (item or {}))) for each in _EXISTS.findall(group)]
            compared = [
                item is not None and _compares(item.get(names.get(name, name)), form, values[value])
                for name, form, value in _COMPARES.findall(group)
            ]
            if all(exists) and all(compared):
                return
        if text:
            raise RefusedError("ConditionalCheckFailedException")

    def _query(self, asked: Mapping[str, Any]) -> Item:
        if asked.get("IndexName") != "queue-due":
            run = asked["ExpressionAttributeValues"][":run"]["S"]
            self.queries[run] += 1
            runs = sorted((key for key in self.items["kbsync"] if key[0] == run), reverse=True)
            found = [self.items["kbsync"][key] for key in runs[: asked["Limit"]]]
            self._read("kbsync", {"all": found})
            return {"Items": found, "Count": len(found)}
        values = asked["ExpressionAttributeValues"]
        after = values.get(":after", {"S": ""})["S"]
        queue = values[":queue"]["S"]
        self.queries[queue] += 1
        queued = (self.items["kbsync"][key] for key in self._queued[queue])
        within = sorted(
            (item["due"]["S"], item["pk"]["S"])
            for item in queued
            if after <= item["due"]["S"] <= values[":until"]["S"]
        )[: asked["Limit"]]
        entries = [
            {"pk": {"S": key}, "sk": {"S": "record"}, "queue": {"S": queue}, "due": {"S": due}}
            for due, key in within
        ]
        self._read("kbsync", {"all": entries}, consistent=False)
        return {"Items": entries, "Count": len(entries)}

    def _scan(self, asked: Mapping[str, Any]) -> Item:
        table = asked["TableName"]
        keys = sorted(self.items[table])
        last = self._key(table, asked["ExclusiveStartKey"]) if "ExclusiveStartKey" in asked else ("", "")
        page = [key for key in keys if key > last][: asked.get("Limit", 1_000)]
        found = [self.items[table][key] for key in page]
        self._read(table, {"all": found}, consistent=asked.get("ConsistentRead", False))
        more = bool(page) and page[-1] != keys[-1]
        names = KEYS[table]
        end = {name: {"S": part} for name, part in zip(names, page[-1], strict=True)} if more else {}
        return {"Items": found, "Count": len(found), **({"LastEvaluatedKey": end} if more else {})}

    def _statements(self, asked: Mapping[str, Any]) -> Item:
        statements = asked["Statements"]
        if not 0 < len(statements) <= 25:  # noqa: PLR2004 - the service's limit
            raise RefusedError("ValidationException")
        return {"Responses": [self._statement(each) for each in statements]}

    def _statement(self, asked: Mapping[str, Any]) -> Item:
        table, sets, removes, clauses = parsed(asked["Statement"])
        values = iter(asked["Parameters"])
        changes = {name: next(values) for name in sets}
        wanted = [(name, form, None if form == "IS MISSING" else next(values)) for name, form in clauses]
        equal = {name: value for name, form, value in wanted if form == "= ?" and value is not None}
        key = self._key(table, equal)
        item = self.items[table].get(key)
        if item is None or not all(_holds(item, *each) for each in wanted):
            return {"Error": {"Code": "ConditionalCheckFailed"}}
        changed = {name: value for name, value in {**item, **changes}.items() if name not in removes}
        self._wrote(table, item, changed)
        self._keep(table, key, changed)
        return {}


def _holds(item: Item, name: str, form: str, value: Any) -> bool:
    found = item.get(name.replace('""', '"'))
    return found is None if form == "IS MISSING" else _compares(found, form.removesuffix(" ?"), value)


def _compares(found: Any, form: str, value: Any) -> bool:
    if form == "<=":
        return found is not None and int(found["N"]) <= int(value["N"])
    return bool(found == value)
