"""After a restore of chat-rooms: add 1,000 to every room's epoch, before anything writes again.

    python -m scripts.raise_epochs chat-rooms

The restored table is behind what was issued since, and the next epoch must lie above all of that.
Doing it twice does no harm. Prints how many rooms were raised; see docs/operations.md.
"""

from __future__ import annotations

from typing import Any

import boto3
import click
from botocore.exceptions import ClientError

BY = 1_000


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
    raised = sum(_raise(client, table, item["room_id"]) for page in pages for item in page["Items"])
    client.close()
    click.echo(f"{raised} rooms of {table} raised by {BY:,} epochs")


def _raise(client: Any, table: str, room_id: Any) -> bool:
    """False for a room that was taken away meanwhile."""
    try:
        client.update_item(
            TableName=table,
            Key={"room_id": room_id, "sk": {"S": "ROOM"}},
            UpdateExpression="ADD epoch :by",
            ConditionExpression="attribute_exists(epoch)",
            ExpressionAttributeValues={":by": {"N": str(BY)}},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True


if __name__ == "__main__":
    main()
