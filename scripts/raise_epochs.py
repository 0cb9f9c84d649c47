"""Add 1,000 to every room's epoch after a restore of chat-rooms, before anything writes again.

    python -m scripts.raise_epochs chat-rooms

Epochs were issued after the backup was taken; the next epoch must be above all of them. Safe to
run twice. Prints the number of rooms; see docs/operations.md.
"""

from __future__ import annotations

from typing import Any

import boto3
import click
from botocore.exceptions import ClientError

EPOCH_INCREMENT = 1_000


@click.command()
@click.argument("table")
def main(table: str) -> None:
    """Add 1,000 to the epoch of every room in TABLE."""
    client = boto3.client("dynamodb")
    pages = client.get_paginator("scan").paginate(
        TableName=table,
        ConsistentRead=True,
        FilterExpression="sk = :room AND attribute_exists(epoch)",
        ExpressionAttributeValues={":room": {"S": "ROOM"}},
        ProjectionExpression="room_id",
    )
    raised = sum(
        _raise_epoch(client, table, item["room_id"]) for page in pages for item in page["Items"]
    )
    client.close()
    click.echo(f"{raised} rooms of {table} raised by {EPOCH_INCREMENT:,} epochs")


def _raise_epoch(client: Any, table: str, room_id: Any) -> bool:
    """Return False for a room that was deleted meanwhile."""
    try:
        client.update_item(
            TableName=table,
            Key={"room_id": room_id, "sk": {"S": "ROOM"}},
            UpdateExpression="ADD epoch :by",
            ConditionExpression="attribute_exists(epoch)",
            ExpressionAttributeValues={":by": {"N": str(EPOCH_INCREMENT)}},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True


if __name__ == "__main__":
    main()
