"""Compare what Redis holds of rooms with the archive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from rts_server.tools.cli.api_client import ApiClient, ApiError
from rts_server.tools.cli.batch_run import BatchRun, ItemResult, at_once_option
from rts_server.tools.cli.command import HELP_SETTINGS, example, operator_command
from rts_server.tools.cli.output import CommandOutput
from rts_server.tools.cli.room_selection import RoomRef, room_options, selected_rooms
from rts_server.types.operator_answers import VerifiedAnswer

VERIFY_VERBS = {"sound": "sound", "mended": "mended"}


@click.command(
    context_settings=HELP_SETTINGS,
    epilog=example(
        """
rts-server verify --external-id order-17
rts-server verify --rooms rooms.yaml --repair
"""
    ),
)
@room_options
@click.option(
    "--repair",
    is_flag=True,
    help="Store again what the archive lacks or has differently.",
)
@at_once_option
@operator_command
async def verify(
    client: ApiClient, output: CommandOutput, repair: bool, at_once: int, **selection: Any
) -> int:
    """Find gaps (a seq without a message), duplicates (a seq with two), orphans (a message in one
    place only) and messages that differ in the archive.

    Gaps, duplicates and messages that only the archive has are reported, not repaired: no copy
    says what is right. Exit code 1 if a room has findings.
    """

    async def verify_room(room: RoomRef, repair: bool) -> VerifiedAnswer:
        query = {"repair": "1"} if repair else {}
        path = f"/v1/rooms/{room.room_id}:verify"
        found: VerifiedAnswer = await client.request("POST", path, **query)
        return found

    async def verify_one(room: RoomRef) -> ItemResult:
        try:
            found = await verify_room(room, repair)
            repaired = found["repaired"]
            after = await verify_room(room, False) if repaired else found
        except ApiError as error:
            return ItemResult(room.name, error=error)
        if text := findings_text(after):
            return ItemResult(room.name, error=ApiError("unsound", text))
        lines = tuple(f"{room.name}: mended {message_id}" for message_id in repaired)
        row = {"type": "room", "name": room.name, "room_id": room.room_id, **found}
        return ItemResult(room.name, "mended" if repaired else "sound", row, lines)

    run = BatchRun(output, selected_rooms(**selection), VERIFY_VERBS, lambda room: room.name)
    return await run.process(verify_one, at_once)


def findings_text(found: VerifiedAnswer) -> str:
    """Return what no repair can mend, as `gaps 3 4; orphans m1`; empty if nothing."""
    findings: dict[str, Sequence[object]] = {
        "gaps": found["gaps"],
        "duplicates": found["duplicates"],
        "orphans": found["orphans"],
        "changed": found["changed"],
    }
    return "; ".join(f"{name} {' '.join(map(str, v))}" for name, v in findings.items() if v)
