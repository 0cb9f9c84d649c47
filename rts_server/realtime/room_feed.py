"""One room on one instance: its listeners, and its events in the order of the log."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from rts_server import metrics
from rts_server.engine.packets import Encoded, event_packet
from rts_server.protocol.event import ephemeral, namespace_of
from rts_server.realtime.listener import Listener
from rts_server.realtime.sequence import (
    Position,
    PublishedEvent,
    Verdict,
    continues,
    judge,
    parse_stored,
)
from rts_server.realtime.typing_countdown import TypingCountdown

log = logging.getLogger(__name__)

FILL = 300
TYPING = "typing.changed"
TYPING_USERS = 10
COLD: Position = (0, 0)
"""Start of a seat that was taken while nobody could say where the room stands."""
LONGEST_BACKOFF = 1.0


class Standing(Protocol):
    """Where a warm room stands; `members` tells per user whether he is a member (None: not)."""

    @property
    def position(self) -> Position: ...
    @property
    def members(self) -> dict[str, Any]: ...


class Since(Protocol):
    """Events behind a position; `events` None when they cannot all be had."""

    @property
    def position(self) -> Position | None: ...
    @property
    def events(self) -> list[bytes] | None: ...
    @property
    def is_member(self) -> bool: ...
    @property
    def reaches_head(self) -> bool: ...


class Reads(Protocol):
    """What the adapter asks of the room log; None for a room that is not in Redis."""

    async def read_many(
        self, asked: Sequence[tuple[str, Sequence[str]]]
    ) -> Sequence[Standing | None]: ...
    async def events_since(
        self, asked: Sequence[tuple[str, Position, int]], user_id: str = "", budget: int = ...
    ) -> Sequence[Since]: ...


@dataclass(eq=False, slots=True)
class Subscription:
    """A listener's place in the stream. Until `start` is known his events wait in `backlog`.

    `cursor`: where he says he stands. `reset`: where the stream began anew while he waited.
    """

    start: Position | None = None
    cursor: Position | None = None
    reset: Position | None = None
    backlog: list[tuple[PublishedEvent, Encoded]] = field(default_factory=list)


class RoomFeed:
    """Guarantee: a listener gets every event behind his start once, in order, or `sync.reset`.

    While `held` is not None the room is opening or repairing: what is heard waits there.
    """

    def __init__(
        self,
        room_id: str,
        reads: Reads,
        keep: Callable[[Any], Any],
        evicted: Callable[[Listener, str], None] = lambda listener, room_id: None,
        typing_interval: float = 1.0,
    ) -> None:
        self.room_id = room_id
        self.position: Position | None = None
        self.seats: dict[Listener, Subscription] = {}
        self.held: deque[PublishedEvent] | None = deque()
        self._opened = False
        self._reads = reads
        self._keep = keep
        self._evicted = evicted
        self._typing = TypingCountdown(self._tell_typing, typing_interval)

    def close(self) -> None:
        """Nobody listens any more."""
        self._typing.close()

    def opened(self, position: Position | None) -> None:
        """The first position is known (None: the room is cold); what was held goes on from it."""
        if not self._opened:
            self._opened, self.position = True, position
            self._release()

    def hear(self, heard: PublishedEvent) -> None:
        """Take an event from the channel."""
        if self.held is not None:
            self.held.append(heard)
        elif not self._take(heard):
            self.held = deque([heard])
            self._keep(self._repair())

    def behind(self) -> None:
        """The head is ahead of us although nothing was heard: repair."""
        if self.held is None:
            self.held = deque()
            self._keep(self._repair())

    def _take(self, heard: PublishedEvent) -> bool:
        """Deliver what follows; False when something is missing before it."""
        if self.position is None:
            return not heard.durable
        if not heard.durable:
            return self._take_ephemeral(heard)
        verdict = judge(self.position, heard.position)
        if verdict is Verdict.STALE:
            return True
        if verdict is Verdict.NEXT or (
            verdict is Verdict.EPOCH and continues(self.position, heard)
        ):
            self._deliver(heard)
            return True
        return False

    def _take_ephemeral(self, heard: PublishedEvent) -> bool:
        """Told at a head we have not reached, it may concern who was removed before it: wait."""
        assert self.position is not None
        if heard.position > self.position:
            return False
        if heard.type == TYPING:
            self._typing.heard(orjson.loads(heard.text))
            return True
        namespace = namespace_of(heard.type)
        packet = event_packet(namespace, heard.type, heard.text)
        for listener, seat in self.seats.items():
            if seat.start is None or namespace not in listener.namespaces:
                continue
            if heard.to is None or heard.to == listener.user_id:
                listener.write(packet)
        return True

    def _tell_typing(self, user_ids: list[str]) -> None:
        data = {"user_ids": user_ids[:TYPING_USERS], "count": len(user_ids)}
        packet = event_packet("/presence", TYPING, ephemeral(TYPING, data, self.room_id))
        for listener, seat in self.seats.items():
            if seat.start is not None and "/presence" in listener.namespaces:
                listener.spare(packet)

    def _deliver(self, heard: PublishedEvent) -> None:
        if begins := heard.type == "room.epoch":
            self._note_cursors()
        self.position = position = heard.position
        packet = event_packet("/chat", heard.type, heard.text)
        for listener, seat in self.seats.items():
            start = seat.start
            if start is None:
                seat.backlog.append((heard, packet))
            elif position > start:
                listener.write(packet)
                if begins or start == COLD:
                    self._begin(listener, seat, heard)
        metrics.DELIVERIES.inc(len(self.seats))
        if heard.type == "member.removed":
            self._evict({m["user_id"] for m in orjson.loads(heard.text)["data"]["members"]})

    def _evict(self, user_ids: set[str]) -> None:
        """Out before any later event: the removal fence."""
        self._typing.gone(user_ids)
        for listener in [listener for listener in self.seats if listener.user_id in user_ids]:
            del self.seats[listener]
            listener.rooms.discard(self.room_id)
            self._evicted(listener, self.room_id)

    def settle(self, listener: Listener, start: Position, *, stands: bool = True) -> None:
        """The listener's stream begins behind `start`; what waited is written first.

        `stands`: his cursor holds. Where it does not he reads anew, and is told when a cold room
        wakes that what he read before that may be behind.
        """
        seat = self.seats.get(listener)
        if seat is None or seat.start is not None:
            return
        seat.start = start
        if not stands:
            seat.cursor = None
        if seat.reset is not None and start < seat.reset:
            seat.start = start = seat.reset
            listener.write(event_packet("/chat", "sync.reset", reset_text(self.room_id, start)))
        if start != COLD:
            seat.cursor = start
        for heard, packet in seat.backlog:
            if heard.position > seat.start:
                listener.write(packet)
                if heard.type == "room.epoch" or seat.start == COLD:
                    self._begin(listener, seat, heard)
                seat.cursor = heard.position
        seat.backlog.clear()

    def _begin(self, listener: Listener, seat: Subscription, heard: PublishedEvent) -> None:
        """An epoch begins, or a cold room wakes: only who stands just before it goes on."""
        if not continues(seat.cursor, heard):
            text = reset_text(self.room_id, heard.position)
            listener.write(event_packet("/chat", "sync.reset", text))
        seat.start, seat.cursor = heard.position, None

    def _release(self) -> None:
        """Deliver what was held, as far as it follows; start a repair at the first gap."""
        held, self.held = self.held or deque(), None
        while held:
            if self.position is None or not self._take(held[0]):
                self.held = held
                self._keep(self._repair())
                return
            held.popleft()

    async def _repair(self) -> None:
        """Fill the gap from the hot log before anything newer goes out, else start anew."""
        wait = 0.05
        while True:
            try:
                filled = await self._fill()
                metrics.REPAIRS.labels("filled" if filled else "reset").inc()
                if not filled:
                    log.info("stream begins anew", extra={"room_id": self.room_id})
                break
            except Exception as error:
                log.warning(
                    "repair waits", extra={"room_id": self.room_id, "error": type(error).__name__}
                )
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_BACKOFF)
        self._release()

    async def _fill(self) -> bool:
        while self.position is not None:
            if self.held and continues(self.position, self.held[0]):
                return True
            (since,) = await self._reads.events_since([(self.room_id, self.position, FILL)])
            if since.events is None:
                break
            for data in since.events:
                self._take(parse_stored(data))
            if since.position is not None and self.position >= since.position:
                return True
        await self._start_anew()
        return False

    async def _start_anew(self) -> None:
        """Ask who is a member and where the room stands before anything is delivered."""
        users = {listener.user_id for listener in self.seats}
        before = len(self.held or ())
        (standing,) = await self._reads.read_many([(self.room_id, sorted(users))])
        held, self.held = list(self.held or ()), deque()
        self._note_cursors()
        if standing is None:
            self.position = None
            self.held.extend(held[before:])  # the room may have been opened meanwhile
            return
        opening = [h for h in held if h.type == "room.epoch" and h.position <= standing.position]
        self._evict({user for user in users if standing.members.get(user) is None})
        self.position = standing.position
        self._reset(opening)
        self.held.extend(h for h in held if h.position > standing.position)

    def stands(self) -> set[Position]:
        """Where the listeners are: the stream's position, in a cold room what each has told."""
        if self.position is not None:
            return {self.position}
        return {seat.cursor for seat in self.seats.values() if seat.cursor is not None}

    def _note_cursors(self) -> None:
        """Everybody stands where he is now; who stands at the next epoch's `prev` will go on."""
        for seat in self.seats.values():
            if self.position is not None and seat.start is not None and seat.start != COLD:
                seat.cursor = max(self.position, seat.start)

    def _reset(self, opening: list[PublishedEvent]) -> None:
        """Tell every listener whose stream broke; one that stood at the epoch's `prev` goes on."""
        assert self.position is not None
        packet = event_packet("/chat", "sync.reset", reset_text(self.room_id, self.position))
        for listener, seat in self.seats.items():
            if seat.start is None:
                seat.reset = self.position
                seat.backlog.clear()
                continue
            for heard in opening:
                listener.write(event_packet("/chat", heard.type, heard.text))
            last = opening[-1] if opening else None
            if last is None or last.position != self.position or not continues(seat.cursor, last):
                listener.write(packet)
            seat.start, seat.cursor = self.position, None


def reset_text(room_id: str, position: Position) -> str:
    """The `sync.reset` event."""
    return ephemeral("sync.reset", {"epoch": position[0], "offset": position[1]}, room_id)
