"""The feed of one room on one instance: its listeners, and its events in the order of the log."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from itertools import chain

import orjson

from rts_server import metrics
from rts_server.domain.position import Position
from rts_server.domain.standing import Standing
from rts_server.domain.unread import MemberUnread, counts_in_totals
from rts_server.engine.packets import Encoded, event_packet
from rts_server.protocol.event import ephemeral, namespace_of
from rts_server.realtime.feed_context import FeedContext
from rts_server.realtime.listener import Listener
from rts_server.realtime.opening import COLD, Opening
from rts_server.realtime.room_listeners import removed
from rts_server.realtime.room_unread import NOT_OPEN, READ_TYPES, RoomUnread
from rts_server.realtime.sequence import (
    PublishedEvent,
    Verdict,
    classify,
    is_contiguous,
    parse_stored,
)
from rts_server.realtime.typing_countdown import TypingCountdown
from rts_server.realtime.unread_count import UnreadCount
from rts_server.runtime.backoff import backoff
from rts_server.types.events import RoomStateData

log = logging.getLogger(__name__)

MAX_REPAIR_EVENTS = 300
"""Events that one read of a repair returns at most; a larger gap takes several."""
TYPING = "typing.changed"
ROOM_STATE = "room.state"
"""Published to one user's devices when their settings of the room, or their role, have changed."""
ROOM_HEAD = "head"
"""Published by the relay for a room in which nothing follows; it has a position and no content."""
MAX_TYPING_USERS = 10
"""Users whom typing.changed names; the others are only counted."""


class RoomFeed(RoomUnread):
    """Delivers every event behind a listener's start once and in order, or `sync.reset` (D3, D4).

    While `buffered` is not None the feed is opening or repairing: published events wait there, so
    that nothing newer overtakes what is being read from the hot log.
    """

    __slots__ = ("buffered",)

    def __init__(self, room_id: str, context: FeedContext) -> None:
        super().__init__(room_id, context)
        self.buffered: deque[PublishedEvent] | None = deque()

    def close(self) -> None:
        """Stop the timer, when the last listener has left."""
        if typing := self._context.typing.pop(self.room_id, None):
            typing.close()

    def join(self, listener: Listener, cursor: Position | None) -> None:
        """Add a listener, or let it begin anew; its events wait until `go_live`."""
        listener.rooms[self.room_id] = UnreadCount()
        self._open(listener, Opening(cursor))

    def leave(self, listener: Listener) -> None:
        """Remove a listener."""
        if listener.rooms.pop(self.room_id, None):
            self._end_opening(listener)
            self.listeners = removed(self.listeners, listener)

    def open_at(self, position: Position | None) -> None:
        """Begin at the room's position (None: it is cold); deliver what was buffered behind it."""
        if self._offset == NOT_OPEN:
            self.position = position
            self._release()

    def on_publish(self, event: PublishedEvent) -> None:
        """Take an event that was published, in the order of Redis."""
        if self.buffered is not None:
            self.buffered.append(event)
        elif not self._try_deliver(event):
            self.buffered = deque([event])
            self._context.start_task(self._repair())

    def mark_lagging(self) -> None:
        """Repair: the head in Redis is ahead although nothing was published to us (D5)."""
        if self.buffered is None:
            self.buffered = deque()
            self._context.start_task(self._repair())

    def _try_deliver(self, event: PublishedEvent) -> bool:
        """Deliver an event that is next; return False when something is missing before it."""
        position = self.position
        if position is None:
            if event.type in READ_TYPES:  # a receipt may load a room without any event of its log
                self.read_moved(event)
            return not event.durable and event.type not in (ROOM_HEAD, ROOM_STATE)
        if not event.durable:
            return self._deliver_ephemeral(event, position)
        verdict = classify(position, event.position)
        if verdict is Verdict.STALE:
            return True
        if verdict is Verdict.NEXT or (verdict is Verdict.EPOCH and is_contiguous(position, event)):
            self._deliver(event, position)
            return True
        return False

    def _deliver_ephemeral(self, event: PublishedEvent, position: Position) -> bool:
        """Deliver an ephemeral event unless the log is behind the head at which it was published.

        Return False in that case: a removal before it may not have been applied here yet, and the
        event must not reach a removed member (A2).
        """
        if event.position > position:
            return False
        if event.type == ROOM_HEAD:
            return True
        if event.type == TYPING:
            self._typing().update(orjson.loads(event.text))
            return True
        if event.type in READ_TYPES:
            self.read_moved(event)
            return True
        if event.type == ROOM_STATE:
            self._write_state(event)
            return True
        namespace = namespace_of(event.type)
        packet = event_packet(namespace, event.type, event.text)
        for listener in self._live_listeners(namespace):
            if event.to is None or event.to == listener.user_id:
                listener.write(packet)
        return True

    def _write_state(self, event: PublishedEvent) -> None:
        """Write `room.state` to a user's devices, also where the stream has not begun (D4)."""
        assert event.to is not None
        packet = event_packet("/chat", event.type, event.text)
        for listener in self._of_user(event.to):
            listener.write_user_event(packet)
        state: RoomStateData = orjson.loads(event.text)["data"]
        counts = counts_in_totals(muted=state["muted"], hidden=state["hidden"])
        self.settings_changed(event.to, in_totals=counts)

    def _live_listeners(self, namespace: str) -> list[Listener]:
        """Return the listeners in a namespace whose streams have begun."""
        begun = chain(
            self.listeners, (one for one, opening in self.openings.items() if opening.is_live)
        )
        return [listener for listener in begun if namespace in listener.namespaces]

    def _typing(self) -> TypingCountdown:
        """Return the typing users of the room; they are dropped when nobody is typing any more."""
        of_rooms = self._context.typing
        if (typing := of_rooms.get(self.room_id)) is None:
            typing = of_rooms[self.room_id] = TypingCountdown(
                self._write_typing,
                self._context.typing_interval,
                on_end=lambda: of_rooms.pop(self.room_id, None),
            )
        return typing

    def _write_typing(self, user_ids: list[str]) -> None:
        data = {"user_ids": user_ids[:MAX_TYPING_USERS], "count": len(user_ids)}
        packet = event_packet("/presence", TYPING, ephemeral(TYPING, data, self.room_id))
        for listener in self._live_listeners("/presence"):
            listener.write_droppable(packet)

    def _deliver(self, event: PublishedEvent, before: Position) -> None:
        """Deliver the event that follows the position `before`."""
        self.position = event.position
        packet = event_packet("/chat", event.type, event.text)
        for listener in self.listeners:
            listener.write(packet)
        if event.type == "room.epoch":
            for listener in self.listeners:
                self._begin_epoch(listener, before, event)
        for listener, opening in self.openings.items():
            self._deliver_opening(listener, opening, event, packet, before)
        metrics.DELIVERIES.inc(len(self.listeners) + len(self.openings))
        self.delivered(event)
        for listener, opening in tuple(self.openings.items()):
            self.feed_reached(listener, opening)
        if event.type == "member.removed":
            self._evict({m["user_id"] for m in orjson.loads(event.text)["data"]["members"]})

    def _deliver_opening(
        self,
        listener: Listener,
        opening: Opening,
        event: PublishedEvent,
        packet: Encoded,
        before: Position,
    ) -> None:
        """Deliver an event to a listener whose subscription may begin behind it."""
        if opening.start is None:
            opening.backlog = [*(opening.backlog or ()), (event, packet)]
        elif event.position > opening.start:
            listener.write(packet)
            if event.type == "room.epoch" or opening.start == COLD:
                self._begin_epoch(listener, opening.cursor_at(before), event)
                opening.start, opening.cursor = event.position, None

    def _evict(self, user_ids: set[str]) -> None:
        """Remove users before any later event is delivered: the removal fence (A2)."""
        if typing := self._context.typing.get(self.room_id):
            typing.remove(user_ids)
        for listener in [one for one in self.all_listeners() if one.user_id in user_ids]:
            self.leave(listener)
            self._context.evicted(listener, self.room_id)
        self._context.left(user_ids)

    def go_live(
        self,
        listener: Listener,
        start: Position,
        standing: MemberUnread | Standing | None = None,
        *,
        is_current: bool = True,
    ) -> None:
        """Begin a listener's live stream behind `start`; write what waited first.

        `standing`: how the listener's user stood there; None if that is not known. `is_current`
        says that the client has everything up to `start`. Otherwise it reads the room anew, and
        needs a sync.reset when a cold room is loaded: what it read may be outdated.
        """
        opening = self.openings.get(listener)
        if opening is None or opening.start is not None:
            return
        opening.start = start
        if not is_current:
            opening.cursor = None
        if opening.reset_at is not None and start < opening.reset_at:
            opening.start = start = opening.reset_at
            listener.write(event_packet("/chat", "sync.reset", reset_text(self.room_id, start)))
        if start != COLD:
            opening.cursor = start
        self.began(listener, opening, standing)
        for event, packet in opening.backlog or ():
            if event.position > opening.start:
                listener.write(packet)
                if event.type == "room.epoch" or opening.start == COLD:
                    self._begin_epoch(listener, opening.cursor, event)
                    opening.start = event.position
                opening.cursor = event.position
        opening.backlog = None
        self.feed_reached(listener, opening)

    def _begin_epoch(
        self, listener: Listener, cursor: Position | None, event: PublishedEvent
    ) -> None:
        """Reset a listener at a new epoch or when a cold room wakes, unless it missed nothing.

        `cursor`: the position up to which its client has the room.
        """
        if not is_contiguous(cursor, event):
            text = reset_text(self.room_id, event.position)
            listener.write(event_packet("/chat", "sync.reset", text))
        listener.rooms[self.room_id].doubt()

    def _release(self) -> None:
        """Deliver what was buffered as far as it is contiguous; repair at the first gap."""
        buffered, self.buffered = self.buffered or deque(), None
        while buffered:
            if self.position is None or not self._try_deliver(buffered[0]):
                self.buffered = buffered
                self._context.start_task(self._repair())
                return
            buffered.popleft()

    async def _repair(self) -> None:
        """Fill the gap from the hot log before anything newer goes out (D3), else begin anew.

        Moved read cursors may have been missed as well, and the hot log does not have them.
        """
        self.doubt()
        failures = 0
        while True:
            try:
                filled = await self._fill()
                metrics.REPAIRS.labels("filled" if filled else "reset").inc()
                if not filled:
                    log.info("stream begins anew", extra={"room_id": self.room_id})
                break
            except Exception as error:
                log.warning(
                    "repair failed, will be repeated",
                    extra={"room_id": self.room_id, "error": type(error).__name__},
                )
                failures += 1
                await asyncio.sleep(backoff(failures))
        self._release()

    async def _fill(self) -> bool:
        while self.position is not None:
            if self.buffered and is_contiguous(self.position, self.buffered[0]):
                return True
            (missed,) = await self._context.reads.events_since(
                [(self.room_id, self.position, MAX_REPAIR_EVENTS)]
            )
            if missed.events is None:
                break
            for data in missed.events:
                self._try_deliver(parse_stored(data))
            if missed.position is not None and self.position >= missed.position:
                return True
        await self._start_anew()
        return False

    async def _start_anew(self) -> None:
        """Begin at a new position, without the missed events.

        Members are read before anything is delivered: a removal may have been missed (A2).
        """
        users = {listener.user_id for listener in self.all_listeners()}
        waiting = len(self.buffered or ())
        (snapshot,) = await self._context.reads.read_many([(self.room_id, sorted(users))])
        buffered, self.buffered = list(self.buffered or ()), deque()
        if snapshot is None:
            self._become_cold()
            self.buffered.extend(buffered[waiting:])  # may have been rehydrated meanwhile
            return
        epochs = [e for e in buffered if e.type == "room.epoch" and e.position <= snapshot.position]
        self._evict({user for user in users if snapshot.members.get(user) is None})
        before, self.position = self.position, snapshot.position
        self._reset(before, epochs)
        self.buffered.extend(e for e in buffered if e.position > snapshot.position)

    def listener_positions(self) -> set[Position]:
        """Return the stream's position, or the listeners' cursors while the room is cold."""
        if self.position is not None:
            return {self.position}
        cursors = (opening.cursor for opening in self.openings.values())
        return {cursor for cursor in cursors if cursor is not None}

    def _become_cold(self) -> None:
        """Note where every client is; those at the `prev` of the next epoch need no reset."""
        before, self.position = self.position, None
        if before is None:
            return
        for opening in self.openings.values():
            if opening.start not in (None, COLD):
                opening.start = opening.cursor = opening.cursor_at(before)
        for listener in tuple(self.listeners):
            self._open(listener, Opening(before, before))

    def _reset(self, before: Position | None, epochs: list[PublishedEvent]) -> None:
        """Send `sync.reset` to every listener that was not at the `prev` of the new epoch.

        `before`: where the feed stood. The counts are read again: messages were left out.
        """
        assert self.position is not None
        self.seq = 0
        self.doubt()
        last = epochs[-1] if epochs and epochs[-1].position == self.position else None
        for listener in self.listeners:
            self._write_reset(listener, before, epochs, last)
        for listener, opening in tuple(self.openings.items()):
            if opening.start is None:
                opening.reset_at, opening.backlog = self.position, None
            else:
                self._write_reset(listener, opening.cursor_at(before), epochs, last)
                opening.start = opening.read_at = self.position
                self.feed_reached(listener, opening)

    def _write_reset(
        self,
        listener: Listener,
        cursor: Position | None,
        epochs: list[PublishedEvent],
        last: PublishedEvent | None,
    ) -> None:
        assert self.position is not None
        for event in epochs:
            listener.write(event_packet("/chat", event.type, event.text))
        if last is None or not is_contiguous(cursor, last):
            text = reset_text(self.room_id, self.position)
            listener.write(event_packet("/chat", "sync.reset", text))


def reset_text(room_id: str, position: Position) -> str:
    """Return the text of a `sync.reset` event."""
    return ephemeral("sync.reset", {"epoch": position[0], "offset": position[1]}, room_id)
