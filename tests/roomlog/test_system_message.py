"""Lines of the history about changes of the room."""

from __future__ import annotations

from typing import Any, cast

import pytest

from rts_server.domain.room import RoomChange, RoomFields
from rts_server.roomlog.system_message import room_lines

ROOM = cast(RoomFields, {"room_id": "r", "name": "Old", "frozen": False, "metadata": {}})


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"name": "New"}, {"name": "New"}),
        ({"frozen": True}, {"frozen": True}),
        ({"name": None, "frozen": True}, {"name": None, "frozen": True}),
        ({"name": "Old", "frozen": False}, None),
        ({"metadata": {"colour": "red"}}, None),
    ],
)
def test_a_line_says_what_is_other_than_before(
    change: dict[str, Any], shown: dict[str, Any] | None
) -> None:
    """A value that stays, and what no member sees, has none; a line never counts as unread."""
    lines = room_lines(ROOM, "alice", cast(RoomChange, change))
    wanted = [] if shown is None else [{"event": "room.updated", "user_ids": [], **shown}]
    found: list[Any] = [line.data for line in lines]
    assert [one["message"]["metadata"] for one in found] == wanted
    assert not any(line.counts for line in lines)
