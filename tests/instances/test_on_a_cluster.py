"""The processes on a cluster of three primaries: two web instances, a relay, the real functions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from rts_server import keys
from rts_server.redis_client.slots import slot_of
from rts_server.tools.dev.valkey import Valkey
from tests.helpers.commands import ok
from tests.helpers.js_client import JsClient
from tests.helpers.pair import FAST
from tests.helpers.presence import all_online, here, states
from tests.helpers.rooms import group, send
from tests.helpers.sender import Sender
from tests.helpers.valkey import ask, owner_says
from tests.helpers.world import World, name

TEXTS = ["one", "two", "three"]
ROOMS = 9
"""Rooms enough to lie on all primaries: that one has none is as likely as 3 in 100."""

HEARD = 100
LEAST_EVENT_BYTES = 300
"""Of an event of a message; a doorbell, which a relay hears, is a third of it."""


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run two web instances and a relay on three primaries."""
    running = World(tmp_path_factory.mktemp("sharded"), 3, instances=2, **FAST)
    try:
        running.start()
        yield running
    finally:
        running.stop()


async def test_rooms_on_all_primaries_are_delivered_stored_and_read(sharded: World) -> None:
    """Everything is heard once and in order on the other instance, queued, and in the history."""
    alice, bob = name("alice"), name("bob")
    async with sharded.js(alice) as a, sharded.js(bob, 1) as b:
        rooms = [await group(a, [bob]) for _ in range(ROOMS)]
        for text in TEXTS:
            for room_id in rooms:
                answer = await send(a, room_id, text)
                assert answer["ok"], answer
                assert answer["data"]["status"] in ("queued", "stored")
        for room_id in rooms:
            await b.until(lambda r=room_id: len(texts_in(b, r)) >= len(TEXTS))  # type: ignore[misc]
            assert texts_in(b, room_id) == TEXTS
            page = await ok(b, "message.list", {"room_id": room_id})
            assert [one["text"] for one in page["messages"] if one["type"] == "text"] == TEXTS


async def test_a_login_has_the_unread_messages_of_rooms_on_all_primaries(sharded: World) -> None:
    """The index of a user is on one primary, and their rooms on all."""
    alice, bob = name("alice"), name("bob")
    async with sharded.js(alice) as a:
        rooms = [await group(a, [bob]) for _ in range(ROOMS)]
        for room_id in rooms:
            assert (await send(a, room_id, "hello"))["ok"]
        async with sharded.js(bob, 1) as b:
            listed = await ok(b, "room.list", {})
    assert {row["room_id"]: row["unread"] for row in listed["rooms"]} == dict.fromkeys(rooms, 1)


async def test_presence_is_told_across_instances(sharded: World) -> None:
    """A user's presence is in the slot of their group, and heard by a link to its primary."""
    alice, bob = name("alice"), name("bob")
    async with here(sharded, alice, 0) as a:
        async with here(sharded, bob, 1) as b:
            await group(a, [bob])
            await all_online(a, bob)
            await ok(b, "presence.set", {"state": "away"})
            await a.until(lambda: states(a, bob) == ["away"])
        await a.until(lambda: states(a, bob)[-1] == "offline")


async def test_an_instance_hears_only_the_primary_that_its_rooms_are_on(sharded: World) -> None:
    """Of rooms elsewhere neither its links nor the bus between the primaries carry anything."""
    assert sharded.stack.cluster is not None
    here, *others = primaries = sharded.stack.cluster.primaries
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with sharded.js(alice) as a, sharded.js(bob, 1) as b:
        rooms: dict[Valkey, str] = {}
        while len(rooms) < len(primaries):
            room_id = await group(a, [carol])
            slot = slot_of(keys.room(room_id).head)
            rooms[next(one for one in primaries if owner_says(one, slot) == one.port)] = room_id
        await ok(a, "member.add", {"room_id": rooms[here], "user_ids": [bob]})
        await b.until(lambda: "room.added" in [event["type"] for event in b.events])
        before, sent = {one: heard_by(one) for one in primaries}, bus_publishes(primaries)
        senders = [Sender(a, room_id) for room_id in rooms.values()]
        for n in range(HEARD):
            await asyncio.gather(*(one.send(f"message {n}") for one in senders))
        await b.until(lambda: len(texts_in(b, rooms[here])) == HEARD)
        heard = {one: gained(before[one], heard_by(one)) for one in primaries}
    print(f"bytes heard by the links of each primary: {list(heard.values())}")
    assert bus_publishes(primaries) == sent == 0
    loud = HEARD * LEAST_EVENT_BYTES
    assert [sum(size > loud for size in heard[one]) for one in primaries] == [2, 1, 1]
    assert all(max(size for size in heard[one] if size <= loud) < loud / 2 for one in others)


def heard_by(primary: Valkey) -> dict[str, int]:
    """Return the bytes sent so far to each subscribing connection of a primary, by address."""
    clients = ask(primary, "CLIENT LIST")
    return {one["addr"]: int(one["tot-net-out"]) for one in clients if one["ssub"] != "0"}


def gained(before: dict[str, int], after: dict[str, int]) -> list[int]:
    """Return what each connection that was there before was sent in between."""
    return [after[address] - size for address, size in before.items()]


def bus_publishes(primaries: list[Valkey]) -> int:
    """Return how many publishes the primaries passed to each other, of either kind."""
    infos = [ask(one, "CLUSTER INFO") for one in primaries]
    counts = [f"cluster_stats_messages_{kind}_sent" for kind in ("publish", "publishshard")]
    return sum(int(info.get(count, 0)) for info in infos for count in counts)


def texts_in(client: JsClient, room_id: str) -> list[str]:
    """Return the texts of a room's new messages, in order of arrival."""
    told = [event for event in client.of_type("message.new") if event["room_id"] == room_id]
    return [event["data"]["message"]["text"] for event in told]
