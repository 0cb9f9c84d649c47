"""Higher epochs after a restore of the table of rooms, before anything writes again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import click

from rts_server.tools.cli.command import EXIT_FAILED, HELP_SETTINGS, example
from rts_server.tools.cli.output import counted

EPOCH_INCREMENT = 1_000


@click.command(
    "raise-epochs",
    context_settings=HELP_SETTINGS,
    epilog=example(
        """
rts-server raise-epochs chat-rooms-2 --dry-run
rts-server raise-epochs chat-rooms-2 --region eu-central-1
"""
    ),
)
@click.argument("table")
@click.option(
    "--region",
    envvar=("AWS_REGION", "AWS_DEFAULT_REGION"),
    show_envvar=True,
    help="AWS region of TABLE; without any, that of the AWS profile.",
)
@click.option("--dry-run", is_flag=True, help="Only count the rooms.")
def raise_epochs(table: str, region: str | None, dry_run: bool) -> None:
    """Add 1,000 to the epoch of every room in TABLE, which was restored from a backup.

    Epochs were issued after the backup was taken; the next epoch of a room must be above all of
    them, or clients would see positions twice. Run it while no process writes to TABLE. Safe to
    run again. It uses your own AWS credentials, no server.
    """
    import boto3  # here, because importing it takes longer than most commands
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        with closing(boto3.client("dynamodb", region_name=region)) as client:
            room_ids = _rooms_with_epochs(client, table)
            raised = sum(dry_run or _raise_epoch(client, table, room_id) for room_id in room_ids)
    except (BotoCoreError, ClientError) as error:
        click.echo(f"rts-server: Not all epochs of {table} are raised: {error}", err=True)
        sys.exit(EXIT_FAILED)
    what = "would be raised" if dry_run else "raised"
    click.echo(f"{counted(raised, 'room')} of {table} {what} by {EPOCH_INCREMENT:,} epochs.")


def _rooms_with_epochs(client: Any, table: str) -> Iterator[Any]:
    """Yield the key attribute `room_id` of each room that was ever opened."""
    pages = client.get_paginator("scan").paginate(
        TableName=table,
        ConsistentRead=True,
        FilterExpression="sk = :room AND attribute_exists(epoch)",
        ExpressionAttributeValues={":room": {"S": "ROOM"}},
        ProjectionExpression="room_id",
    )
    return (item["room_id"] for page in pages for item in page["Items"])


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
    except client.exceptions.ConditionalCheckFailedException:
        return False
    return True
