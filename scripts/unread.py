"""Why a user's unread count is what it is, and whether the history says the same."""

from __future__ import annotations

from typing import Any

import click

from rts_server.tools.cli.command import SETTINGS, example, operators
from rts_server.tools.cli.console import Console, removed
from rts_server.tools.cli.server import Server, place

COLUMNS = ("room_id", "seq", "read_seq", "uncounted", "unread", "counts")


@click.group(context_settings=SETTINGS)
def unread() -> None:
    """Unread counts: explain, recount."""


@unread.command(epilog=example("python scripts/unread.py explain alice"))
@click.argument("user")
@operators
async def explain(server: Server, screen: Console, user: str) -> None:
    """unread = seq - read_seq - uncounted (deleted, failed and system messages), room by room.

    A muted or hidden room counts in no total.
    """
    path = f"/v1/users/{place(user)}/unread"
    rows = [row async for row in server.pages(path, "rooms", explain="1")]
    screen.table([{"type": "room", **row} for row in rows], *COLUMNS)
    total = (await server.ask("GET", path))["unread"]
    text = f"{total['total']} unread in {total['rooms']} rooms."
    screen.show({"type": "summary", **total}, text)


@unread.command(epilog=example("python scripts/unread.py recount alice"))
@click.argument("user")
@operators
async def recount(server: Server, screen: Console, user: str) -> int:
    """Count again what USER has not read, message by message in the history of each room.

    The counts are never stored, so there is nothing to set: a room that differs is told, and
    scripts/verify.py says what is wrong with it. Exit code 1 when one differs.
    """
    wrong = 0
    async for room in server.pages(f"/v1/users/{place(user)}/unread", "rooms", explain="1"):
        counted = await _counted(server, room)
        row = {"type": "room", "room_id": room["room_id"]}
        row |= {"unread": room["unread"], "counted": counted}
        text = f"{room['room_id']}: told {room['unread']}, counted {counted}"
        differs = counted != room["unread"]
        screen.show(row, removed(text) if differs else text)
        wrong += differs
    return 1 if wrong else 0


async def _counted(server: Server, room: dict[str, Any]) -> int:
    """Messages behind the cursor up to the seq that was told; one that came since counts not."""
    count, after, more = 0, room["read_seq"], True
    while more:
        path = f"/v1/rooms/{room['room_id']}/messages"
        page = await server.ask("GET", path, after_seq=str(after), limit="100")
        for one in page["messages"]:
            after = one["seq"]
            uncounted = "deleted_at" in one or one["type"] == "system"
            count += after <= room["seq"] and not uncounted
        more = page["has_more"] and after < room["seq"]
    return count


if __name__ == "__main__":
    unread()
