"""Keeps the unread counts of a room's listeners exact, from the events that they receive."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain

import orjson

from rts_server.domain.position import Position
from rts_server.domain.standing import Standing
from rts_server.domain.unread import MemberUnread
from rts_server.realtime.feed_context import FeedContext
from rts_server.realtime.listener import Listener
from rts_server.realtime.opening import COLD, Opening
from rts_server.realtime.room_listeners import added, removed
from rts_server.realtime.sequence import PublishedEvent
from rts_server.realtime.unread_count import Certainty, Change, change_of

READ_MOVED = "read.moved"
"""Published by receipts.lua to one user's devices; every instance makes `unread.changed` of it."""
READ_TYPES = frozenset({READ_MOVED, "unread.changed"})
"""Instances of a release before this one publish `unread.changed` itself."""
NO_OPENINGS: dict[Listener, Opening] = {}
"""Shared by all rooms whose listeners get every event; never changed."""
NOT_OPEN = -1
"""The offset of a feed that was not opened yet."""


class RoomUnread:
    """The unread counts of a room's listeners, where its feed stands: the base of `RoomFeed`.

    A process has 100,000 rooms, so both are one object, and the position is kept as two numbers.
    A listener has its counts by room id, in `Listener.rooms`.

    Attributes:
        listeners: Those that get every event that the feed delivers.
        openings: The other listeners, whose subscriptions begin behind the feed's position.
        seq: The room's newest message where the feed stands, as far as exact counts depend on it.
    """

    __slots__ = ("_context", "_epoch", "_offset", "listeners", "openings", "room_id", "seq")

    def __init__(self, room_id: str, context: FeedContext) -> None:
        self.room_id = room_id
        self.listeners: Collection[Listener] = ()
        self.openings = NO_OPENINGS
        self.seq = 0
        self._context = context
        self._epoch: int | None = None
        self._offset = NOT_OPEN

    @property
    def position(self) -> Position | None:
        """Where the feed stands in the log; None while the room is cold."""
        return None if self._epoch is None else (self._epoch, self._offset)

    @position.setter
    def position(self, position: Position | None) -> None:
        self._epoch, self._offset = position or (None, 0)

    @property
    def is_empty(self) -> bool:
        """Whether the room has no listener."""
        return not (self.listeners or self.openings)

    def all_listeners(self) -> Iterator[Listener]:
        """Yield the listeners, whether their streams have begun or not."""
        return chain(self.listeners, self.openings)

    def is_live(self, listener: Listener) -> bool:
        """Return whether the stream of a listener of the room has begun."""
        opening = self.openings.get(listener)
        return opening is None or opening.is_live

    def _open(self, listener: Listener, opening: Opening) -> None:
        """Let a subscription begin, or begin anew."""
        self.listeners = removed(self.listeners, listener)
        if self.openings is NO_OPENINGS:
            self.openings = {}
        self.openings[listener] = opening

    def _end_opening(self, listener: Listener) -> None:
        if listener in self.openings:
            del self.openings[listener]
            self.openings = self.openings or NO_OPENINGS

    def unread(self, listener: Listener) -> int:
        """Return a listener's unread messages where its stream stands."""
        return listener.rooms[self.room_id].unread(self._seq_of(listener))

    def _seq_of(self, listener: Listener) -> int:
        """Return the newest message: of the feed, or of a read that is ahead of it."""
        opening = self.openings.get(listener)
        return self.seq if opening is None else max(self.seq, opening.seq)

    def learn(self, listener: Listener, found: MemberUnread | Standing) -> None:
        """Take what was read of a listener's room. The feed may be behind what was read."""
        count = listener.rooms[self.room_id]
        count.learn(found)
        if count.certainty is not Certainty.EXACT:
            return
        position, opening = self.position, self.openings.get(listener)
        if opening is None and position is not None and found.position > position:
            opening = Opening(start=position)
            self._open(listener, opening)
        if opening is None:
            self.seq = max(self.seq, found.seq)
        else:
            opening.read_at, opening.seq = found.position, found.seq

    def feed_reached(self, listener: Listener, opening: Opening) -> None:
        """End an opening if the feed has come to where the subscription begins."""
        position, start = self.position, opening.start
        if position is None or start is None or start == COLD:
            return
        if position >= max(start, opening.read_at):
            if listener.rooms[self.room_id].certainty is Certainty.EXACT:
                self.seq = max(self.seq, opening.seq)
            self._end_opening(listener)
            self.listeners = added(self.listeners, listener)

    def delivered(self, event: PublishedEvent) -> None:
        """Apply an event that was written to all listeners whose stream began."""
        change = change_of(event)
        if change is None:
            return
        if change.new:
            self.seq = change.seq
        if event.type == "room.epoch":
            self.seq = 0  # the newest messages of the epoch before may be lost
        if change.in_doubt:
            self.doubt()
        elif change.sender is not None:
            for listener in self._of_user(change.sender):
                self._apply(change, event.position, listener)
        else:
            for listener in self.all_listeners():
                self._apply(change, event.position, listener)

    def began(
        self, listener: Listener, opening: Opening, standing: MemberUnread | Standing | None
    ) -> None:
        """Apply what was written to a listener as its stream began; `standing`: where that is."""
        if standing is not None:
            self.learn(listener, standing)
        for event, _ in opening.backlog or ():
            change = change_of(event) if event.position > (opening.start or (0, 0)) else None
            if change is not None and change.sender in (None, listener.user_id):
                self._apply(change, event.position, listener)
        if listener.rooms[self.room_id].certainty is Certainty.DOUBTFUL:
            self._changed(listener)

    def _apply(self, change: Change, position: Position, listener: Listener) -> None:
        opening = self.openings.get(listener)
        if opening is not None and (not opening.is_live or position <= opening.read_at):
            return
        if listener.rooms[self.room_id].apply(change):
            self._changed(listener)

    def _of_user(self, user_id: str) -> list[Listener]:
        of_user = self._context.listeners_of(user_id)
        return [listener for listener in of_user if self.room_id in listener.rooms]

    def _changed(self, listener: Listener) -> None:
        self._context.unread_changed(listener, self.room_id)

    def read_moved(self, event: PublishedEvent) -> None:
        """Apply a moved read cursor; `event.position` is the head at which it moved."""
        assert event.to is not None
        data = orjson.loads(event.text)["data"]
        is_here = self.position in (None, event.position)
        for listener in self._of_user(event.to):
            count, opening = listener.rooms[self.room_id], self.openings.get(listener)
            if opening is not None and not opening.is_live:
                count.doubt()  # what is being read may be older
            elif opening is None or event.position >= opening.read_at:
                seq = self._seq_of(listener) if is_here else None
                count.read_to(data["read_seq"], data["unread"], seq)
                self._changed(listener)

    def settings_changed(self, user_id: str, *, in_totals: bool) -> None:
        """Apply changed settings of a user: whether the room counts in their totals."""
        for listener in self._of_user(user_id):
            count = listener.rooms[self.room_id]
            if count.certainty is Certainty.READING:
                count.doubt()
            if self.is_live(listener):
                count.in_totals = in_totals
                self._changed(listener)

    def doubt(self) -> None:
        """Have all counts read before their next use: something may have been missed."""
        for listener in self.all_listeners():
            listener.rooms[self.room_id].doubt()
