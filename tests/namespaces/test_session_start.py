"""The start of a session: unread counts, and decisions about cursors and receipts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from rts_server.auth import Identity
from rts_server.domain.standing import Standing
from rts_server.engine.outgoing import OutgoingQueue
from rts_server.engine.packets import Encoded
from rts_server.namespaces import session_start
from rts_server.namespaces.session import Session
from rts_server.namespaces.session_start import SessionStart, ahead_of, cursors_within_membership
from rts_server.persistence.user_rooms import IndexedMembership, UserRooms
from rts_server.realtime.listener import Listener
from rts_server.realtime.subscription_handlers import SubscriptionHandlers
from rts_server.realtime.subscriptions import Subscriptions
from rts_server.roomlog.connected_rooms import ConnectedRooms
from rts_server.roomlog.log import RoomLog
from rts_server.rooms.introductions import Introductions
from rts_server.rooms.receipt_script import Cursors, MovedCursors
from rts_server.rooms.receipts import ReceiptWriter
from rts_server.views.snapshots import SnapshotReader
from tests.helpers.bench import Bench, message
from tests.helpers.waiting import Changes
from tests.views.inboxes import inbox_reader, user_memberships

Event = dict[str, Any]
NO_HANDLERS = SubscriptionHandlers()


@dataclass
class MessageMeanwhile(ReceiptWriter):
    """Moves cursors; alice sends a message to the room just before."""

    bench: Bench
    real: ReceiptWriter

    async def move(self, user_id: str, cursors: Mapping[str, Cursors]) -> dict[str, MovedCursors]:
        """Append a message to each room, then move the cursors."""
        for room_id in cursors:
            await self.bench.append(message(room_id, "alice", "meanwhile"))
        return await self.real.move(user_id, cursors)


@dataclass
class Introduced:
    """Notes who is introduced, and where."""

    calls: list[tuple[str, str | None, set[str]]] = field(default_factory=list)

    def begin(self, user_id: str, name: str | None, room_ids: Collection[str]) -> None:
        """Note."""
        self.calls.append((user_id, name, set(room_ids)))


@dataclass
class Client:
    """A session of bob, and the events written to it."""

    start: SessionStart
    session: Session
    events: list[Event] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)
    introduced: Introduced = field(default_factory=Introduced)

    async def open(self) -> None:
        """Open the session."""
        listener = Listener("bob", self._write, self._write, name="Bob")
        await self.start.open(self.session, listener)

    def _write(self, packet: Encoded) -> None:
        self.events.append(json.loads(packet.data.removeprefix("2/chat,"))[1])
        self.changes.notify()

    def seqs(self) -> list[int]:
        """The seqs of the messages received."""
        news = [event for event in self.events if event["type"] == "message.new"]
        return [event["data"]["message"]["seq"] for event in news]


@pytest.fixture
async def room_id(bench: Bench) -> str:
    """A room of alice and bob, with three messages of alice at the offsets 3 to 5."""
    room_id = await bench.group("alice", "bob")
    for number in range(3):
        await bench.append(message(room_id, "alice", f"m{number}"))
    index = UserRooms(bench.redis)
    await index.note_all([("bob", IndexedMembership(room_id, 1, 1, "in"))])
    await index.rebuild("bob", [])
    return room_id


@pytest.fixture
async def client(bench: Bench, valkey_url: str, room_id: str) -> AsyncIterator[Client]:
    """Bob, who has read one message that Redis knows nothing of."""
    settings = replace(bench.settings, redis_url=valkey_url)
    redis = bench.redis
    subscriptions = Subscriptions(
        settings, redis, SnapshotReader(redis), instance_id="me", handlers=NO_HANDLERS
    )
    subscriptions.start()
    receipts = ReceiptWriter(settings, redis, cast(RoomLog, None))
    introduced = Introduced()
    start = SessionStart(
        settings,
        subscriptions=subscriptions,
        inboxes=inbox_reader(redis),
        memberships=user_memberships(redis),
        receipts=MessageMeanwhile(bench, receipts),
        introductions=cast(Introductions, introduced),
        connected_rooms=ConnectedRooms(settings, redis, cast(Any, None)),
    )
    identity = Identity("bob", 2_000_000_000)
    read = {room_id: (1, 1)}
    session = Session("sid", "eio", identity, {}, read, "session", OutgoingQueue())
    yield Client(start, session, introduced=introduced)
    await receipts.close()
    await subscriptions.close()


@pytest.mark.parametrize(("cursor", "missed"), [(None, []), ((1, 3), [2, 3, 4])])
async def test_unread_counts_of_ready_hold_where_the_live_stream_begins(
    client: Client, bench: Bench, room_id: str, cursor: tuple[int, int] | None, missed: list[int]
) -> None:
    """A message that arrives while receipts are applied is in `unread` or live, never both.

    Bob has read one of three messages when a fourth arrives.
    """
    if cursor:
        client.session.cursors[room_id] = cursor
    await client.open()
    await bench.append(message(room_id, "alice", "last"))
    await client.changes.until(lambda: 5 in client.seqs())
    assert client.events[0]["data"]["unread"] == {"total": 3, "rooms": 1}
    assert client.seqs() == [*missed, 5]


async def test_an_open_session_keeps_no_cursors(client: Client, room_id: str) -> None:
    """Two entries for each room of each client would be most of what a seat costs."""
    client.session.cursors[room_id] = (1, 3)
    assert client.session.receipts
    await client.open()
    assert not client.session.cursors
    assert not client.session.receipts


async def test_who_missed_the_same_gets_the_same_packets(
    client: Client, bench: Bench, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storm makes no packet per session; large ones are not kept in memory."""
    client.session.receipts.clear()
    packets: list[list[Encoded]] = []
    for kept in (4096, 4096, 0):
        monkeypatch.setattr(session_start, "MAX_SHARED_EVENT_BYTES", kept)
        packets.append([])
        client.session.cursors = {room_id: (1, 3)}
        listener = Listener("bob", packets[-1].append, packets[-1].append)
        await client.start.open(client.session, listener)
    first, again, alone = (one[1:] for one in packets)  # without session.ready
    assert len(first) == 2
    assert list(map(id, again)) == list(map(id, first))
    assert not set(map(id, alone)) & set(map(id, first))
    assert [one.data for one in alone] == [one.data for one in first]


async def test_rooms_are_read_whole_only_to_be_shown(
    client: Client, bench: Bench, room_id: str
) -> None:
    """A client without cursors lists its rooms itself; one with cursors is told of the others."""
    evaluated: list[int] = []
    for cursors in ({}, {room_id: (1, 3)}, {"other": (1, 1)}):
        client.session.cursors, client.events = dict(cursors), []
        client.session.receipts.clear()
        before: Any = await bench.redis.info("commandstats")
        await client.open()
        after: Any = await bench.redis.info("commandstats")
        scripts = [one["cmdstat_evalsha"]["calls"] for one in (before, after)]
        evaluated.append(scripts[1] - scripts[0])
        assert client.events[0]["data"]["unread"] == {"total": 3, "rooms": 1}
        added = [one["room_id"] for one in client.events if one["type"] == "room.added"]
        assert added == ([room_id] if "other" in cursors else [])
    assert evaluated[:2] == [1, 1]  # the index
    assert evaluated[2] > 1


async def test_a_user_is_introduced_where_their_client_was_not_yet(
    client: Client, room_id: str
) -> None:
    """In every room at first, after a reconnect in new ones, and in one they are added to."""
    for cursors in ({}, {room_id: (1, 3)}, {"other": (1, 1)}):
        client.session.cursors = dict(cursors)
        await client.open()
    listener = Listener("bob", lambda packet: None, lambda packet: None, name="Bob")
    await client.start.added(listener, room_id)
    rooms: list[set[str]] = [{room_id}, set(), {room_id}, {room_id}]
    assert client.introduced.calls == [("bob", "Bob", one) for one in rooms]


def test_only_receipts_ahead_of_redis_are_applied() -> None:
    """Redis lost a cursor that the client still has (D4); equal ones need no write."""
    known = {"r": Standing((1, 1), 10, 5, 8, 5)}
    assert ahead_of(known, {"r": (6, 0)}) == {"r": (6, 0)}
    assert ahead_of(known, {"r": (0, 9)}) == {"r": (0, 9)}
    assert ahead_of(known, {"r": (5, 8)}) == {}
    assert ahead_of(known, {"r": (4, 7)}) == {}


def test_a_receipt_beyond_the_last_message_counts_as_the_last_message() -> None:
    """0 ≤ read ≤ seq (D8): a client cannot cause a write at each connect."""
    read_all = {"r": Standing((1, 1), 10, 10, 10, 0)}
    assert ahead_of(read_all, {"r": (99, 99)}) == {}


def test_receipts_of_other_rooms_are_ignored() -> None:
    """Only receipts of the user's own rooms count (A1)."""
    assert ahead_of({}, {"r": (1, 1)}) == {}


def test_a_cursor_older_than_the_membership_is_dropped() -> None:
    """A user who left and joined again must not get the messages in between (A1)."""
    memberships = [IndexedMembership("r", 2, 7, "in")]
    assert cursors_within_membership({"r": (2, 7)}, memberships) == {"r": (2, 7)}
    assert cursors_within_membership({"r": (2, 6)}, memberships) == {}
    assert cursors_within_membership({"r": (1, 99)}, memberships) == {}
    assert cursors_within_membership({"other": (2, 7)}, memberships) == {}
