"""Conditional writes as data: each only ever moves an attribute upwards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Write:
    """One conditional update. Condition failed: something newer is there, do `otherwise`."""

    table: str
    given: dict[str, Any]
    otherwise: tuple[Write, ...] = ()


@dataclass(frozen=True)
class Transaction:
    """Updates of one table under a check of the room's item, all or none."""

    table: str
    check: dict[str, Any]
    updates: tuple[dict[str, Any], ...]

    def items(self, name: str) -> list[dict[str, Any]]:
        """The argument TransactItems for the table of this name; the check comes first."""
        check = {"ConditionCheck": {"TableName": name, **self.check}}
        return [check, *({"Update": {"TableName": name, **each}} for each in self.updates)]

    def split(self) -> list[Transaction]:
        """One transaction per update, for when one of them stood in the way of the others."""
        return [Transaction(self.table, self.check, (each,)) for each in self.updates]


@dataclass(frozen=True)
class Forward:
    """A record for the room queue: what only S3 can do must not hold up a room's messages."""

    body: str


@dataclass(frozen=True)
class Objects:
    """Keys in the bucket: files that stay because a message cites them, and files that go."""

    keep: tuple[str, ...]
    erase: tuple[str, ...]


@dataclass(frozen=True)
class Expire:
    """The messages of a room behind the id `after` end at a time (s since 1970)."""

    room_id: str
    expires_at: int
    after: str | None


@dataclass(frozen=True)
class Empty:
    """Whatever in the bucket begins with one of these goes; `again` is the record of the rest."""

    prefixes: tuple[str, ...]
    again: Forward


Step = Write | Transaction | Forward | Objects | Expire | Empty


def update(
    key: dict[str, str],
    values: Mapping[str, Any],
    *,
    above: Sequence[str] = (),
    absent: Sequence[str] = (),
    remove: Sequence[str] = (),
    epoch: int | None = None,
) -> dict[str, Any]:
    """Arguments of update_item: set `values`, but only if each of `above` is lower there now.

    `epoch`: and only if the room's epoch is not higher. Every name is an alias, since DynamoDB
    reserves words like `position` and `hash`.
    """
    assigned = ", ".join(f"#{name} = :{name}" for name in values)
    dropped = ", ".join(f"#{name}" for name in remove)
    conditions = [f"(attribute_not_exists(#{name}) OR #{name} < :{name})" for name in above]
    conditions += [f"attribute_not_exists(#{name})" for name in absent]
    given = {":" + name: value for name, value in values.items()}
    names = {*values, *remove, *above, *absent}
    if epoch is not None:
        conditions.append("(attribute_not_exists(#epoch) OR #epoch <= :newest)")
        given[":newest"] = epoch
        names.add("epoch")
    asked = {
        "Key": key,
        "UpdateExpression": f"SET {assigned}" + (f" REMOVE {dropped}" if dropped else ""),
        "ExpressionAttributeNames": {"#" + name: name for name in sorted(names)},
        "ExpressionAttributeValues": given,
    }
    return asked | ({"ConditionExpression": " AND ".join(conditions)} if conditions else {})


def json_text(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


def verdict(codes: Sequence[str]) -> str:
    """What the codes of a cancelled transaction mean, the first one being the room's check.

    `refused`: the room has a later epoch. `invalid`: DynamoDB can never take it. `again`: a passing
    conflict or throttle. `older`: nothing but conditions of single items failed.
    """
    if codes and codes[0] == "ConditionalCheckFailed":
        return "refused"
    others = {code for code in codes if code not in ("None", "ConditionalCheckFailed")}
    if not others:
        return "older"
    return "invalid" if others == {"ValidationError"} else "again"
