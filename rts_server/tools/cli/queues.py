"""Queues and their dead-letter queues: list, inspect, redrive."""

from __future__ import annotations

import click

from rts_server.protocol.event import rfc3339
from rts_server.tools.cli.api_client import ApiClient
from rts_server.tools.cli.command import HELP_SETTINGS, example, operator_command
from rts_server.tools.cli.output import CommandOutput
from rts_server.tools.cli.replay import replay_all

DLQ_SUFFIXES = {
    "messages": "-message-queue-dlq.fifo",
    "rooms": "-room-queue-dlq",
    "cursors": "-cursor-queue-dlq",
}
DEAD_RECORD_COLUMNS = (
    *("kind", "room_id", "epoch", "offset", "seq", "message_id"),
    *("receives", "sent", "sqs_message_id"),
)
which_argument = click.argument("which", type=click.Choice([*DLQ_SUFFIXES]))


@click.group(context_settings=HELP_SETTINGS)
def queues() -> None:
    """Queues and DLQs: list, show, redrive."""


@queues.command("list", epilog=example("rts-server queues list"))
@operator_command
async def list_(client: ApiClient, output: CommandOutput) -> None:
    """List all queues with the approximate numbers of records that SQS reports."""
    listed = (await client.request("GET", "/v1/queues", peek="0"))["queues"]
    output.print_table(listed, "name", "waiting", "in_flight", "delayed")


@queues.command(epilog=example("rts-server queues show messages"))
@which_argument
@operator_command
async def show(client: ApiClient, output: CommandOutput, which: str) -> None:
    """Show some records of a DLQ: kind, room, position and number of receives, without any text.

    A record of kind `unreadable` is none of ours; its SQS message id names it.
    """
    listed = (await client.request("GET", "/v1/queues"))["queues"]
    (dlq,) = (queue for queue in listed if queue["name"].endswith(DLQ_SUFFIXES[which]))
    rows = [{**record, "sent": rfc3339(record["sent_ms"] / 1000)} for record in dlq["records"]]
    output.print_table(rows, *DEAD_RECORD_COLUMNS)


@queues.command(epilog=example("rts-server queues redrive messages"))
@which_argument
@operator_command
async def redrive(client: ApiClient, output: CommandOutput, which: str) -> int:
    """Move the records of a DLQ back to its queue, in the order of each room.

    Remove the cause of the failures first. Safe to run again. Exit code 1 if some are left.
    """
    return await replay_all(client, output, "/v1/queues/dlq:replay", {"queue": which})
