"""The events that a client missed in a room, read from the hot log when it subscribes (D4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from rts_server.domain.byte_budget import ByteBudget
from rts_server.domain.position import Position
from rts_server.domain.standing import MemberInRoom, Standing
from rts_server.realtime.feed_context import Reads
from rts_server.realtime.opening import COLD
from rts_server.realtime.sequence import position_of


class Replay(NamedTuple):
    """Where a listener's stream of a room begins: first the missed events, then live ones.

    Attributes:
        start: The position behind which live events begin; None if the user is not a member.
        recovered: Whether `events` are all events after the cursor; None if that is not known:
            without a cursor, or in a cold room, which has no events in Redis.
        events: Entries of the hot log after the cursor, up to `start`.
        snapshot: The snapshot of the room at `start`, so that what the client is shown of the room
            fits its stream; None if the room is cold, or `standing` is given.
        standing: What the session is told of a room that its client knows, at `start` as well.
    """

    start: Position | None
    recovered: bool | None
    events: list[bytes]
    snapshot: Any = None
    standing: Standing | None = None


NOT_A_MEMBER = Replay(None, None, [])


class JoinReads(Reads, Protocol):
    """The reads of the room log that a join needs."""

    async def members(
        self, user_id: str, cursors: Mapping[str, Position | None]
    ) -> Mapping[str, MemberInRoom]: ...


def rejoined(member: MemberInRoom) -> Replay:
    """Return the replay of a room whose short gap was read together with the standing."""
    standing, events = member
    if events is None:
        return Replay(standing.position, None, [], None, standing)
    return Replay(standing.position, True, events, None, standing)


class ReplayReader:
    """Reads missed events: all of a room or none.

    `max_events` of one room and `max_bytes` of all rooms together are read; a room beyond is not
    recovered, and the client lists its messages again.
    """

    def __init__(self, reads: Reads, *, max_events: int, max_bytes: int) -> None:
        self._reads = reads
        self._max_events = max_events
        self._max_bytes = max_bytes

    async def read(
        self,
        user_id: str,
        replays: Mapping[str, Replay],
        cursors: Mapping[str, Position],
        max_bytes: int | None = None,
    ) -> dict[str, Replay]:
        """Return the replays of rooms, with the events after the cursors where there is one.

        `max_bytes` replaces that of the constructor. Raises RedisError.
        """
        max_bytes = self._max_bytes if max_bytes is None else max_bytes
        budget = ByteBudget(max_bytes, first_always_fits=False)
        result = dict(replays)
        for room_id, replay in replays.items():
            if replay.events and not budget.take(sum(map(len, replay.events))):
                result[room_id] = replay._replace(recovered=False, events=[])
        room_ids = [
            room_id
            for room_id, replay in replays.items()
            if room_id in cursors and replay.recovered is None and replay.start not in (None, COLD)
        ]
        if not room_ids or budget.left <= 0:
            return result | {r: result[r]._replace(recovered=False) for r in room_ids}
        questions = [(room_id, cursors[room_id], self._max_events) for room_id in room_ids]
        missed = await self._reads.events_since(questions, user_id, budget.left)
        for room_id, since in zip(room_ids, missed, strict=False):
            replay = replays[room_id]
            if not since.is_member:
                result[room_id] = NOT_A_MEMBER
            elif since.reaches_head and budget.take(sum(map(len, since.events or ()))):
                events = _until(replay.start, since.events or [])
                result[room_id] = replay._replace(recovered=True, events=events)
            else:
                result[room_id] = replay._replace(recovered=False)
        for room_id in room_ids[len(missed) :]:
            result[room_id] = replays[room_id]._replace(recovered=False)
        return result


def _until(start: Position | None, events: list[bytes]) -> list[bytes]:
    """Drop the events after `start`: the live stream has them, and no event comes twice (D4)."""
    if start is None or not events or position_of(events[-1]) <= start:
        return events
    return [event for event in events if position_of(event) <= start]
