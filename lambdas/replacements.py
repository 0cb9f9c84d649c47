"""Items that take the place of others; only the message function may write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rts_server.persistence.records import Replacement

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def replace(client: DynamoDBClient, table: str, step: Replacement) -> None:
    """Put an item into the table of this name. Raises ClientError."""
    client.put_item(TableName=table, Item=step.item)
