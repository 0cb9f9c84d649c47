"""Write units as DynamoDB charges them, counted at the client of the Lambda functions."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3

from lambdas import tables

BYTES_PER_UNIT = 1024
Item = Mapping[str, Any]


def size(item: Item) -> int:
    """Return the bytes of an item of DynamoDB's JSON: of its names and of its values.

    The rule is that of the DynamoDB developer guide, "DynamoDB item sizes and formats": text and
    binary as they are, a number half a byte per digit and one more, a list or map 3 bytes and one
    more per element.
    """
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(typed: Mapping[str, Any]) -> int:
    (kind, value), *_ = typed.items()
    match kind:
        case "S":
            return len(value.encode())
        case "N":
            return _number_size(value)
        case "SS":
            return sum(len(one.encode()) for one in value)
        case "NS":
            return sum(map(_number_size, value))
        case "L":
            return 3 + sum(1 + _value_size(one) for one in value)
        case "M":
            return 3 + len(value) + size(value)
        case "BOOL" | "NULL":
            return 1
    raise ValueError(kind)


def _number_size(text: str) -> int:
    return math.ceil(len(text.strip("-0")) / 2) + 1


class WriteUnits:
    """Counts the writes between two calls, and the sequential rounds they take at least.

    Of "Capacity unit consumption for write operations" and "Write considerations" of global
    secondary indexes in the developer guide: a write costs its larger item, before or after, in KB,
    also if its condition fails; a transaction costs twice as much, its checks too; an index costs
    what its projection of the item takes, if that changes, twice if its key does.
    """

    def __init__(self) -> None:
        self.units: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._before = threading.local()
        self._reader = boto3.client("dynamodb")
        self._indexes: dict[str, list[dict[str, Any]]] = {}
        self._keys: dict[str, set[str]] = {}
        for table in ("chat-rooms", "chat-messages"):
            known = self._reader.describe_table(TableName=table)["Table"]
            self._keys[table] = {one["AttributeName"] for one in known["KeySchema"]}
            found: Any = known.get("GlobalSecondaryIndexes", [])
            self._indexes[table] = found

    @property
    def total(self) -> int:
        """All units."""
        return sum(self.units.values())

    def before(self, params: Mapping[str, Any], **_: Any) -> None:
        """Note the items as they are before a call (event `before-call`)."""
        body = json.loads(params["body"])
        self._before.writes = [
            (table, key, self._item(table, key), factor)
            for table, key, factor in _written(body, self._keys)
        ]

    def after(self, model: Any, **_: Any) -> None:
        """Charge a call by its items before and after it (event `after-call`)."""
        with self._lock:
            self.calls[model.name] += 1
            for table, key, before, factor in getattr(self._before, "writes", ()):
                after = self._item(table, key)
                self.units[table] += factor * _units(max(size(before), size(after)))
                for index in self._indexes[table]:
                    self.units[f"{table}/{index['IndexName']}"] += factor * self._index_units(
                        table, index, before, after
                    )
        self._before.writes = []

    def _item(self, table: str, key: Any) -> Item:
        found = self._reader.get_item(TableName=table, Key=key, ConsistentRead=True)
        return found.get("Item", {})

    def _index_units(self, table: str, index: Any, before: Item, after: Item) -> int:
        keys = [one["AttributeName"] for one in index["KeySchema"]]
        old, new = (
            self._projected(table, index, item) if all(key in item for key in keys) else {}
            for item in (before, after)
        )
        if old == new:
            return 0
        moved = old and new and any(old[key] != new[key] for key in keys)
        return _units(size(old)) + _units(size(new)) if moved else _units(max(size(old), size(new)))

    def _projected(self, table: str, index: Any, item: Item) -> Item:
        projection = index["Projection"]
        if projection["ProjectionType"] == "ALL":
            return item
        names = self._keys[table] | {one["AttributeName"] for one in index["KeySchema"]}
        names |= set(projection.get("NonKeyAttributes", ()))
        return {name: value for name, value in item.items() if name in names}


def _written(
    params: Mapping[str, Any], keys: Mapping[str, set[str]]
) -> Iterator[tuple[str, Any, int]]:
    """Yield (table, key, factor) of each write of a call."""
    if "UpdateExpression" in params:
        yield params["TableName"], params["Key"], 1
    elif "Item" in params:
        table = params["TableName"]
        yield table, {name: params["Item"][name] for name in keys[table]}, 1
    for item in params.get("TransactItems", ()):
        (one,) = item.values()
        yield one["TableName"], one["Key"], 2


def _units(size_: int) -> int:
    return max(1, math.ceil(size_ / BYTES_PER_UNIT))


@contextmanager
def counted() -> Iterator[WriteUnits]:
    """Count what the functions write until the block ends."""
    units, events = WriteUnits(), tables.client().meta.events
    events.register_first("before-call.dynamodb", units.before)
    events.register("after-call.dynamodb", units.after)
    try:
        yield units
    finally:
        events.unregister("before-call.dynamodb", units.before)
        events.unregister("after-call.dynamodb", units.after)
