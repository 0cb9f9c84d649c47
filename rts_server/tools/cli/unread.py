"""Explain a user's unread counts, and compare them with the history."""

from __future__ import annotations

from typing import cast

import click

from rts_server.tools.cli.api_client import ApiClient, path_segment
from rts_server.tools.cli.command import HELP_SETTINGS, example, operator_command
from rts_server.tools.cli.output import CommandOutput, counted, removed
from rts_server.types.operator_answers import ExplainedRoomAnswer

UNREAD_COLUMNS = ("room_id", "seq", "read_seq", "uncounted", "unread", "counts")


@click.group(context_settings=HELP_SETTINGS)
def unread() -> None:
    """Unread counts: explain, recount."""


@unread.command(epilog=example("rts-server unread explain alice"))
@click.argument("user")
@operator_command
async def explain(client: ApiClient, output: CommandOutput, user: str) -> None:
    """Show for each room: unread = seq - read_seq - uncounted.

    Deleted, failed and system messages are uncounted. Muted and hidden rooms are not part of the
    total.
    """
    path = f"/v1/users/{path_segment(user)}/unread"
    rows = [row async for row in client.list_items(path, "rooms", explain="1")]
    output.print_table([{"type": "room", **row} for row in rows], *UNREAD_COLUMNS)
    total = (await client.request("GET", path))["unread"]
    text = f"{total['total']} unread in {counted(total['rooms'], 'room')}."
    output.print_result({"type": "summary", **total}, text)


@unread.command(epilog=example("rts-server unread recount alice"))
@click.argument("user")
@operator_command
async def recount(client: ApiClient, output: CommandOutput, user: str) -> int:
    """Count the unread messages of USER again from the history of each room.

    Counts are computed, never stored, so there is nothing to set: rooms that differ are reported,
    and `rts-server verify` shows what is wrong with them. Exit code 1 if one differs.
    """
    different = 0
    path = f"/v1/users/{path_segment(user)}/unread"
    async for item in client.list_items(path, "rooms", explain="1"):
        room = cast(ExplainedRoomAnswer, item)
        counted = await _count_in_history(client, room)
        row = {
            "type": "room",
            "room_id": room["room_id"],
            "unread": room["unread"],
            "counted": counted,
        }
        text = f"{room['room_id']}: reported {room['unread']}, counted {counted}"
        differs = counted != room["unread"]
        output.print_result(row, removed(text) if differs else text)
        different += differs
    return 1 if different else 0


async def _count_in_history(client: ApiClient, room: ExplainedRoomAnswer) -> int:
    """Count messages above the read cursor, up to the seq for which `unread` was reported."""
    count, after, more = 0, room["read_seq"], True
    while more:
        path = f"/v1/rooms/{room['room_id']}/messages"
        page = await client.request("GET", path, after_seq=str(after), limit="100")
        for message in page["messages"]:
            after = message["seq"]
            uncounted = "deleted_at" in message or message["type"] == "system"
            count += after <= room["seq"] and not uncounted
        more = page["has_more"] and after < room["seq"]
    return count
