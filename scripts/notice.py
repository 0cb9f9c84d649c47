"""The same message to many rooms, once, however often this is run."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import click

from rts_server.tools.cli.command import SETTINGS, example, operators
from rts_server.tools.cli.console import Console
from rts_server.tools.cli.lists import Room, chosen, which_rooms
from rts_server.tools.cli.run import Result, Run, at_once
from rts_server.tools.cli.server import Refused, Server

SENT = {"sent": "sent", "repeated": "had it already"}


@click.command(
    context_settings=SETTINGS,
    epilog=example(
        """
python scripts/notice.py "Maintenance tonight at 22:00 UTC." --rooms rooms.yaml
python scripts/notice.py "Welcome back." --external-id order-17 --key back-2026-11-25
"""
    ),
)
@click.argument("text")
@which_rooms
@click.option("--key", help="Of this notice, within 48 h; the same text again needs another.")
@click.option("--on-behalf-of", help="A member who says it; else you do, by your token's id.")
@at_once
@operators
async def notice(
    server: Server,
    screen: Console,
    text: str,
    key: str | None,
    on_behalf_of: str | None,
    at_once: int,
    **which: Any,
) -> int:
    """Send TEXT to rooms. A room that has it already does not get it again.

    Exit code 1 when a room is left, each with its reason.
    """
    key = key or sha256(text.encode()).hexdigest()[:32]
    body = {"text": text} | ({"on_behalf_of": on_behalf_of} if on_behalf_of else {})

    async def act(room: Room) -> Result:
        try:
            sent = await server.ask("POST", f"/v1/rooms/{room.room_id}/messages", body, key=key)
        except Refused as refused:
            return Result(room.name, error=refused)
        action = "repeated" if sent.get("duplicate") else "sent"
        row = {"type": "room", "name": room.name, "room_id": room.room_id, "action": action}
        row |= {name: sent[name] for name in ("message_id", "seq", "status")}
        return Result(room.name, action, row, (), sent["status"])

    return await Run(screen, chosen(**which), SENT, name=lambda room: room.name).of(act, at_once)


if __name__ == "__main__":
    notice()
