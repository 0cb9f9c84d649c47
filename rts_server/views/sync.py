"""The `sync` command: what was missed since cursors, whole pieces only, within one budget."""

from __future__ import annotations

from typing import Any

import orjson

from rts_server.config import Settings
from rts_server.views.inbox import InboxReader
from rts_server.views.snapshots import EventRange, Position, SnapshotReader

Answer = dict[str, Any]

ROOM_BYTES = 120
"""What a room takes in an answer beside its id and its events."""


class SyncReader:
    """Reads from the hot log alone. What does not fit is asked for again from where it ended."""

    def __init__(self, settings: Settings, standings: SnapshotReader, inboxes: InboxReader) -> None:
        self._settings = settings
        self._snapshots = standings
        self._inboxes = inboxes

    async def events_since(self, user_id: str, cursors: dict[str, Position]) -> dict[str, Answer]:
        """Per room: `{recovered, events, epoch, offset, has_more}`, or `{removed: true}`."""
        if not cursors:
            return {}
        mine_at_all = {one.room_id for one in await self._inboxes.memberships(user_id)}
        known = [room_id for room_id in cursors if room_id in mine_at_all]
        shown = await self._inboxes.read_rooms(user_id, known)
        heads = await self._inboxes.positions(shown.rows, cursors)
        mine = [room_id for room_id in cursors if room_id in heads]
        most = self._settings.limits.replay_events
        rooms = sum(len(room_id) + ROOM_BYTES for room_id in cursors)
        budget = Budget(self._settings.limits.answer_bytes - rooms)
        questions = [(r, cursors[r], most) for r in mine]
        missed = await self._snapshots.events_since(
            questions, user_id, self._settings.limits.answer_bytes
        )
        answers: dict[str, Answer] = {r: {"removed": True} for r in cursors if r not in heads}
        for room_id, since in zip(mine, missed, strict=False):
            if since.member:
                answers[room_id] = _answer(since, cursors[room_id], heads[room_id], budget)
            else:
                answers[room_id] = {"removed": True}
        for room_id in mine[len(missed) :]:
            answers[room_id] = _state(True, [], cursors[room_id], True)
        return answers


class Budget:
    """Bytes of one answer. The first event always fits, so that every call gets on."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._used = False

    def take(self, size: int) -> bool:
        """Whether so many bytes still fit."""
        if self._used and size > self._left:
            return False
        self._left -= size
        self._used = True
        return True


def _answer(since: EventRange, cursor: Position, head: Position, budget: Budget) -> Answer:
    if since.events is None:
        recovered = since.position is None and head == cursor  # cold, and nothing newer stored
        return _state(recovered, [], since.position or head, False)
    events, end = [], cursor
    for data in since.events:
        epoch, offset, text = data.split(b" ", 2)
        if not budget.take(len(text) + 1):
            break
        events.append(orjson.loads(text))
        end = (int(epoch), int(offset))
    return _state(True, events, end, end != since.position)


def _state(recovered: bool, events: list[Any], end: Position, has_more: bool) -> Answer:
    return {
        "recovered": recovered,
        "events": events,
        "epoch": end[0],
        "offset": end[1],
        "has_more": has_more,
    }
