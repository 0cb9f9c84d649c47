"""The events of a room, for operators who keep a copy of the log."""

from __future__ import annotations

import orjson

from rts_server import errors
from rts_server.auth import Identity
from rts_server.config import Settings
from rts_server.protocol import operator_answers, requests
from rts_server.rest.routes import RoomParams, route
from rts_server.rooms.rooms import Rooms
from rts_server.types.operator_answers import EventsAnswer
from rts_server.types.requests import EventPageRequest
from rts_server.views.snapshots import SnapshotReader


class EventPageParams(RoomParams, EventPageRequest):
    """Path and query."""


class EventRoutes:
    """Events in the order of the log."""

    def __init__(self, settings: Settings, rooms: Rooms, snapshots: SnapshotReader) -> None:
        self._answer_bytes = settings.limits.answer_bytes
        self._rooms = rooms
        self._snapshots = snapshots

    @route(
        "GET",
        "/v1/rooms/{room_id}/events",
        operator_answers.EventsSchema,
        query=requests.EventPageSchema,
        refuses=(errors.Gone,),
    )
    async def page(self, operator: Identity, params: EventPageParams) -> EventsAnswer:
        """Events after a position, as far as the hot log still has them."""
        room_id = params["room_id"]
        room = await self._rooms.public(room_id)
        head = (room["epoch"], room["offset"])
        epoch, offset = map(int, params.get("after", f"{head[0]}:0").split(":"))
        question = (room_id, (epoch, offset), params["limit"])
        (since,) = await self._snapshots.events_since([question], budget=self._answer_bytes)
        events = [orjson.loads(event.split(b" ", 2)[2]) for event in since.events or ()]
        end = (events[-1]["epoch"], events[-1]["offset"]) if events else since.position or head
        recovered = since.events is not None or head == (epoch, offset)
        return {
            "events": events,
            "after": f"{end[0]}:{end[1]}",
            "has_more": recovered and end != (since.position or head),
            "recovered": recovered,
        }
