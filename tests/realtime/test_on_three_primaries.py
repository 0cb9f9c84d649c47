"""Rooms on three primaries: appends, delivery to instances, breaks of a link, slots that move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest

from rts_server import keys
from rts_server.config import Settings
from rts_server.persistence.recent_changes import RecentChanges
from rts_server.realtime.listener import Listener
from rts_server.realtime.sharded_subscriber import ShardedSubscriber
from rts_server.redis_client.servers import RedisServers
from rts_server.redis_client.slots import slot_of
from rts_server.roomlog.member_events import member_removed
from rts_server.roomlog.room_events import settings_changed
from rts_server.roomlog.script import APPEND
from rts_server.runtime import backoff
from rts_server.tools.dev.valkey import Valkey
from rts_server.tools.dev.valkey_cluster import ValkeyCluster
from tests.helpers.bench import Bench, append, message
from tests.helpers.valkey import ask
from tests.helpers.waiting import PATIENCE, eventually
from tests.realtime.instance import LINGER, Instance, seqs

Events = list[dict[str, Any]]


class Fleet:
    """Two instances, and the scripts of the room log on the same cluster."""

    def __init__(self, cluster: ValkeyCluster, servers: list[RedisServers]) -> None:
        self.cluster = cluster
        self.pipes = [one.pipe() for one in servers]
        settings = Settings(
            redis_url=cluster.url,
            redis_cluster=1,
            linger=LINGER,
            canary_interval=0.05,
            jwt_secret="x",
            rate_limits="relaxed",
        )
        self.bench = Bench(cast(Any, self.pipes[0]), settings)
        self.instances = [
            Instance(settings, pipe, one) for pipe, one in zip(self.pipes, servers, strict=True)
        ]

    async def room_on(self, node: Valkey, *members: str) -> str:
        """Create a group that lies on a primary."""
        share = self.cluster.primaries.index(node)
        for n in range(1_000):
            room_id = keys.client_room_id("alice", f"g{n}")
            if slot_of(keys.room(room_id).head) * 3 // 16384 == share:
                return await self.bench.group("alice", *members, room=f"g{n}")
        raise AssertionError

    async def listen(self, at: int, user_id: str, room_ids: list[str]) -> tuple[Listener, Events]:
        """Let a user listen to rooms on an instance."""
        instance = self.instances[at]
        listener, events = instance.socket(user_id)
        async with asyncio.timeout(PATIENCE):
            await instance.subscriptions.add_listener(listener)
            replays = await instance.subscriptions.join(listener, room_ids, {})
        for room_id, replay in replays.items():
            assert replay.start is not None
            instance.subscriptions.go_live(listener, room_id, replay.start)
        return listener, events

    async def sung(self) -> None:
        """Return when each instance has heard a canary of each primary."""
        for instance in self.instances:
            subscriber = instance.subscriptions.subscriber
            assert isinstance(subscriber, ShardedSubscriber)
            shards = subscriber.shards
            await eventually(lambda: all(s.canary.heard_until > 0 for s in shards.values()))  # noqa: B023


@pytest.fixture
async def fleet(cluster: ValkeyCluster, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    """Listening."""
    monkeypatch.setattr(backoff, "MAX_BACKOFF_SECONDS", 0.05)
    for node in cluster.primaries:
        ask(node, "FLUSHALL")
    settings = Settings(redis_url=cluster.url, redis_cluster=1)
    async with AsyncExitStack() as stack:
        servers = [RedisServers(settings) for _ in range(2)]
        made = Fleet(cluster, servers)
        for one, pipe in zip(servers, made.pipes, strict=True):
            stack.push_async_callback(one.close)
            stack.push_async_callback(pipe.close)
        for instance in made.instances:
            instance.subscriptions.start()
            stack.push_async_callback(instance.subscriptions.close)
        yield made


async def test_an_append_reaches_the_members_on_all_instances(fleet: Fleet) -> None:
    """On whichever primary the room is, in the order of its log; what is for one user reaches them
    alone, and a removed member gets nothing behind the removal (D3, A2)."""
    nodes = fleet.cluster.primaries
    rooms = [await fleet.room_on(node, "bob") for node in nodes]
    _, alice = await fleet.listen(0, "alice", rooms)
    _, bob = await fleet.listen(1, "bob", rooms)
    for n in range(10):
        for room_id in rooms:
            assert await fleet.bench.outcome(message(room_id, "alice", f"m{n}")) == "ok"
    for room_id in rooms:
        await fleet.bench.append(settings_changed(room_id, "bob", {"muted": True}))
        await fleet.bench.append(member_removed(room_id, "alice", ["bob"]))
        await fleet.bench.append(message(room_id, "alice", "behind"))

    def of(events: Events, room_id: str) -> Events:
        return [one for one in events if one["room_id"] == room_id]

    for room_id in rooms:
        await fleet.instances[0].until(lambda: "behind" in repr(of(alice, room_id)))  # noqa: B023
        await fleet.instances[1].until(
            lambda: "member.removed" in [one["type"] for one in of(bob, room_id)]  # noqa: B023
        )
        assert seqs(of(alice, room_id))[:10] == seqs(of(bob, room_id)) == list(range(1, 11))
        types = [one["type"] for one in of(bob, room_id)]
        assert types[10:] == ["room.state", "member.removed"]
        assert "room.state" not in [one["type"] for one in of(alice, room_id)]
    for node in nodes:  # each room is where its partition is, and nowhere else
        heads = ask(node, "KEYS", "{p*}:room:*:head")
        assert len(heads) == 1


async def test_after_a_break_the_rooms_of_that_primary_alone_are_repaired(fleet: Fleet) -> None:
    """A lost event comes by what that primary knows; of a room elsewhere with its next head."""
    here, there = fleet.cluster.primaries[:2]
    one, other = await fleet.room_on(here), await fleet.room_on(there)
    _, events = await fleet.listen(0, "alice", [one, other])
    await fleet.sung()
    for room_id in (one, other):
        request = message(room_id, "alice")
        names, args = append(request, fleet.bench.settings)  # its channel is of one server: lost
        lost = [f"{{{names[0].partition('}')[0][1:]}}}:nowhere" if a == f"room:{room_id}" else a
                for a in args]  # fmt: skip
        answer = await APPEND.evaluate(fleet.pipes[0], names, lost)
        assert answer[0] == b"ok"
    await RecentChanges(fleet.pipes[0]).note([one, other])
    ask(here, "CLIENT", "KILL", "TYPE", "PUBSUB")
    await fleet.instances[0].until(lambda: fleet.instances[0].missed and events)
    assert [event["room_id"] for event in events] == [one]
    assert fleet.instances[0].missed[0] is not None


async def test_a_room_whose_slot_moves_goes_on_in_one_order(fleet: Fleet) -> None:
    """Appends meet the move; behind it the room is cold, as the fence knows the Redis that wrote
    it, and goes on under a new epoch. Nothing that was acked is missing, or twice (D3, D6)."""
    here, there = fleet.cluster.primaries[:2]
    room_id, calm = await fleet.room_on(here), await fleet.room_on(fleet.cluster.primaries[2])
    _, events = await fleet.listen(1, "alice", [room_id, calm])
    await fleet.sung()
    slot = slot_of(keys.room(room_id).head)
    span = ("SLOTSRANGE", slot, slot, "NODE")
    ask(here, "CLUSTER MIGRATESLOTS", *span, ask(there, "CLUSTER MYID").decode())
    acked: list[tuple[int, int]] = []
    try:
        epoch = 1
        while epoch == 1 or len(acked) < 200:
            request = message(room_id, "alice", f"m{len(acked)}")
            reply = await fleet.bench.append(request)
            if reply[0] == "cold":
                epoch += 1
                seq = len(acked)
                assert await fleet.bench.install(room_id, ["alice"], epoch=epoch, seq=seq) == "ok"
                continue
            assert reply[0] == "ok"
            acked.append((reply[2], reply[3]))
        assert epoch == 2
        assert acked == sorted(set(acked))
        await fleet.instances[1].until(lambda: events and seqs(events)[-1] == len(acked))
    finally:
        await eventually(lambda: _slot_is_at(there, slot, there))
        ask(there, "CLUSTER MIGRATESLOTS", *span, ask(here, "CLUSTER MYID").decode())
        await eventually(
            lambda: all(_slot_is_at(here, slot, one) for one in fleet.cluster.primaries)
        )
    heard = [(e["epoch"], e["offset"]) for e in events if e["type"] == "message.new"]
    assert heard == sorted(set(heard))
    assert set(heard) <= set(acked)
    # What is not heard was behind a `sync.reset`, which has the client read the room anew.
    reset = [(e["data"]["epoch"], e["data"]["offset"]) for e in events if e["type"] == "sync.reset"]
    assert set(acked) - set(heard) <= {at for at in acked if reset and at <= max(reset)}
    assert {e["room_id"] for e in events} == {room_id}


def _slot_is_at(node: Valkey, slot: int, asked: Valkey) -> bool:
    spans = ask(asked, "CLUSTER SLOTS")
    return any(low <= slot <= high and at[1] == node.port for low, high, at, *_ in spans)
