"""The two tables and the quarantine queue in moto, and SQS events as Lambda receives them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.dynamodb.responses import DynamoHandler

from lambdas import files, tables
from tests.helpers import template

TABLE_PROPERTIES = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "RTS_ROOMS_TABLE": "chat-rooms",
    "RTS_MESSAGES_TABLE": "chat-messages",
    "RTS_QUARANTINE_URL": "chat-quarantine-queue",
    "RTS_ROOM_QUEUE_URL": "chat-room-queue",
    "RTS_BUCKET": "chat-files",
}


@contextmanager
def pretended() -> Iterator[None]:
    """Run AWS inside this process, with empty tables, until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        patch.setattr(DynamoHandler, "call_action", _one_by_one(DynamoHandler.call_action))
        with mock_aws():
            create()
            forget()
            yield
            forget()


def _one_by_one(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Calls of DynamoDB are atomic per item; moto's are not, when threads make them."""
    lock = Lock()

    def locked(self: Any) -> Any:
        with lock:
            return call(self)

    return locked


def create(endpoint: str | None = None) -> None:
    """Create the tables with their indexes and the quarantine queue."""
    dynamodb = boto3.client("dynamodb", endpoint_url=endpoint)
    for name, logical_id in (("chat-rooms", "RoomsTable"), ("chat-messages", "MessagesTable")):
        given = template.of_type("DynamoDB::Table")[logical_id]
        kept = {key: given[key] for key in TABLE_PROPERTIES if key in given}
        dynamodb.create_table(TableName=name, **kept)
    sqs = boto3.client("sqs", endpoint_url=endpoint)
    for name in ("chat-quarantine-queue", "chat-room-queue"):
        sqs.create_queue(QueueName=name)
    dynamodb.close()
    sqs.close()


def forget() -> None:
    """Let the functions create their clients again."""
    for made in (tables._dynamodb, tables._sqs, tables._queue_url, files._s3):
        made.cache_clear()


def event(*bodies: str, groups: Iterable[str] | None = None) -> dict[str, Any]:
    """Return a batch as Lambda receives it, with ids m0, m1, …; groups are the rooms by default."""
    named = list(groups) if groups is not None else [_room(body) for body in bodies]
    return {
        "Records": [
            {
                "messageId": f"m{i}",
                "receiptHandle": f"r{i}",
                "body": body,
                "attributes": {"MessageGroupId": group, "ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:queue.fifo",
                "awsRegion": "us-east-1",
            }
            for i, (body, group) in enumerate(zip(bodies, named, strict=True))
        ]
    }


def _room(body: str) -> str:
    try:
        raw = json.loads(body)
        return str((raw.get("event") or raw["barrier"])["room_id"])
    except (ValueError, KeyError, AttributeError):
        return "nobody"


def items(table: str, room_id: str) -> list[dict[str, Any]]:
    """Return all items of a room in key order, as plain values."""
    answer = tables.client().query(
        TableName=table,
        KeyConditionExpression="room_id = :room",
        ExpressionAttributeValues={":room": room_id},
    )
    return list(answer["Items"])


def item(table: str, room_id: str, sort: str) -> dict[str, Any] | None:
    """Return one item of a room by its sort key."""
    name = "sk" if table == "chat-rooms" else "message_id"
    return next((one for one in items(table, room_id) if one[name] == sort), None)
