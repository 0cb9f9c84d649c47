"""The time to live of a deleted room's messages, a page at a time; safe to repeat."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rts_server.persistence.records import ExpireMessages, ForwardedRecord, expiry

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PAGE = 100


def expire(client: DynamoDBClient, step: ExpireMessages) -> ForwardedRecord | None:
    """Mark a page; the record of what is behind it. Raises ClientError: the record then stays."""
    table = os.environ["RTS_MESSAGES_TABLE"]
    asked: dict[str, Any] = {
        "TableName": table,
        "KeyConditionExpression": "room_id = :room",
        "ExpressionAttributeValues": {":room": step.room_id},
        "ProjectionExpression": "message_id",
        "ConsistentRead": True,
        "Limit": PAGE,
    }
    if step.after:
        asked["ExclusiveStartKey"] = {"room_id": step.room_id, "message_id": step.after}
    answer = client.query(**asked)
    for item in answer["Items"]:
        client.update_item(
            TableName=table,
            Key={"room_id": step.room_id, "message_id": item["message_id"]},
            UpdateExpression="SET expires_at = :at",
            ExpressionAttributeValues={":at": step.expires_at},
        )
    last = answer.get("LastEvaluatedKey")
    if not last:
        return None
    return ForwardedRecord(expiry(step.room_id, step.expires_at, str(last["message_id"])))
