"""The `sync` command: the events a client missed, within one budget of bytes."""

from __future__ import annotations

from typing import Any

import orjson

from rts_server.config import Settings
from rts_server.domain.byte_budget import ByteBudget
from rts_server.domain.position import Position
from rts_server.types.answers import RoomSyncAnswer
from rts_server.types.events import Event
from rts_server.views.inbox import InboxReader
from rts_server.views.snapshots import EventRange, SnapshotReader
from rts_server.views.user_memberships import UserMemberships

ROOM_OVERHEAD_BYTES = 120
"""Bytes of a room in the answer besides its id and its events."""


class SyncReader:
    """Reads missed events from the hot log; the archive is asked only where cold rooms stand."""

    def __init__(
        self,
        settings: Settings,
        snapshots: SnapshotReader,
        inboxes: InboxReader,
        memberships: UserMemberships,
    ) -> None:
        self._limits = settings.limits
        self._snapshots = snapshots
        self._inboxes = inboxes
        self._memberships = memberships

    async def events_since(
        self, user_id: str, cursors: dict[str, Position]
    ) -> dict[str, RoomSyncAnswer]:
        """Per room: `{recovered, events, epoch, offset, has_more}`, or `{removed: true}`.

        The answer is at most `answer_bytes` long. Where `has_more` is true the client asks again
        from the answer's position. Raises Unavailable.
        """
        if not cursors:
            return {}
        memberships = {one.room_id for one in await self._memberships.current(user_id)}
        known = [room_id for room_id in cursors if room_id in memberships]
        inbox = await self._inboxes.read_rooms(user_id, known)
        heads = await self._inboxes.positions(inbox.rows, cursors)
        # The events are read after the heads: they reach at least as far, so a client that is
        # answered "nothing more" has everything up to the head (D4).
        mine = [room_id for room_id in cursors if room_id in heads]
        asked = [(room_id, cursors[room_id], self._limits.replay_events) for room_id in mine]
        missed = await self._snapshots.events_since(asked, user_id, self._limits.answer_bytes)
        rooms_bytes = sum(len(room_id) + ROOM_OVERHEAD_BYTES for room_id in cursors)
        budget = ByteBudget(self._limits.answer_bytes - rooms_bytes)
        # A room the user is not a member of and one that does not exist are answered alike (A4).
        answers: dict[str, RoomSyncAnswer] = {
            r: {"removed": True} for r in cursors if r not in heads
        }
        for room_id, events in zip(mine, missed, strict=False):
            if events.is_member:
                answers[room_id] = _answer(events, cursors[room_id], heads[room_id], budget)
            else:
                answers[room_id] = {"removed": True}
        for room_id in mine[len(missed) :]:  # not read: the budget ended before them
            answers[room_id] = _state(True, [], cursors[room_id], True)
        return answers


def _answer(
    missed: EventRange, cursor: Position, head: Position, budget: ByteBudget
) -> RoomSyncAnswer:
    if missed.events is None:
        recovered = missed.position is None and head == cursor  # cold, and nothing newer stored
        return _state(recovered, [], missed.position or head, False)
    events: list[Event[Any]] = []
    end = cursor
    for data in missed.events:
        epoch, offset, text = data.split(b" ", 2)
        if not budget.take(len(text) + 1):
            break
        events.append(orjson.loads(text))
        end = (int(epoch), int(offset))
    return _state(True, events, end, end != missed.position)


def _state(
    recovered: bool, events: list[Event[Any]], end: Position, has_more: bool
) -> RoomSyncAnswer:
    return {
        "recovered": recovered,
        "events": events,
        "epoch": end[0],
        "offset": end[1],
        "has_more": has_more,
    }
