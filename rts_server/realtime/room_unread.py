"""Keeps the unread counts of a room's listeners exact, from the events that they receive."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import orjson

from rts_server.domain.position import Position
from rts_server.domain.standing import Standing
from rts_server.realtime.listener import Listener
from rts_server.realtime.sequence import PublishedEvent
from rts_server.realtime.subscription import Subscription
from rts_server.realtime.unread_count import Certainty, Change, change_of

READ_MOVED = "read.moved"
"""Published by receipts.lua to one user's devices; every instance makes `unread.changed` of it."""
READ_TYPES = frozenset({READ_MOVED, "unread.changed"})
"""Instances of a release before this one publish `unread.changed` itself."""


class RoomUnread:
    """The counts are those of the subscriptions; this moves them.

    `listeners_of`: the listeners of a user on this instance. `changed` is called with a listener
    whose count moved by more than others' messages, and must be told.
    """

    def __init__(
        self,
        subscriptions: Mapping[Listener, Subscription],
        listeners_of: Callable[[str], Collection[Listener]],
        changed: Callable[[Listener], None],
    ) -> None:
        self._subscriptions = subscriptions
        self._listeners_of = listeners_of
        self._changed = changed
        self.seq = 0

    def unread(self, subscription: Subscription) -> int:
        """Return a listener's unread messages where its stream stands."""
        return subscription.unread.unread(self.seq)

    def delivered(self, event: PublishedEvent) -> None:
        """Apply an event that was written to all listeners whose stream began."""
        change = change_of(event)
        if change is None:
            return
        if change.new:
            self.seq = change.seq
        if change.in_doubt:
            self.doubt()
        elif change.sender is not None:
            for listener in self._listeners_of(change.sender):
                subscription = self._subscriptions.get(listener)
                if subscription is not None and subscription.start is not None:
                    self._apply(change, event.position, listener, subscription)
        else:
            for listener, subscription in self._subscriptions.items():
                if subscription.start is not None:
                    self._apply(change, event.position, listener, subscription)

    def began(
        self, listener: Listener, subscription: Subscription, standing: Standing | None
    ) -> None:
        """Apply what was written to a listener as its stream began; `standing`: where that is."""
        if standing is not None:
            subscription.unread.learn(standing)
        for event, _ in subscription.backlog or ():
            change = change_of(event) if event.position > (subscription.start or (0, 0)) else None
            if change is not None and change.sender in (None, listener.user_id):
                self._apply(change, event.position, listener, subscription)
        if subscription.unread.certainty is Certainty.DOUBTFUL:
            self._changed(listener)

    def _apply(
        self, change: Change, position: Position, listener: Listener, subscription: Subscription
    ) -> None:
        if subscription.unread.apply(change, position):
            self._changed(listener)

    def read_moved(self, event: PublishedEvent, position: Position | None) -> None:
        """Apply a moved read cursor; `position`: that of the feed, None while the room is cold."""
        assert event.to is not None
        data = orjson.loads(event.text)["data"]
        seq = self.seq if position in (None, event.position) else None
        for listener in self._listeners_of(event.to):
            subscription = self._subscriptions.get(listener)
            if subscription is None:
                continue
            if subscription.start is None:
                subscription.unread.doubt()  # what is being read may be older
            elif event.position >= subscription.unread.position:
                subscription.unread.read_to(data["read_seq"], data["unread"], seq)
                self._changed(listener)

    def settings_changed(self, user_id: str, *, in_totals: bool) -> None:
        """Apply changed settings of a user: whether the room counts in their totals."""
        for listener in self._listeners_of(user_id):
            subscription = self._subscriptions.get(listener)
            if subscription is None:
                continue
            count = subscription.unread
            if count.certainty is Certainty.READING:
                count.doubt()
            if subscription.start is not None:
                count.in_totals = in_totals
                self._changed(listener)

    def doubt(self) -> None:
        """Have all counts read before their next use: something may have been missed."""
        self.seq = 0
        for subscription in self._subscriptions.values():
            subscription.unread.doubt()
