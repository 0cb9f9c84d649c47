"""Which rooms a command is about, from a manifest, from options or line by line from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import click

from rts_server.keys import external_room_id
from rts_server.tools.cli.manifest import Manifest, Wrong


class Room(NamedTuple):
    """A room and what the operator calls it."""

    name: str
    room_id: str


def manifest(path: Path) -> Manifest:
    """The manifest. Raises click.BadParameter, which says all that is wrong with it."""
    try:
        return Manifest(path)
    except Wrong as wrong:
        raise click.BadParameter(f"\n{wrong}", param_hint="MANIFEST") from None


def which_rooms(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name rooms; `chosen` makes a list of what they hold."""
    for option in (
        click.option("--ids", type=click.File(), help="External ids, one a line; - for stdin."),
        click.option("--rooms", type=click.Path(exists=True, path_type=Path), help="A manifest."),
        click.option("--room-id", "room_ids", multiple=True, help="A room; may be repeated."),
        click.option("--external-id", "external_ids", multiple=True, help="A room by its key."),
    ):
        command = option(command)
    return command


def chosen(
    external_ids: Iterable[str], room_ids: Iterable[str], rooms: Path | None, ids: TextIO | None
) -> list[Room]:
    """Each room once, in the order given. Raises click.UsageError when there is none."""
    keys = [*external_ids, *(one.strip() for one in ids or ())]
    keys += [*manifest(rooms).ids()] if rooms else []
    found = [Room(key, external_room_id(key)) for key in keys if key]
    found += [Room(room_id, room_id) for room_id in room_ids]
    if not found:
        raise click.UsageError("Which rooms? --external-id, --room-id, --rooms or --ids.")
    return list({room.room_id: room for room in found}.values())
