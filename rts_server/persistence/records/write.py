"""Conditional writes as data: each of them only raises an attribute, never lowers it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Never, NotRequired, TypedDict

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef


class ConditionArguments(TypedDict):
    """Arguments of a ConditionCheck (DynamoDB API reference, TransactWriteItems)."""

    Key: dict[str, str]
    ConditionExpression: str
    ExpressionAttributeNames: dict[str, str]
    ExpressionAttributeValues: dict[str, Any]
    ReturnValuesOnConditionCheckFailure: NotRequired[Never]


class UpdateArguments(TypedDict):
    """Arguments of UpdateItem, the table aside (DynamoDB API reference)."""

    Key: dict[str, str]
    UpdateExpression: str
    ExpressionAttributeNames: dict[str, str]
    ExpressionAttributeValues: dict[str, Any]
    ConditionExpression: NotRequired[str]
    ReturnValuesOnConditionCheckFailure: NotRequired[Never]


@dataclass(frozen=True)
class Write:
    """One conditional update. If the condition fails, a newer value is there: do `otherwise`."""

    table: str
    given: UpdateArguments
    otherwise: tuple[Write, ...] = ()


@dataclass(frozen=True)
class Transaction:
    """Updates of one table, all or none, if the room's item passes the `check`."""

    table: str
    check: ConditionArguments
    updates: tuple[UpdateArguments, ...]

    def items(self, name: str) -> list[TransactWriteItemTypeDef]:
        """Return TransactItems for the table of this name; the check is the first one."""
        items: list[TransactWriteItemTypeDef] = [
            {"ConditionCheck": {"TableName": name, **self.check}}
        ]
        for each in self.updates:
            items.append({"Update": {"TableName": name, **each}})
        return items

    def split(self) -> list[Transaction]:
        """Return one transaction per update, for when one of them made all fail."""
        return [Transaction(self.table, self.check, (each,)) for each in self.updates]


@dataclass(frozen=True)
class Replacement:
    """An item that takes the place of what is under its key."""

    table: str
    item: dict[str, Any]


@dataclass(frozen=True)
class ForwardedRecord:
    """A record for the room queue: work in S3 must not delay the messages of the room."""

    body: str


@dataclass(frozen=True)
class FileChanges:
    """Keys in the bucket: files to keep, because a message cites them, and files to erase."""

    keep: tuple[str, ...]
    erase: tuple[str, ...]


@dataclass(frozen=True)
class ExpireMessages:
    """Let the messages of a room after the id `after` expire at a time (s since 1970)."""

    room_id: str
    expires_at: int
    after: str | None


@dataclass(frozen=True)
class DeletePrefixes:
    """Delete all objects below these prefixes; `rest` is the record for those that are left."""

    prefixes: tuple[str, ...]
    rest: ForwardedRecord


Step = (
    Write
    | Transaction
    | Replacement
    | ForwardedRecord
    | FileChanges
    | ExpireMessages
    | DeletePrefixes
)


def update(
    key: dict[str, str],
    values: Mapping[str, Any],
    *,
    above: Sequence[str] = (),
    absent: Sequence[str] = (),
    same: Mapping[str, Any] | None = None,
    remove: Sequence[str] = (),
    epoch: int | None = None,
) -> UpdateArguments:
    """Return arguments of UpdateItem that set `values` and remove the attributes `remove`.

    Args:
        above: Attributes of `values` that must be absent or lower in the table.
        absent: Attributes that must be absent.
        same: Attributes that must have these values.
        epoch: The room's epoch must be absent or not higher.

    Every name is an alias, because DynamoDB reserves words like `position` and `hash`.
    """
    assigned = ", ".join(f"#{name} = :{name}" for name in values)
    dropped = ", ".join(f"#{name}" for name in remove)
    conditions = [f"(attribute_not_exists(#{name}) OR #{name} < :{name})" for name in above]
    conditions += [f"attribute_not_exists(#{name})" for name in absent]
    given = {":" + name: value for name, value in values.items()}
    names = {*values, *remove, *above, *absent}
    for name, value in (same or {}).items():
        conditions.append(f"#{name} = :same_{name}")
        given[f":same_{name}"] = value
        names.add(name)
    if epoch is not None:
        conditions.append("(attribute_not_exists(#epoch) OR #epoch <= :newest)")
        given[":newest"] = epoch
        names.add("epoch")
    asked: UpdateArguments = {
        "Key": key,
        "UpdateExpression": f"SET {assigned}" + (f" REMOVE {dropped}" if dropped else ""),
        "ExpressionAttributeNames": {"#" + name: name for name in sorted(names)},
        "ExpressionAttributeValues": given,
    }
    if conditions:
        asked["ConditionExpression"] = " AND ".join(conditions)
    return asked


def raise_together(key: dict[str, str], values: Mapping[str, Any]) -> UpdateArguments:
    """Return arguments of UpdateItem that set `values` if none of them is higher in the table."""
    asked = update(key, values)
    conditions = (f"(attribute_not_exists(#{name}) OR #{name} <= :{name})" for name in values)
    asked["ConditionExpression"] = " AND ".join(conditions)
    return asked


def json_text(value: Any) -> str:
    """Return JSON in ASCII without spaces, for queues."""
    return json.dumps(value, separators=(",", ":"))


def stored_text(value: Any) -> str:
    """Return JSON without spaces, for tables: DynamoDB takes UTF-8, and charges by its bytes."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def classify_cancellation(codes: Sequence[str]) -> str:
    """Say why a transaction was cancelled, from the codes of its items; the check comes first.

    `refused`: the room has a later epoch. `invalid`: DynamoDB will never accept it. `again`: a
    conflict or throttling, to be tried again. `older`: only conditions of single items failed.
    """
    if codes and codes[0] == "ConditionalCheckFailed":
        return "refused"
    others = {code for code in codes if code not in ("None", "ConditionalCheckFailed")}
    if not others:
        return "older"
    return "invalid" if others == {"ValidationError"} else "again"
