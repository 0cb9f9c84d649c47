"""Unread counts in memory: equal to those of the log, whenever a listener joined."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rts_server.domain.unread import MemberUnread, counts_in_totals, unread_count
from rts_server.engine.packets import Encoded
from rts_server.realtime.feed_context import FeedContext
from rts_server.realtime.listener import Listener
from rts_server.realtime.room_feed import RoomFeed
from rts_server.realtime.sequence import PublishedEvent, parse
from rts_server.realtime.unread_count import Certainty
from tests.realtime.log import ROOM, Log

USERS = ("alice", "bob")
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from([*USERS, "stranger"])),
        st.tuples(st.just("system")),
        st.tuples(st.just("delete"), st.integers(1, 12)),
        st.tuples(st.just("read"), st.sampled_from(USERS), st.integers(0, 12)),
        st.tuples(st.just("mute"), st.sampled_from(USERS), st.booleans()),
        st.tuples(st.just("hear"), st.integers(1, 4)),
        st.tuples(st.just("join"), st.sampled_from(USERS)),
        st.tuples(st.just("go_live")),
    ),
    max_size=40,
)


@dataclass
class Room:
    """A room in Redis, and its feed on one instance, which hears of it later."""

    log: Log = field(default_factory=Log)
    seq: int = 0
    uncounted: set[int] = field(default_factory=set)
    senders: dict[int, str] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=lambda: dict.fromkeys(USERS, 0))
    muted: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(USERS, False))
    published: deque[Any] = field(default_factory=deque)
    listeners: dict[str, list[Listener]] = field(default_factory=lambda: {u: [] for u in USERS})
    opening: list[tuple[Listener, MemberUnread]] = field(default_factory=list)
    changed: list[Listener] = field(default_factory=list)

    def __post_init__(self) -> None:
        context = FeedContext(
            self.log,
            lambda work: work.close(),
            listeners_of=lambda user: self.listeners.get(user, []),
            unread_changed=lambda listener, room_id: self.changed.append(listener),
        )
        self.feed = RoomFeed(ROOM, context)
        self.log.append("room.created")

    def send(self, sender: str) -> None:
        """Append a message; its sender has read everything."""
        self.seq += 1
        self.senders[self.seq] = sender
        if sender in self.read:
            self.read[sender] = self.seq
        self._append("message.new", self.seq, sender, "text")

    def system(self) -> None:
        """Append a message that counts for nobody."""
        self.seq += 1
        self.uncounted.add(self.seq)
        self._append("message.new", self.seq, "alice", "system")

    def delete(self, seq: int) -> None:
        """Delete a message, once."""
        if seq in self.senders and seq not in self.uncounted:
            self.uncounted.add(seq)
            self._append("message.deleted", seq, self.senders[seq], "text")

    def move_read(self, user: str, seq: int) -> None:
        """Move a read cursor forward, as receipts.lua does."""
        if self.read[user] < min(seq, self.seq):
            self.read[user] = min(seq, self.seq)
            data = {"read_seq": self.read[user], "unread": self.unread(user)}
            epoch, offset = self.log.head
            text = json.dumps({"type": "read.moved", "data": data})
            self.published.append(parse(f"{epoch} {offset} ~read.moved@{user} {text}".encode()))

    def mute(self, user: str, muted: bool) -> None:
        """Change a user's settings."""
        self.muted[user] = muted
        self.published.append((user, counts_in_totals(muted=muted, hidden=False)))

    def hear(self, count: int) -> None:
        """Let some of what was published arrive."""
        for _ in range(min(count, len(self.published))):
            heard = self.published.popleft()
            if self.feed.is_empty:
                continue
            if isinstance(heard, PublishedEvent):
                self.feed.on_publish(heard)
            else:
                self.feed.settings_changed(heard[0], in_totals=heard[1])

    def join(self, user: str) -> None:
        """Subscribe a device, and read the room; the reply comes with `go_live`."""
        listener = Listener(user, lambda packet: None, lambda packet: None)
        self.listeners[user].append(listener)
        self.feed.join(listener, None)
        self.feed.open_at(self.log.head)
        self.opening.append((listener, self.truth(user)))

    def go_live(self) -> None:
        """Begin the streams of the devices that joined."""
        for listener, found in self.opening:
            self.feed.go_live(listener, found.position, found)
        self.opening.clear()

    def unread(self, user: str) -> int:
        """Return a user's unread messages by the rule."""
        read = self.read[user]
        return unread_count(self.seq, read, sum(seq > read for seq in self.uncounted))

    def truth(self, user: str) -> MemberUnread:
        """Return what Redis has."""
        counts = counts_in_totals(muted=self.muted[user], hidden=False)
        return MemberUnread(self.log.head, self.seq, self.read[user], self.unread(user), counts)

    def settle(self) -> None:
        """Let everything arrive; read what is in doubt, as before a write."""
        self.go_live()
        self.hear(len(self.published))
        for user, listeners in self.listeners.items():
            for listener in listeners:
                count = listener.rooms[ROOM]
                if count.certainty is Certainty.DOUBTFUL:
                    assert listener in self.changed  # the device is told in the end
                    count.certainty = Certainty.READING
                    self.feed.learn(listener, self.truth(user))

    def _append(self, kind: str, seq: int, sender: str, type_: str) -> None:
        message = {"seq": seq, "sender_id": sender, "type": type_}
        self.published.append(parse(self.log.append(kind, message=message)))


def play(room: Room, operations: list[tuple[Any, ...]]) -> None:
    """Do random operations."""
    methods = {"read": "move_read"}
    for name, *args in operations:
        getattr(room, methods.get(name, name))(*args)


@given(OPERATIONS)
@example([("send", "bob"), ("join", "alice"), ("read", "alice", 1), ("hear", 2), ("go_live",)])
@example([("send", "bob"), ("join", "alice"), ("mute", "alice", True), ("hear", 2), ("go_live",)])
@example([("send", "bob"), ("hear", 1), ("join", "alice")])
@settings(max_examples=150, deadline=None)
def test_counts_equal_those_of_the_log_whenever_a_device_joined(
    operations: list[tuple[Any, ...]],
) -> None:
    """Also while the feed is behind the snapshot, or ahead of it."""
    room = Room()
    play(room, operations)
    room.settle()
    for user, listeners in room.listeners.items():
        for listener in listeners:
            count = listener.rooms[ROOM]
            wanted = room.truth(user)
            assert room.feed.unread(listener) == wanted.unread
            assert count.read_seq == wanted.read_seq
            assert count.in_totals == wanted.in_totals


@given(OPERATIONS)
@settings(max_examples=80, deadline=None)
def test_nothing_is_in_doubt_once_a_device_is_live(operations: list[tuple[Any, ...]]) -> None:
    """Events alone keep a count exact: Redis is asked nothing for it."""
    room = Room()
    for user in USERS:
        room.join(user)
    room.go_live()
    play(room, [one for one in operations if one[0] not in ("join", "go_live")])
    room.hear(len(room.published))
    for listener in room.feed.all_listeners():
        assert listener.rooms[ROOM].certainty is Certainty.EXACT


@given(OPERATIONS)
@settings(max_examples=80, deadline=None)
def test_a_count_never_runs_ahead_of_what_the_device_received(
    operations: list[tuple[Any, ...]],
) -> None:
    """A device counts others' messages itself: one that it gets later must not be in the count."""
    room = Room()
    for user in USERS:
        room.join(user)
    room.go_live()
    received: dict[str, list[Encoded]] = {user: [] for user in USERS}
    for listener in room.feed.all_listeners():
        listener.write = received[listener.user_id].append
    for operation in operations:
        if operation[0] in ("send", "hear"):
            play(room, [operation])
            for listener in room.feed.all_listeners():
                assert room.feed.unread(listener) <= len(received[listener.user_id])


def test_only_own_messages_that_read_something_are_told() -> None:
    """From its own message a device knows that nothing is unread, but not the totals."""
    room = Room()
    room.join("alice")
    room.go_live()
    for sender in ("alice", "bob", "alice", "alice"):
        room.send(sender)
        room.hear(1)
    assert len(room.changed) == 1


def test_a_failed_message_and_a_new_epoch_leave_doubt() -> None:
    """Their events do not say what they change: the room is read again before its next use."""
    for kind in ("message.failed", "room.epoch"):
        room = Room()
        room.join("alice")
        room.go_live()
        room.feed.on_publish(parse(room.log.append(kind, seq=1, prev=[1, 1])))
        (listener,) = room.feed.all_listeners()
        assert listener.rooms[ROOM].certainty is Certainty.DOUBTFUL
