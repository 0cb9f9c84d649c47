"""The `sync` command: contiguous events within a budget of bytes, and progress at every call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import orjson
from hypothesis import given
from hypothesis import strategies as st

from rts_server.config import Settings
from rts_server.domain.position import Position
from rts_server.domain.size_limits import SizeLimits
from rts_server.persistence.user_rooms import IndexedMembership
from rts_server.types.objects import Room
from rts_server.views.inbox import Inbox, InboxReader
from rts_server.views.inbox_row import InboxRow
from rts_server.views.snapshots import EventRange, SnapshotReader
from rts_server.views.sync import SyncReader
from rts_server.views.user_memberships import UserMemberships

BYTES = 2_000


class Log:
    """Rooms of one epoch whose events have the given sizes."""

    def __init__(self, rooms: dict[str, list[int]]) -> None:
        self._rooms = rooms

    async def current(self, user_id: str) -> list[IndexedMembership]:
        """All rooms."""
        return [IndexedMembership(room_id, 1, 1, "in") for room_id in self._rooms]

    async def read_rooms(self, user_id: str, room_ids: list[str]) -> Inbox:
        """The rooms that exist."""
        rows = [
            InboxRow(
                0, room_id, cast(Room, {"epoch": 1, "offset": len(self._rooms[room_id])}), True, 0
            )
            for room_id in room_ids
            if room_id in self._rooms
        ]
        return Inbox(rows)

    async def positions(
        self, rows: list[InboxRow], cursors: dict[str, Position]
    ) -> dict[str, Position]:
        """The heads of all rooms."""
        return {row.room_id: (row.room["epoch"], row.room["offset"]) for row in rows}

    async def events_since(
        self, asked: Sequence[tuple[str, Position, int]], user_id: str, budget: int
    ) -> list[EventRange]:
        """The events after each position, up to the limit."""
        return [
            EventRange((1, len(self._rooms[room_id])), self._events(room_id, position[1])[:most])
            for room_id, position, most in asked
        ]

    def _events(self, room_id: str, offset: int) -> list[bytes]:
        return [
            b"1 %d " % at + orjson.dumps({"offset": at, "pad": "x" * size})
            for at, size in enumerate(self._rooms[room_id], start=1)
            if at > offset
        ]


def syncing(rooms: dict[str, list[int]]) -> SyncReader:
    """The command over a log."""
    settings = Settings(limits=SizeLimits(answer_bytes=BYTES, replay_events=4))
    fake = Log(rooms)
    return SyncReader(
        settings,
        cast(SnapshotReader, fake),
        cast(InboxReader, fake),
        cast(UserMemberships, fake),
    )


ROOMS = st.dictionaries(
    st.text("abc", min_size=1, max_size=8), st.lists(st.integers(0, 700), max_size=12), max_size=6
)


@given(ROOMS)
async def test_repeated_syncs_return_every_event_once(rooms: dict[str, list[int]]) -> None:
    """The next call continues where an answer ended; no answer exceeds its budget (D4)."""
    sync = syncing(rooms)
    missing: dict[str, Position] = dict.fromkeys(rooms, (1, 0))
    received: dict[str, list[int]] = {room_id: [] for room_id in rooms}
    while missing:
        answer = await sync.events_since("alice", missing)
        assert set(answer) == set(missing)
        assert len(orjson.dumps(answer)) <= BYTES
        assert sum(len(page["events"]) for page in answer.values()) > 0 or not any(
            page["has_more"] for page in answer.values()
        )
        missing = {}
        for room_id, page in answer.items():
            received[room_id] += [event["offset"] for event in page["events"]]
            if page["has_more"]:
                missing[room_id] = (page["epoch"], page["offset"])
    assert received == {room_id: list(range(1, len(sizes) + 1)) for room_id, sizes in rooms.items()}


async def test_a_room_of_others_is_removed() -> None:
    """A room that does not exist and one the user left are alike (A4)."""
    answer: Any = await syncing({"a": []}).events_since("alice", {"a": (1, 0), "b": (1, 0)})
    assert answer["b"] == {"removed": True}
    assert answer["a"]["recovered"]
