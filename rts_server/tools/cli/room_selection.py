"""The rooms a command works on: from a manifest, from options, or one per line from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import click

from rts_server.keys import external_room_id
from rts_server.tools.cli.manifest import Manifest, ManifestError


class RoomRef(NamedTuple):
    """A room id, and the name that the operator gave for it (external id or room id)."""

    name: str
    room_id: str


def load_manifest(path: Path) -> Manifest:
    """Return the manifest. Raises click.BadParameter with all mistakes in it."""
    try:
        return Manifest(path)
    except ManifestError as error:
        raise click.BadParameter(f"\n{error}", param_hint="MANIFEST") from None


def room_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name rooms; pass their values to `selected_rooms`."""
    for option in (
        click.option("--ids", type=click.File(), help="External ids, one per line; - for stdin."),
        click.option("--rooms", type=click.Path(exists=True, path_type=Path), help="A manifest."),
        click.option("--room-id", "room_ids", multiple=True, help="A room id; may be repeated."),
        click.option(
            "--external-id", "external_ids", multiple=True, help="An external id; may be repeated."
        ),
    ):
        command = option(command)
    return command


def selected_rooms(
    external_ids: Iterable[str], room_ids: Iterable[str], rooms: Path | None, ids: TextIO | None
) -> list[RoomRef]:
    """Return each room once, in the order given. Raises click.UsageError if there is none."""
    keys = [*external_ids, *(line.strip() for line in ids or ())]
    keys += [*load_manifest(rooms).external_ids()] if rooms else []
    selected = [RoomRef(key, external_room_id(key)) for key in keys if key]
    selected += [RoomRef(room_id, room_id) for room_id in room_ids]
    if not selected:
        raise click.UsageError("No rooms given: use --external-id, --room-id, --rooms or --ids.")
    return list({room.room_id: room for room in selected}.values())
