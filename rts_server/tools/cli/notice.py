"""Send one message to many rooms, once per room, however often the command is run."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import click

from rts_server.tools.cli.api_client import ApiClient, ApiError
from rts_server.tools.cli.batch_run import BatchRun, ItemResult, at_once_option
from rts_server.tools.cli.command import HELP_SETTINGS, example, operator_command
from rts_server.tools.cli.output import CommandOutput
from rts_server.tools.cli.room_selection import RoomRef, room_options, selected_rooms

NOTICE_VERBS = {"sent": "sent", "repeated": "had it already"}


@click.command(
    context_settings=HELP_SETTINGS,
    epilog=example(
        """
rts-server notice "Maintenance tonight at 22:00 UTC." --rooms rooms.yaml
rts-server notice "Welcome back." --external-id order-17 --key back-2026-11-25
"""
    ),
)
@click.argument("text")
@room_options
@click.option(
    "--key",
    help="Idempotency key of this notice, kept for 48 h. Give another one to send the same text "
    "again. [a hash of TEXT]",
)
@click.option("--on-behalf-of", help="Send as this member. [the user of the token]")
@at_once_option
@operator_command
async def notice(
    client: ApiClient,
    output: CommandOutput,
    text: str,
    key: str | None,
    on_behalf_of: str | None,
    at_once: int,
    **selection: Any,
) -> int:
    """Send TEXT to rooms. A room that has received it does not receive it again.

    Exit code 1 if rooms are left, each with its reason.
    """
    key = key or sha256(text.encode()).hexdigest()[:32]
    body = {"text": text} | ({"on_behalf_of": on_behalf_of} if on_behalf_of else {})

    async def send_to(room: RoomRef) -> ItemResult:
        path = f"/v1/rooms/{room.room_id}/messages"
        try:
            sent = await client.request("POST", path, body, key=key)
        except ApiError as error:
            return ItemResult(room.name, error=error)
        action = "repeated" if sent.get("duplicate") else "sent"
        row = {"type": "room", "name": room.name, "room_id": room.room_id, "action": action}
        row |= {name: sent[name] for name in ("message_id", "seq", "status")}
        return ItemResult(room.name, action, row, (), sent["status"])

    run = BatchRun(output, selected_rooms(**selection), NOTICE_VERBS, lambda room: room.name)
    return await run.process(send_to, at_once)
