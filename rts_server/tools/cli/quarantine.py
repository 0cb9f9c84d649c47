"""Quarantined records, which a Lambda function could never apply: list and replay them."""

from __future__ import annotations

import click

from rts_server.tools.cli.api_client import ApiClient
from rts_server.tools.cli.command import HELP_SETTINGS, example, operator_command
from rts_server.tools.cli.output import CommandOutput
from rts_server.tools.cli.replay import replay_all

QUARANTINE_COLUMNS = (
    *("kind", "room_id", "epoch", "offset", "seq", "message_id"),
    *("whole", "reason"),
)


@click.group(context_settings=HELP_SETTINGS)
def quarantine() -> None:
    """Quarantine: list, replay."""


@quarantine.command("list", epilog=example("rts-server quarantine list"))
@operator_command
async def list_(client: ApiClient, output: CommandOutput) -> None:
    """List up to 100 records with their position and the reason, without any text.

    SQS keeps them for 14 days. A record that is not whole was too long and cannot be replayed.
    """
    records = (await client.request("GET", "/v1/queues/quarantine"))["records"]
    output.print_table([{"type": "record", **record} for record in records], *QUARANTINE_COLUMNS)


@quarantine.command(epilog=example("rts-server quarantine replay"))
@operator_command
async def replay(client: ApiClient, output: CommandOutput) -> int:
    """Replay the records in the order of each room, after their cause has been removed.

    Clients were told that a message had failed, so it is sent again as a new message of its
    sender. Any other record goes back to its queue. Safe to run again. Exit code 1 if some are
    left.
    """
    return await replay_all(client, output, "/v1/queues/quarantine:replay", {})
