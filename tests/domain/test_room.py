"""What an update sets of a room."""

from __future__ import annotations

from typing import Any

from rts_server.domain.room import room_change
from rts_server.protocol.commands import RoomUpdateSchema


def test_an_update_sets_what_it_gives_and_nothing_else() -> None:
    """The id and the expected version are no part of the change; `false` and {} are."""
    changes: list[Any] = [{"frozen": False}, {"metadata": {}}, {"name": "n", "frozen": True}]
    for given in changes:
        assert room_change(given | {"room_id": "r", "version": 1}) == given


def test_every_field_of_an_update_is_part_of_the_change() -> None:
    """A field that the schema gets later must not be dropped here."""
    payload: Any = dict.fromkeys(RoomUpdateSchema().fields, "x")
    assert {*room_change(payload), "room_id", "version"} == set(RoomUpdateSchema().fields)
