"""The feed of one room on one instance: its listeners, and its events in the order of the log."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import orjson

from rts_server import metrics
from rts_server.domain.position import Position
from rts_server.domain.standing import Standing
from rts_server.engine.packets import event_packet
from rts_server.protocol.event import ephemeral, namespace_of
from rts_server.realtime.listener import Listener
from rts_server.realtime.room_unread import READ_TYPES, RoomUnread
from rts_server.realtime.sequence import (
    PublishedEvent,
    Verdict,
    classify,
    is_contiguous,
    parse_stored,
)
from rts_server.realtime.subscription import Subscription
from rts_server.realtime.typing_countdown import TypingCountdown
from rts_server.runtime.backoff import backoff

log = logging.getLogger(__name__)

MAX_REPAIR_EVENTS = 300
"""Events that one read of a repair returns at most; a larger gap takes several."""
TYPING = "typing.changed"
ROOM_HEAD = "head"
"""Published by the relay for a room in which nothing follows; it has a position and no content."""
MAX_TYPING_USERS = 10
"""Users whom typing.changed names; the others are only counted."""
COLD: Position = (0, 0)
"""Start of a subscription that began while the position of the room was not known."""


class Snapshot(Protocol):
    """The snapshot of a warm room; `members` by requested user, None for non-members."""

    @property
    def position(self) -> Position: ...
    @property
    def members(self) -> Mapping[str, object]: ...


class Missed(Protocol):
    """The events after a position; `events` is None when they are not all available."""

    @property
    def position(self) -> Position | None: ...
    @property
    def events(self) -> list[bytes] | None: ...
    @property
    def is_member(self) -> bool: ...
    @property
    def reaches_head(self) -> bool: ...


class Reads(Protocol):
    """The reads of the room log that a feed needs; None stands for a room that is not in Redis."""

    async def read_many(
        self, asked: Sequence[tuple[str, Sequence[str]]]
    ) -> Sequence[Snapshot | None]: ...
    async def events_since(
        self, asked: Sequence[tuple[str, Position, int]], user_id: str = "", budget: int = ...
    ) -> Sequence[Missed]: ...


class RoomFeed:
    """Delivers every event behind a listener's start once and in order, or `sync.reset` (D3, D4).

    `start_task` starts a coroutine in the background. `evicted` is called with each listener whose
    user was removed. While `buffered` is not None the feed is opening or repairing: published
    events wait there, so that nothing newer overtakes what is being read from the hot log.
    `listeners_of` and `unread_changed`: see `RoomUnread`.
    """

    def __init__(
        self,
        room_id: str,
        reads: Reads,
        start_task: Callable[[Any], Any],
        evicted: Callable[[Listener, str], None] = lambda listener, room_id: None,
        typing_interval: float = 1.0,
        *,
        listeners_of: Callable[[str], Collection[Listener]] = lambda user_id: (),
        unread_changed: Callable[[Listener, str], None] = lambda listener, room_id: None,
    ) -> None:
        self.room_id = room_id
        self.position: Position | None = None
        self.subscriptions: dict[Listener, Subscription] = {}
        self.buffered: deque[PublishedEvent] | None = deque()
        self._is_open = False
        self._reads = reads
        self._start_task = start_task
        self._evicted = evicted
        self._typing = TypingCountdown(self._write_typing, typing_interval)
        self.unread = RoomUnread(
            self.subscriptions, listeners_of, lambda listener: unread_changed(listener, room_id)
        )

    def close(self) -> None:
        """Stop the timer, when the last listener has left."""
        self._typing.close()

    def open_at(self, position: Position | None) -> None:
        """Begin at the room's position (None: it is cold); deliver what was buffered behind it."""
        if not self._is_open:
            self._is_open, self.position = True, position
            self._release()

    def on_publish(self, event: PublishedEvent) -> None:
        """Take an event that was published, in the order of Redis."""
        if self.buffered is not None:
            self.buffered.append(event)
        elif not self._try_deliver(event):
            self.buffered = deque([event])
            self._start_task(self._repair())

    def mark_lagging(self) -> None:
        """Repair: the head in Redis is ahead although nothing was published to us (D5)."""
        if self.buffered is None:
            self.buffered = deque()
            self._start_task(self._repair())

    def _try_deliver(self, event: PublishedEvent) -> bool:
        """Deliver an event that is next; return False when something is missing before it."""
        if self.position is None:
            if event.type in READ_TYPES:  # a receipt may load a room without any event of its log
                self.unread.read_moved(event, None)
            return not event.durable and event.type != ROOM_HEAD
        if not event.durable:
            return self._deliver_ephemeral(event)
        verdict = classify(self.position, event.position)
        if verdict is Verdict.STALE:
            return True
        if verdict is Verdict.NEXT or (
            verdict is Verdict.EPOCH and is_contiguous(self.position, event)
        ):
            self._deliver(event)
            return True
        return False

    def _deliver_ephemeral(self, event: PublishedEvent) -> bool:
        """Deliver an ephemeral event unless the log is behind the head at which it was published.

        Return False in that case: a removal before it may not have been applied here yet, and the
        event must not reach a removed member (A2).
        """
        assert self.position is not None
        if event.position > self.position:
            return False
        if event.type == ROOM_HEAD:
            return True
        if event.type == TYPING:
            self._typing.update(orjson.loads(event.text))
            return True
        if event.type in READ_TYPES:
            self.unread.read_moved(event, self.position)
            return True
        namespace = namespace_of(event.type)
        packet = event_packet(namespace, event.type, event.text)
        for listener, subscription in self.subscriptions.items():
            if subscription.start is None or namespace not in listener.namespaces:
                continue
            if event.to is None or event.to == listener.user_id:
                listener.write(packet)
        return True

    def _write_typing(self, user_ids: list[str]) -> None:
        data = {"user_ids": user_ids[:MAX_TYPING_USERS], "count": len(user_ids)}
        packet = event_packet("/presence", TYPING, ephemeral(TYPING, data, self.room_id))
        for listener, subscription in self.subscriptions.items():
            if subscription.start is not None and "/presence" in listener.namespaces:
                listener.write_droppable(packet)

    def _deliver(self, event: PublishedEvent) -> None:
        if begins_epoch := event.type == "room.epoch":
            self._note_positions()
        self.position = position = event.position
        packet = event_packet("/chat", event.type, event.text)
        for listener, subscription in self.subscriptions.items():
            start = subscription.start
            if start is None:
                subscription.backlog = [*(subscription.backlog or ()), (event, packet)]
            elif position > start:
                listener.write(packet)
                if begins_epoch or start == COLD:
                    self._begin_epoch(listener, subscription, event)
        metrics.DELIVERIES.inc(len(self.subscriptions))
        self.unread.delivered(event)
        if event.type == "member.removed":
            self._evict({m["user_id"] for m in orjson.loads(event.text)["data"]["members"]})

    def _evict(self, user_ids: set[str]) -> None:
        """Remove users before any later event is delivered: the removal fence (A2)."""
        self._typing.remove(user_ids)
        for listener in [
            listener for listener in self.subscriptions if listener.user_id in user_ids
        ]:
            del self.subscriptions[listener]
            listener.rooms.discard(self.room_id)
            self._evicted(listener, self.room_id)

    def go_live(
        self,
        listener: Listener,
        start: Position,
        standing: Standing | None = None,
        *,
        is_current: bool = True,
    ) -> None:
        """Begin a listener's live stream behind `start`; write what waited first.

        `standing`: how the listener's user stood there; None if that is not known. `is_current`
        says that the client has everything up to `start`. Otherwise it reads the room anew, and
        needs a sync.reset when a cold room is loaded: what it read may be outdated.
        """
        subscription = self.subscriptions.get(listener)
        if subscription is None or subscription.start is not None:
            return
        subscription.start = start
        if not is_current:
            subscription.cursor = None
        if subscription.reset_at is not None and start < subscription.reset_at:
            subscription.start = start = subscription.reset_at
            listener.write(event_packet("/chat", "sync.reset", reset_text(self.room_id, start)))
        if start != COLD:
            subscription.cursor = start
        self.unread.began(listener, subscription, standing)
        for event, packet in subscription.backlog or ():
            if event.position > subscription.start:
                listener.write(packet)
                if event.type == "room.epoch" or subscription.start == COLD:
                    self._begin_epoch(listener, subscription, event)
                subscription.cursor = event.position
        subscription.backlog = None

    def _begin_epoch(
        self, listener: Listener, subscription: Subscription, event: PublishedEvent
    ) -> None:
        """Reset a listener at a new epoch or when a cold room wakes, unless it missed nothing."""
        if not is_contiguous(subscription.cursor, event):
            text = reset_text(self.room_id, event.position)
            listener.write(event_packet("/chat", "sync.reset", text))
        subscription.start, subscription.cursor = event.position, None
        subscription.unread.doubt()

    def _release(self) -> None:
        """Deliver what was buffered as far as it is contiguous; repair at the first gap."""
        buffered, self.buffered = self.buffered or deque(), None
        while buffered:
            if self.position is None or not self._try_deliver(buffered[0]):
                self.buffered = buffered
                self._start_task(self._repair())
                return
            buffered.popleft()

    async def _repair(self) -> None:
        """Fill the gap from the hot log before anything newer goes out (D3), else begin anew.

        Moved read cursors may have been missed as well, and the hot log does not have them.
        """
        self.unread.doubt()
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
            (missed,) = await self._reads.events_since(
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
        users = {listener.user_id for listener in self.subscriptions}
        before = len(self.buffered or ())
        (snapshot,) = await self._reads.read_many([(self.room_id, sorted(users))])
        buffered, self.buffered = list(self.buffered or ()), deque()
        self._note_positions()
        if snapshot is None:
            self.position = None
            self.buffered.extend(buffered[before:])  # the room may have been rehydrated meanwhile
            return
        opening = [
            h for h in buffered if h.type == "room.epoch" and h.position <= snapshot.position
        ]
        self._evict({user for user in users if snapshot.members.get(user) is None})
        self.position = snapshot.position
        self._reset(opening)
        self.buffered.extend(h for h in buffered if h.position > snapshot.position)

    def listener_positions(self) -> set[Position]:
        """Return the stream's position, or the listeners' cursors while the room is cold."""
        if self.position is not None:
            return {self.position}
        return {
            subscription.cursor
            for subscription in self.subscriptions.values()
            if subscription.cursor is not None
        }

    def _note_positions(self) -> None:
        """Note where every listener is; those at the `prev` of the next epoch need no reset."""
        for subscription in self.subscriptions.values():
            if (
                self.position is not None
                and subscription.start is not None
                and subscription.start != COLD
            ):
                subscription.cursor = max(self.position, subscription.start)

    def _reset(self, opening: list[PublishedEvent]) -> None:
        """Send `sync.reset` to every listener that was not at the `prev` of the new epoch."""
        assert self.position is not None
        packet = event_packet("/chat", "sync.reset", reset_text(self.room_id, self.position))
        for listener, subscription in self.subscriptions.items():
            if subscription.start is None:
                subscription.reset_at = self.position
                subscription.backlog = None
                continue
            for event in opening:
                listener.write(event_packet("/chat", event.type, event.text))
            last = opening[-1] if opening else None
            if (
                last is None
                or last.position != self.position
                or not is_contiguous(subscription.cursor, last)
            ):
                listener.write(packet)
            subscription.start, subscription.cursor = self.position, None


def reset_text(room_id: str, position: Position) -> str:
    """Return the text of a `sync.reset` event."""
    return ephemeral("sync.reset", {"epoch": position[0], "offset": position[1]}, room_id)
