"""Time to live for the messages of a deleted room, one page at a time; idempotent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rts_server.persistence.records import ExpireMessages, ForwardedRecord, expiry

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef

EXPIRY_PAGE_MESSAGES = 100


def expire_page(client: DynamoDBClient, step: ExpireMessages) -> ForwardedRecord | None:
    """Set `expires_at` on a page; return the record of the next page, or None.

    Raises ClientError: the record then returns to its queue.
    """
    table = os.environ["RTS_MESSAGES_TABLE"]
    query: QueryInputTypeDef = {
        "TableName": table,
        "KeyConditionExpression": "room_id = :room",
        "ExpressionAttributeValues": {":room": step.room_id},
        "ProjectionExpression": "message_id",
        "ConsistentRead": True,
        "Limit": EXPIRY_PAGE_MESSAGES,
    }
    if step.after:
        query["ExclusiveStartKey"] = {"room_id": step.room_id, "message_id": step.after}
    answer = client.query(**query)
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
