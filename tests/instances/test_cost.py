"""What a message costs Redis: issue 3, what must be seen, 6."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

from redis import Redis
from redis.asyncio import Redis as Redis_
from redis.asyncio.client import Monitor

from rts_server import keys
from tests.faults.sender import Sender
from tests.flows.test_commands import ok
from tests.instances.test_deaf import deaf_instance
from tests.js_client import JsClient
from tests.raw import Raw
from tests.world import World, name

MEMBERS = 1_000
SOCKETS = 200
MESSAGES = 50
BY_TIME = ("#ver", "XLEN", "canary", "INFO", " 64 {p0}:generation")
"""In the commands of the check of everybody's index, of the metrics, of the canaries, of the look
at who is the primary, and of the look whether Redis lost its memory: one, however many rooms."""


async def counted(monitor: Monitor, kinds: Counter[str]) -> None:
    """Count the commands that arrive; what a script calls inside is part of its one command.

    What is done every so often costs by time and not by message: see BY_TIME.
    """
    while True:
        told = await monitor.next_command()
        if told["client_type"] != "lua" and not any(one in told["command"] for one in BY_TIME):
            kinds[told["command"].split()[0].upper()] += 1


def heard(client: Redis) -> dict[str, int]:
    """Bytes that each subscribing connection was sent, by address."""
    return {c["addr"]: int(c["tot-net-out"]) for c in client.client_list() if c["sub"] != "0"}


def pushed(before: dict[str, int], after: dict[str, int]) -> list[int]:
    """How much each connection that was there before got meanwhile, ascending."""
    return sorted(after[addr] - count for addr, count in before.items() if addr in after)


async def room_of_a_thousand(a: JsClient, users: list[str]) -> str:
    """A group with all of them."""
    asked: dict[str, Any] = {"type": "group", "client_room_id": "big", "members": users[:100]}
    room_id: str = (await ok(a, "room.create", asked))["room"]["room_id"]
    for i in range(100, len(users), 100):
        await ok(a, "member.add", {"room_id": room_id, "user_ids": users[i : i + 100]})
    return room_id


async def test_room_of_a_thousand(pair: World, tmp_path_factory: Any, full: bool) -> None:
    """At most 12 commands a message in all; an instance without members hears nothing of it."""
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
        with Redis.from_url(pair.stack.settings.redis_url, client_name="test") as client:
            assert client.pubsub_numsub(keys.room_channel(room_id))[0][1] == 2
            got, kinds = heard(client), Counter[str]()
            watching = Redis_.from_url(pair.stack.settings.redis_url)
            async with watching, watching.monitor() as monitor:
                counting = asyncio.create_task(counted(monitor, kinds))
                sender = Sender(a, room_id)
                for n in range(MESSAGES):
                    await sender.send(f"message {n}")
                for socket in sockets:
                    await socket.until(lambda s=socket: len(said(s)) == MESSAGES)
                counting.cancel()
            deaf, one, other = pushed(got, heard(client))[-3:]
        total = sum(kinds.values())
        print(f"{total / MESSAGES:.1f} commands a message: {dict(kinds)}")
        print(f"bytes heard by the three instances: {deaf}, {one}, {other}")
        assert kinds["EVALSHA"] >= MESSAGES
        assert total / MESSAGES <= 12
        assert deaf < 5_000 < MESSAGES * 300 < one
        assert one < other * 2


def said(socket: Raw) -> list[Any]:
    """The messages a socket has got."""
    return [e for e in socket.events if e["type"] == "message.new"]
