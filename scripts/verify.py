"""Hold what Redis has of rooms against the archive."""

from __future__ import annotations

from typing import Any

import click

from rts_server.tools.cli.command import SETTINGS, example, operators
from rts_server.tools.cli.console import Console
from rts_server.tools.cli.lists import Room, chosen, which_rooms
from rts_server.tools.cli.run import Result, Run, at_once
from rts_server.tools.cli.server import Refused, Server

FINDINGS = ("gaps", "duplicates", "orphans", "changed")
AS_IT_SHOULD = {"sound": "sound", "mended": "mended"}


@click.command(
    context_settings=SETTINGS,
    epilog=example(
        """
python scripts/verify.py --external-id order-17
python scripts/verify.py --rooms rooms.yaml --repair
"""
    ),
)
@which_rooms
@click.option("--repair", is_flag=True, help="Store anew what Redis has and the archive has not.")
@at_once
@operators
async def verify(server: Server, screen: Console, repair: bool, at_once: int, **which: Any) -> int:
    """Find gaps (a seq without a message), duplicates (a seq with two), orphans (a message in one
    place only) and messages that are another in the archive.

    Gaps, duplicates and what only the archive has are told, not mended: nothing knows better.
    Exit code 1 when a room is not as it should be.
    """

    async def ask(room: Room, repair: bool) -> dict[str, Any]:
        query = {"repair": "1"} if repair else {}
        path = f"/v1/rooms/{room.room_id}:verify"
        found: dict[str, Any] = await server.ask("POST", path, **query)
        return found

    async def act(room: Room) -> Result:
        try:
            found = await ask(room, repair)
            mended = found["repaired"]
            after = await ask(room, False) if mended else found
        except Refused as refused:
            return Result(room.name, error=refused)
        wrong = {name: after[name] for name in FINDINGS if after[name]}
        lines = [f"{room.name}: mended {one}" for one in mended]
        if wrong:
            told = "; ".join(f"{name} {' '.join(map(str, ids))}" for name, ids in wrong.items())
            return Result(room.name, error=Refused("unsound", told))
        row = {"type": "room", "name": room.name, "room_id": room.room_id, **found}
        return Result(room.name, "mended" if mended else "sound", row, tuple(lines))

    return await Run(screen, chosen(**which), AS_IT_SHOULD, lambda room: room.name).of(act, at_once)


if __name__ == "__main__":
    verify()
