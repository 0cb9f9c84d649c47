"""The feed of a room: listeners get one stream without a gap whatever the channel does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from redis.exceptions import RedisError

from rts_server.domain.position import Position
from rts_server.realtime import room_feed as adapter_room
from rts_server.realtime.feed_context import FeedContext
from rts_server.realtime.room_feed import RoomFeed
from rts_server.realtime.sequence import PublishedEvent, parse
from tests.realtime.log import ROOM, Client, Log, replay

SLOWEST = 3_000
"""Ticks of the loop within which a room must have come to rest."""


@dataclass
class Stage:
    """A feed on a scripted log, and its clients."""

    log: Log = field(default_factory=Log)
    clients: list[Client] = field(default_factory=list)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.room = RoomFeed(ROOM, FeedContext(self.log, self._keep))

    def _keep(self, work: Coroutine[Any, Any, Any]) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    async def join(self, cursor: Position | None = None) -> tuple[Client, list[bytes]]:
        """Subscribe a client as `Subscriptions.join` does."""
        client = Client(f"user-{len(self.clients)}")
        self.log.members.add(client.listener.user_id)
        self.room.join(client.listener, cursor)
        self.clients.append(client)
        (standing,) = await self.log.read_many([(ROOM, [client.listener.user_id])])
        self.room.open_at(standing.position if standing else None)
        client.start = standing.position if standing else (0, 0)
        client.cursor = cursor
        missed: list[bytes] = []
        if standing and cursor is not None:
            (since,) = await self.log.events_since([(ROOM, cursor, 301)])
            if since.events is not None and since.position is not None:
                missed = since.events
                client.start = since.position
            else:
                client.cursor = client.start
        return client, missed

    def go_live(self, client: Client, missed: list[bytes]) -> None:
        """Write the missed events, then begin the stream."""
        client.position = client.cursor or client.start
        client.loose = client.start == (0, 0)
        replay(client, missed)
        self.room.go_live(client.listener, client.start)

    async def listen(self, cursor: Position | None = None) -> Client:
        """Join and go live."""
        client, missed = await self.join(cursor)
        self.go_live(client, missed)
        return client

    def hear(self, data: bytes) -> None:
        """Publish an event."""
        self.room.on_publish(parse(data))

    async def rest(self) -> None:
        """Wait until nothing is running; fail on a livelock."""
        for _ in range(SLOWEST):
            if all(task.done() for task in self.tasks):
                break
            await asyncio.sleep(0)
        else:
            raise AssertionError("the room does not come to rest")
        for task in self.tasks:
            task.result()
        assert [complaint for client in self.clients for complaint in client.complaints] == []


async def test_published_events_are_delivered_at_once() -> None:
    """Without loss only the position is read from the log."""
    stage = Stage()
    one, other = await stage.listen(), await stage.listen()
    reads = stage.log.reads
    for _ in range(5):
        stage.hear(stage.log.append())
    assert one.offsets == other.offsets == [1, 2, 3, 4, 5]
    assert stage.log.reads == reads


async def test_listeners_share_one_encoding() -> None:
    """A message for many connections is one packet."""
    stage = Stage()
    taken: list[Any] = []
    for _ in range(3):
        client, _missed = await stage.join()
        client.listener.write = taken.append
        client.position = (1, 0)
        stage.room.go_live(client.listener, (1, 0))
    stage.hear(stage.log.append())
    assert len(taken) == 3
    assert len({id(packet) for packet in taken}) == 1


async def test_a_gap_is_filled_before_anything_newer() -> None:
    """Lost events come first, then those published meanwhile, each once."""
    stage = Stage()
    client = await stage.listen()
    stage.log.append()
    stage.log.append()
    stage.hear(stage.log.append())
    assert client.offsets == []
    stage.hear(stage.log.append())
    await stage.rest()
    assert client.offsets == [1, 2, 3, 4]
    assert client.resets == 0


async def test_a_lost_last_publish_is_found_by_comparing_heads() -> None:
    """A lost last publish is repaired when heads are compared."""
    stage = Stage()
    client = await stage.listen()
    stage.log.append()
    stage.room.mark_lagging()
    stage.room.mark_lagging()
    await stage.rest()
    assert client.offsets == [1]


async def test_a_lost_tail_is_noticed_by_the_head_that_the_relay_publishes() -> None:
    """A head that is not ahead changes nothing, and no client gets it."""
    stage = Stage()
    client = await stage.listen()
    stage.hear(stage.log.append())
    reads = stage.log.reads
    stage.hear(b"1 1 ~head@- {}")
    assert (client.offsets, stage.log.reads) == ([1], reads)
    stage.log.append()
    stage.hear(b"1 2 ~head@- {}")
    await stage.rest()
    assert client.offsets == [1, 2]
    assert len(client.packets) == 2


async def test_a_cold_room_that_has_a_head_again_is_read() -> None:
    """The event that woke it was lost."""
    stage = Stage(Log(cold=True))
    client = await stage.listen()
    stage.log.open()
    stage.hear(b"2 1 ~head@- {}")
    await stage.rest()
    assert (stage.room.position, client.resets) == ((2, 1), 1)


async def test_a_long_gap_is_filled_in_pieces() -> None:
    """A gap larger than one read takes several."""
    stage = Stage()
    client = await stage.listen()
    for _ in range(2 * adapter_room.MAX_REPAIR_EVENTS + 5):
        stage.log.append()
    stage.room.mark_lagging()
    await stage.rest()
    assert client.offsets == list(range(1, 2 * adapter_room.MAX_REPAIR_EVENTS + 6))


async def test_a_gap_beyond_the_hot_log_is_a_reset() -> None:
    """It is never filled in part: the client begins anew."""
    stage = Stage()
    client = await stage.listen()
    for _ in range(9):
        stage.log.append()
    stage.log.trim(3)
    stage.hear(stage.log.append())
    await stage.rest()
    assert client.offsets == []
    assert client.resets == 1
    stage.hear(stage.log.append())
    assert client.offsets == [11]


async def test_a_listener_at_prev_continues_into_the_next_epoch() -> None:
    """A loss of Redis that lost no event causes no reset."""
    stage = Stage()
    client = await stage.listen()
    stage.hear(stage.log.append())
    stage.log.wipe(0)
    stage.hear(stage.log.open())
    stage.hear(stage.log.append())
    await stage.rest()
    assert client.resets == 0
    assert client.position == (2, 2)


async def test_a_cursor_at_prev_needs_no_reset_when_a_cold_room_opens() -> None:
    """A client with the archived position goes on from there."""
    stage = Stage(Log(offset=7))
    stage.log.wipe(0)
    at_prev, behind = await stage.listen((1, 7)), await stage.listen((1, 6))
    stage.hear(stage.log.open())
    await stage.rest()
    assert (at_prev.resets, at_prev.position) == (0, (2, 1))
    assert (behind.resets, behind.position) == (1, (2, 1))


async def test_events_that_redis_lost_are_a_reset() -> None:
    """A client that received more than was archived must begin anew."""
    stage = Stage(Log(offset=5))
    client = await stage.listen((1, 5))
    stage.hear(stage.log.append())
    stage.log.wipe(1)
    stage.room.mark_lagging()
    await stage.rest()
    stage.hear(stage.log.open())
    await stage.rest()
    assert client.resets == 1


async def test_removed_users_receive_nothing_later() -> None:
    """member.removed is the last event for removed users; others go on."""
    stage = Stage()
    gone, stays = await stage.listen(), await stage.listen()
    stage.hear(stage.log.remove(gone.listener.user_id))
    stage.hear(stage.log.append())
    assert gone.offsets == [1]
    assert stays.offsets == [1, 2]
    assert ROOM not in gone.listener.rooms


async def test_a_removal_whose_publish_was_lost_counts_from_its_position() -> None:
    """After a repair or a reset, removed users get nothing behind the removal."""
    for keep in (10, 1):
        stage = Stage()
        gone, stays = await stage.listen(), await stage.listen()
        stage.log.append()
        stage.log.remove(gone.listener.user_id)
        stage.log.append()
        stage.log.trim(keep)
        stage.hear(stage.log.append())
        await stage.rest()
        assert gone.offsets == ([1, 2] if keep == 10 else [])
        assert stays.offsets == ([1, 2, 3, 4] if keep == 10 else [])


async def test_ephemeral_events_wait_for_the_head_they_were_published_at() -> None:
    """An ephemeral event behind a missed removal does not reach the removed user."""
    stage = Stage()
    gone, stays = await stage.listen(), await stage.listen()
    stage.log.remove(gone.listener.user_id)
    text = '{"type":"message.status","data":{},"epoch":1,"offset":1}'
    written: dict[str, list[str]] = {"gone": [], "stays": []}
    gone.listener.write = lambda packet: written["gone"].append(packet.data)
    stays.listener.write = lambda packet: written["stays"].append(packet.data)
    stage.room.on_publish(PublishedEvent((1, 1), "message.status", text, durable=False))
    await stage.rest()
    assert [("message.status" in data) for data in written["gone"]] == [False]
    assert [("message.status" in data) for data in written["stays"]] == [False, True]


async def test_redis_away_during_a_repair_only_delays_it() -> None:
    """A repair is retried, and published events wait meanwhile."""
    stage = Stage()
    client = await stage.listen()
    stage.log.failures = [RedisError("away"), OSError("away")]
    stage.log.append()
    stage.hear(stage.log.append())
    await asyncio.gather(*stage.tasks)
    await stage.rest()
    assert client.offsets == [1, 2]
    assert not stage.log.failures


CALM: list[st.SearchStrategy[tuple[str, Any]]] = [
    st.tuples(st.just("append"), st.sampled_from(["heard"] * 3 + ["lost", "late", "twice"])),
    st.tuples(st.just("late"), st.integers(0, 3)),
    st.tuples(st.just("tick"), st.integers(1, 6)),
    st.tuples(st.just("behind"), st.none()),
    st.tuples(st.just("trim"), st.integers(0, 3)),
    st.tuples(st.just("join"), st.none() | st.integers(0, 3)),
    st.tuples(st.just("settle"), st.integers(0, 2)),
    st.tuples(st.just("remove"), st.integers(0, 2)),
]
WILD: list[st.SearchStrategy[tuple[str, Any]]] = [
    st.tuples(st.just("wipe"), st.integers(0, 2)),
    st.tuples(st.just("open"), st.booleans()),
]


class Play:
    """Random steps; delayed publishes arrive in any order."""

    def __init__(self, delay: int) -> None:
        self.stage = Stage(Log(delay=delay))
        self.late: list[bytes] = []
        self.joining: list[asyncio.Task[tuple[Client, list[bytes]]]] = []

    async def play(self, steps: list[tuple[str, Any]]) -> None:
        """All steps; then the channel is sound again and everybody must be at the head."""
        self.stage.go_live(*await self.stage.join())
        for name, value in steps:
            await getattr(self, "_" + name)(value)
        await self.stage.rest()
        if self.stage.log.cold:
            await self._open(True)
        for joining in list(self.joining):
            self._settled(await joining)
        self.stage.hear(self.stage.log.append())
        self.stage.room.mark_lagging()
        await self.stage.rest()
        log = self.stage.log
        assert self.stage.room.position == log.head
        for client in self.stage.clients:
            if client.removed_at is None:
                assert client.position == log.head
                assert not client.broken

    async def _append(self, fate: str) -> None:
        if self.stage.log.cold:
            return
        self._publish_later(self.stage.log.append(), fate)

    def _publish_later(self, data: bytes, fate: str) -> None:
        for _ in range({"heard": 1, "twice": 2}.get(fate, 0)):
            self.stage.hear(data)
        if fate in ("late", "twice"):
            self.late.append(data)

    async def _late(self, which: int) -> None:
        if self.late:
            self.stage.hear(self.late.pop(which % len(self.late)))

    async def _tick(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    async def _behind(self, _: None) -> None:
        if not self.stage.log.cold and self.stage.log.head > (self.stage.room.position or (0, 0)):
            self.stage.room.mark_lagging()

    async def _trim(self, keep: int) -> None:
        self.stage.log.trim(keep)

    async def _wipe(self, lost: int) -> None:
        if not self.stage.log.cold:
            self.stage.log.wipe(lost)

    async def _open(self, heard: bool) -> None:
        if self.stage.log.cold:
            self._publish_later(self.stage.log.open(), "heard" if heard else "lost")

    async def _join(self, back: int | None) -> None:
        epoch, offset = self.stage.log.prev if self.stage.log.cold else self.stage.log.head
        cursor = None if back is None else (epoch, max(epoch > 1, offset - back))
        self.joining.append(asyncio.ensure_future(self.stage.join(cursor)))

    async def _settle(self, which: int) -> None:
        done = [joining for joining in self.joining if joining.done()]
        if done:
            joining = done[which % len(done)]
            self.joining.remove(joining)
            self._settled(joining.result())

    def _settled(self, joined: tuple[Client, list[bytes]]) -> None:
        if joined[0].removed_at is None:
            self.stage.go_live(*joined)

    async def _remove(self, which: int) -> None:
        settled = [c for c in self.stage.clients if c.position and c.removed_at is None]
        if settled and not self.stage.log.cold:
            client = settled[which % len(settled)]
            data = self.stage.log.remove(client.listener.user_id)
            client.removed_at = self.stage.log.head
            self._publish_later(data, "lost" if which else "heard")


@settings(max_examples=400)
@given(st.integers(0, 3), st.lists(st.one_of(CALM), max_size=40))
def test_no_listener_gets_a_gap_whatever_the_channel_loses(
    delay: int, steps: list[tuple[str, Any]]
) -> None:
    """With loss, repetition, reordering, trimming, joins and removals at any moment, each listener
    gets every event once and in order, or sync.reset."""
    asyncio.run(Play(delay).play(steps))


@settings(max_examples=400)
@given(st.integers(0, 3), st.lists(st.one_of(CALM + WILD), max_size=40))
def test_no_listener_gets_a_gap_whatever_redis_loses(
    delay: int, steps: list[tuple[str, Any]]
) -> None:
    """The same while Redis loses all events, or the newest, at any moment."""
    asyncio.run(Play(delay).play(steps))
