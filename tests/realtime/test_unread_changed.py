"""Writing `unread.changed`: totals out of memory, and reads of what is in doubt only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from rts_server import errors
from rts_server.domain.unread import MemberUnread
from rts_server.engine.packets import Encoded
from rts_server.realtime import unread_changed
from rts_server.realtime.feed_context import FeedContext
from rts_server.realtime.listener import Listener
from rts_server.realtime.room_feed import RoomFeed
from rts_server.realtime.unread_changed import UnreadChanges
from tests.helpers.waiting import Changes, eventually
from tests.realtime.log import Log


@dataclass
class Instance:
    """Rooms and devices of an instance.

    `redis`: what a read finds, by user and room. `meanwhile`: what happens during the next read.
    """

    redis: dict[tuple[str, str], MemberUnread] = field(default_factory=dict)
    reads: list[tuple[str, list[str]]] = field(default_factory=list)
    away: bool = False
    meanwhile: list[Callable[[], None]] = field(default_factory=list)
    rooms: dict[str, RoomFeed] = field(default_factory=dict)
    listeners: dict[str, list[Listener]] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)

    def __post_init__(self) -> None:
        self.unread = UnreadChanges(self.rooms, self.listeners, self._read)

    async def _read(self, user_id: str, room_ids: list[str]) -> Mapping[str, MemberUnread]:
        self.reads.append((user_id, room_ids))
        found = {r: self.redis[user_id, r] for r in room_ids if (user_id, r) in self.redis}
        for change in self.meanwhile:
            change()
        self.meanwhile.clear()
        self.changes.notify()
        if self.away:
            raise errors.Unavailable()
        return found

    def device(self, user_id: str, **unread: int) -> Listener:
        """A device that is live in some rooms, with so many unread messages in each."""
        listener = Listener(user_id, self._write, self._write, namespaces={"/chat", "/receipts"})
        self.listeners.setdefault(user_id, []).append(listener)
        for room_id, count in unread.items():
            context = FeedContext(Log(), lambda work: None)
            room = self.rooms.setdefault(room_id, RoomFeed(room_id, context))
            found = MemberUnread((1, 9), 9, 0, count, True)
            self.redis[user_id, room_id] = found
            room.open_at(found.position)
            room.join(listener, None)
            room.go_live(listener, found.position, found)
        return listener

    def _write(self, packet: Encoded) -> None:
        event = json.loads(packet.data.removeprefix("2/receipts,"))[1]
        self.told.append({"room_id": event["room_id"], **event["data"]})
        self.changes.notify()


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Instance:
    monkeypatch.setattr(unread_changed, "WRITE_DELAY_SECONDS", 0.0)
    return Instance()


async def test_totals_are_written_without_a_read(instance: Instance) -> None:
    """Several changes of one room are one event; the totals are those over all rooms."""
    alice = instance.device("alice", a=3, b=0, c=2)
    for _ in range(2):
        instance.unread.write_soon(alice, "a")
    await instance.changes.until(lambda: instance.told)
    assert instance.told == [{"room_id": "a", "unread": 3, "read_seq": 0, "total": 5, "rooms": 2}]
    assert instance.reads == []


async def test_what_changed_before_a_connection_joins_receipts_is_written_then(
    instance: Instance,
) -> None:
    """Once for each room, and to that connection only."""
    alice, other = instance.device("alice", a=3, b=1), instance.device("alice", a=3, b=1)
    alice.namespaces.discard("/receipts")
    for room_id in "aab":
        instance.unread.write_soon(alice, room_id)
        await eventually(lambda: not instance.unread._due)
    instance.unread.receipts_joined("alice")
    assert alice.unwritten == {"a", "b"}
    assert (instance.told, other.unwritten) == ([], None)
    alice.namespaces.add("/receipts")
    for _ in range(2):
        instance.unread.receipts_joined("alice")
    await instance.changes.until(lambda: len(instance.told) == 2)
    assert {one["room_id"] for one in instance.told} == {"a", "b"}
    assert alice.unwritten is None


async def test_a_room_in_doubt_is_read_once_and_no_other(instance: Instance) -> None:
    """Of two hundred rooms of a user only the one whose events were missed costs a script."""
    alice = instance.device("alice", **{f"r{n}": 1 for n in range(200)})
    instance.rooms["r7"].doubt()
    instance.redis["alice", "r7"] = MemberUnread((1, 11), 11, 4, 6, True)
    for _ in range(2):
        instance.unread.write_soon(alice, "r1")
        await instance.changes.until(lambda: instance.told)
        first = instance.told.pop()
        assert (first["unread"], first["total"], first["rooms"]) == (1, 199 + 6, 200)
    assert instance.reads == [("alice", ["r7"])]


async def test_a_user_who_cannot_be_read_delays_no_other(instance: Instance) -> None:
    """Their event is dropped, and the next one has the right totals."""
    alice, bob = instance.device("alice", a=1), instance.device("bob", b=2)
    instance.rooms["a"].doubt()
    instance.away = True
    instance.unread.write_soon(alice, "a")
    instance.unread.write_soon(bob, "b")
    await instance.changes.until(lambda: instance.told and instance.reads)
    assert [one["room_id"] for one in instance.told] == ["b"]
    instance.away = False
    instance.unread.write_soon(alice, "a")
    await instance.changes.until(lambda: len(instance.told) == 2)
    assert instance.told[-1]["total"] == 1


async def test_an_unexpected_error_delays_no_later_change(instance: Instance) -> None:
    """What was due is dropped, whatever was raised; the next change is written."""
    alice = instance.device("alice", a=1)
    alice.rooms["a"].doubt()

    def fails() -> None:
        raise KeyError("of a kind that nobody expects")

    instance.meanwhile = [fails]
    instance.unread.write_soon(alice, "a")
    await eventually(lambda: instance.reads and not instance.unread._due)
    instance.meanwhile = []
    instance.unread.write_soon(alice, "a")
    await instance.changes.until(lambda: instance.told)
    assert instance.told[-1]["total"] == 1


async def test_a_room_that_the_archive_does_not_give_is_left_out(instance: Instance) -> None:
    """It stays in doubt, and is read again with the next event."""
    alice = instance.device("alice", a=1, cold=4)
    instance.rooms["cold"].doubt()
    found = instance.redis.pop(("alice", "cold"))
    instance.unread.write_soon(alice, "a")
    await instance.changes.until(lambda: instance.told)
    instance.redis["alice", "cold"] = found
    instance.unread.write_soon(alice, "a")
    await instance.changes.until(lambda: len(instance.told) == 2)
    assert instance.told[-1]["total"] == 5
    assert len(instance.reads) == 2


async def test_a_change_during_a_read_has_the_room_read_again(instance: Instance) -> None:
    """The read may have been before the change."""
    alice = instance.device("alice", a=1)
    subscription = alice.rooms["a"]
    subscription.doubt()
    newer = {("alice", "a"): MemberUnread((1, 9), 9, 5, 4, True)}
    instance.meanwhile = [subscription.doubt, lambda: instance.redis.update(newer)]
    instance.unread.write_soon(alice, "a")
    await instance.changes.until(lambda: instance.told)
    assert instance.told == [{"room_id": "a", "unread": 4, "read_seq": 5, "total": 4, "rooms": 1}]
    assert len(instance.reads) == 2


async def test_only_open_devices_in_receipts_are_told(instance: Instance) -> None:
    """A room that a device has left counts no more."""
    chat, closed, alice = (instance.device("alice", a=1, b=1) for _ in range(3))
    chat.namespaces, closed.closed = {"/chat"}, True
    instance.rooms["a"].leave(alice)
    for one in (chat, closed, alice):
        instance.unread.write_soon(one, "a")
    await instance.changes.until(lambda: instance.told)
    assert instance.told == [{"room_id": "a", "unread": 0, "read_seq": 0, "total": 1, "rooms": 1}]
