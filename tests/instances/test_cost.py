"""The Redis commands that one message costs."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from redis import Redis
from redis.asyncio import Redis as Redis_
from redis.asyncio.client import Monitor

from tests.helpers.commands import ok
from tests.helpers.deaf import deaf_instance
from tests.helpers.js_client import JsClient
from tests.helpers.raw import Raw
from tests.helpers.redis_commands import Commands, commands_about
from tests.helpers.rooms import send
from tests.helpers.sender import Sender
from tests.helpers.world import World, name
from tests.helpers.world_redis import channels, home_of, listeners

MEMBERS = 1_000
SOCKETS = 200
MESSAGES = 50
ROOMS = 200
EXCHANGES = 5
HOME_ROOMS = 50
INDEX_READS = 4
"""Each instance reads each user's index once more if it missed a change of it."""
MISSED = 5
RECONNECTS = 20
QUESTIONS_WHO = 2
"""Of each reconnect: INFO, behind the heads and behind the rest. It names nobody."""
BY_TIME = ("XLEN", "canary", "INFO", "CLIENT LIST", " 64 {p0}:generation", "}:rooms", "}:lease")
"""In the commands of the metrics, of the canaries, of the look at who is the primary, of the count
of the channels, of the look whether Redis lost its data (one, however many rooms), of the indexes
of users who were added, whose versions are published once more 2 s later, and of the leases of the
relay, which on a cluster are one of each partition."""


async def counted(monitor: Monitor, kinds: Counter[str]) -> None:
    """Count the commands that arrive at Redis; those inside a script are part of it. Commands in
    BY_TIME cost by time and not by message."""
    while True:
        told = await monitor.next_command()
        if told["client_type"] != "lua" and not any(one in told["command"] for one in BY_TIME):
            kinds[told["command"].split()[0].upper()] += 1


def bytes_pushed(client: Redis) -> dict[str, int]:
    """Bytes sent to each subscribing connection, by address."""
    return {
        c["addr"]: int(c["tot-net-out"])
        for c in client.client_list()
        if (c["sub"], c["ssub"]) != ("0", "0")
    }


def pushed(before: dict[str, int], after: dict[str, int]) -> list[int]:
    """Bytes sent meanwhile to each connection that existed before, ascending."""
    return sorted(after[addr] - count for addr, count in before.items() if addr in after)


async def room_of_a_thousand(a: JsClient, users: list[str]) -> str:
    """A group of a thousand."""
    asked: dict[str, Any] = {"type": "group", "client_room_id": "big", "members": users[:100]}
    room_id: str = (await ok(a, "room.create", asked))["room"]["room_id"]
    for i in range(100, len(users), 100):
        await ok(a, "member.add", {"room_id": room_id, "user_ids": users[i : i + 100]})
    return room_id


def received_messages(client: Raw | JsClient, room_id: str) -> list[Any]:
    """The messages of a room that a client received."""
    return [e for e in client.events if e["type"] == "message.new" and e["room_id"] == room_id]


def texts_of(client: Raw) -> list[str]:
    """The texts of all messages that a client received."""
    return [e["data"]["message"]["text"] for e in client.events if e["type"] == "message.new"]


def texts(client: JsClient, room_id: str, begin: str) -> int:
    """How many messages of a room that begin with a word a client received."""
    messages = [event["data"]["message"]["text"] for event in received_messages(client, room_id)]
    return sum(text.startswith(begin) for text in messages)


@contextlib.asynccontextmanager
async def device(world: World, user: str, instance: int) -> AsyncIterator[JsClient]:
    """A client in /chat and /receipts."""
    async with world.js(user, instance=instance) as client:
        await client.join("/receipts")
        yield client


async def conversation(pair: World, a: JsClient, b: JsClient, users: list[str]) -> Commands:
    """Count what ten messages and their answers cost, and ten messages that are read."""
    asked = {"type": "direct", "members": [users[1]]}
    room_id = (await ok(a, "room.create", asked))["room"]["room_id"]
    heard = len(b.of_type("unread.changed"))
    async with commands_about(pair, [room_id, *users]) as found:
        for n in range(2 * EXCHANGES):
            await send(a, room_id, f"question {n}")
            await b.until(lambda: texts(b, room_id, "question") > n)  # noqa: B023
            if n % 2:
                seq = received_messages(b, room_id)[-1]["data"]["message"]["seq"]
                await ok(b, "receipt.read", {"room_id": room_id, "up_to_seq": seq})
            else:
                await send(b, room_id, f"answer {n}")
            await b.until(lambda: len(b.of_type("unread.changed")) > heard + n)  # noqa: B023
    print(f"{found.scripts} scripts, {found.total} commands: {found.sent} {found.inside}")
    return found


async def test_a_message_costs_the_same_however_many_rooms_its_users_have(pair: World) -> None:
    """The totals of unread messages come out of the memory of the instances."""
    users = [name("alice"), name("bob")]
    async with device(pair, users[0], 0) as a, device(pair, users[1], 1) as b:
        few = await conversation(pair, a, b, users)
    users = [name("alice"), name("bob")]
    async with device(pair, users[0], 0) as a, device(pair, users[1], 1) as b:
        for n in range(ROOMS):
            made = {"type": "group", "client_room_id": f"r{n}", "members": [users[1]]}
            await ok(a, "room.create", made)
        await b.until(lambda: len(b.of_type("room.added")) == ROOMS)
        await a.until(lambda: len(a.of_type("unread.changed")) == ROOMS)
        await b.until(lambda: len(b.of_type("unread.changed")) == ROOMS)
        many = await conversation(pair, a, b, users)
    assert few.scripts >= 3 * EXCHANGES
    assert many.index_reads <= INDEX_READS
    assert many.scripts - many.index_reads <= 1.1 * (few.scripts - few.index_reads)
    assert many.total <= 1.1 * few.total


async def test_a_reconnect_costs_at_most_three_commands_a_room(pair: World) -> None:
    """A user of 50 rooms comes back, and missed a message in five of them (R5); with presence."""
    alice, bob = name("alice"), name("bob")
    async with device(pair, alice, 0) as a:
        for n in range(HOME_ROOMS):
            made = {"type": "group", "client_room_id": f"r{n}", "members": [bob]}
            room_id = (await ok(a, "room.create", made))["room"]["room_id"]
            await send(a, room_id, "heard")
        async with device(pair, bob, 1) as b:
            listed = (await ok(b, "room.list", {"limit": HOME_ROOMS}))["rooms"]
        cursors = {room["room_id"]: [room["epoch"], room["offset"]] for room in listed}
        assert len(cursors) == HOME_ROOMS
        for room_id in list(cursors)[:MISSED]:
            await send(a, room_id, "missed")
        async with commands_about(pair, [*cursors, bob]) as found:
            for _ in range(RECONNECTS):
                async with pair.raw(bob, instance=1, cursors=cursors) as client:
                    await client.until(lambda c=client: len(texts_of(c)) == MISSED)
                    ready = next(e for e in client.events if e["type"] == "session.ready")
                    assert ready["data"]["recovered"] == dict.fromkeys(cursors, True)
                    assert ready["data"]["unread"]["rooms"] == HOME_ROOMS
                    assert texts_of(client) == ["missed"] * MISSED
    each = found.total / RECONNECTS + QUESTIONS_WHO
    print(f"{each:.1f} commands a reconnect: {found.sent} {found.inside}")
    assert found.total >= RECONNECTS * HOME_ROOMS
    assert each <= 3 * HOME_ROOMS


async def test_room_of_a_thousand(pair: World, tmp_path_factory: Any, full: bool) -> None:
    """At most 12 commands a message; an instance without members receives nothing."""
    alice, *others = [name("member") for _ in range(MEMBERS)]
    stranger = name("stranger")
    async with (
        deaf_instance(pair, tmp_path_factory, full),
        pair.js(alice) as a,
        pair.raw(stranger, instance=2),
        contextlib.AsyncExitStack() as stack,
    ):
        room_id = await room_of_a_thousand(a, others)
        sockets: list[Raw] = []
        for i, user in enumerate(others[:SOCKETS]):
            sockets.append(await stack.enter_async_context(pair.raw(user, instance=i % 2)))
        assert listeners(pair, channels(pair).room(room_id)) == 2
        home = home_of(pair, room_id).url
        with Redis.from_url(home, client_name="test") as client:
            got, kinds = bytes_pushed(client), Counter[str]()
            watching = Redis_.from_url(home)
            async with watching, watching.monitor() as monitor:
                counting = asyncio.create_task(counted(monitor, kinds))
                sender = Sender(a, room_id)
                for n in range(MESSAGES):
                    await sender.send(f"message {n}")
                for socket in sockets:
                    await socket.until(
                        lambda s=socket: len(received_messages(s, room_id)) == MESSAGES
                    )
                counting.cancel()
            deaf, one, other = pushed(got, bytes_pushed(client))[-3:]
        total = sum(kinds.values())
        print(f"{total / MESSAGES:.1f} commands a message: {dict(kinds)}")
        print(f"bytes heard by the three instances: {deaf}, {one}, {other}")
        assert kinds["FCALL"] >= MESSAGES
        assert total / MESSAGES <= 12
        assert deaf < 5_000 < MESSAGES * 300 < one
        assert one < other * 2
