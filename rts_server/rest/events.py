"""The log of a room, for operators who keep a copy."""

from __future__ import annotations

from typing import Any

import orjson

from rts_server.auth import Identity
from rts_server.config import Settings
from rts_server.protocol import answers, requests
from rts_server.rest.routes import Asked, route
from rts_server.rooms.rooms import Rooms
from rts_server.views.snapshots import SnapshotReader


class EventRoutes:
    """What happened, in the order of the log."""

    def __init__(self, settings: Settings, rooms: Rooms, standings: SnapshotReader) -> None:
        self._most = settings.limits.answer_bytes
        self._rooms = rooms
        self._snapshots = standings

    @route("GET", "/v1/rooms/{room_id}/events", answers.Events, query=requests.EventPage)
    async def page(self, operator: Identity, asked: Asked) -> dict[str, Any]:
        """Events behind a position, as far as the log still holds them."""
        room_id = asked["room_id"]
        room = await self._rooms.public(room_id)
        head = (room["epoch"], room["offset"])
        epoch, offset = map(int, asked.get("after", f"{head[0]}:0").split(":"))
        question = (room_id, (epoch, offset), asked["limit"])
        (since,) = await self._snapshots.events_since([question], budget=self._most)
        events = [orjson.loads(event.split(b" ", 2)[2]) for event in since.events or ()]
        end = (events[-1]["epoch"], events[-1]["offset"]) if events else since.position or head
        recovered = since.events is not None or head == (epoch, offset)
        return {
            "events": events,
            "after": f"{end[0]}:{end[1]}",
            "has_more": recovered and end != (since.position or head),
            "recovered": recovered,
        }
