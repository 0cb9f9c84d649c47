"""An instance is killed or sleeps while its clients write (D1, D4)."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.helpers.js_client import JsClient
from tests.helpers.pair import HEARTBEAT_SECONDS
from tests.helpers.proxy import Proxy
from tests.helpers.rooms import durable, group
from tests.helpers.sender import Sender, agrees, order_is_kept, positions_are_unique
from tests.helpers.waiting import until
from tests.helpers.world import World, name, placed


def address(world: World, instance: int) -> tuple[str, int]:
    """Host and port of an instance."""
    return "127.0.0.1", int(world.urls[instance].rpartition(":")[2])


@asynccontextmanager
async def behind(world: World, balancer: Proxy, user_id: str) -> AsyncIterator[JsClient]:
    """A client that follows the protocol, connected through a balancer."""
    async with JsClient() as client:
        url = f"http://127.0.0.1:{balancer.port}"
        await client.connect(url, world.token(user_id), cursors={}, follow=True)
        await client.wait_for(lambda e: bool(e["type"] == "session.ready"))
        yield client


async def whole(world: World, sender: Sender, readers: list[JsClient], count: int) -> None:
    """Nobody has lost, doubled or reordered events."""
    await asyncio.to_thread(until, lambda: placed(world, sender.room_id) >= count)
    await agrees(sender, world.messages(sender.room_id))
    positions_are_unique(*readers)
    for reader in readers:
        await reader.until(
            lambda r=reader: (
                r.of_type("sync.reset")  # type: ignore[misc]
                or len([e for e in durable(r, sender.room_id) if e["type"] == "message.new"])
                >= count
            )
        )
        order_is_kept(reader, sender.room_id)


async def test_killed_instance_loses_nothing(pair: World) -> None:
    """After kill -9 with unacked sends clients reconnect to the other instance and repeat them."""
    alice, bob = name("alice"), name("bob")
    async with (
        Proxy(address(pair, 0)) as balancer,
        behind(pair, balancer, alice) as a,
        behind(pair, balancer, bob) as b,
    ):
        sender = Sender(a, await group(a, [bob]))
        await b.wait_for(lambda e: bool(e["type"] == "room.added"))
        await sender.send("before")
        pair.relay.signal(signal.SIGSTOP)
        sends = [asyncio.create_task(sender.send(f"during {n}")) for n in range(8)]
        await b.until(lambda: len(durable(b, sender.room_id)) >= 6)
        pair.webs[0].kill()
        balancer.target = address(pair, 1)
        pair.relay.signal(signal.SIGCONT)
        await asyncio.gather(*sends)
        for n in range(3):
            await sender.send(f"after {n}")
        await whole(pair, sender, [a, b], 12)
        assert not b.of_type("sync.reset")
    pair.webs[0].start()


@pytest.mark.parametrize("beyond", [False, True])
async def test_sleeping_instance_loses_nothing(pair: World, full: bool, beyond: bool) -> None:
    """SIGSTOP within and beyond the ping timeout, then SIGCONT, only delays."""
    short, long = (5, 40) if full else (2, HEARTBEAT_SECONDS + 1)
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with (
        Proxy(address(pair, 0)) as balancer,
        behind(pair, balancer, alice) as a,
        behind(pair, balancer, bob) as b,
        pair.js(carol, instance=1) as c,
    ):
        sender = Sender(a, await group(a, [bob, carol]))
        other = Sender(c, sender.room_id)
        await c.wait_for(lambda e: bool(e["type"] == "room.added"))
        await sender.send("before")
        pair.webs[0].signal(signal.SIGSTOP)
        try:
            sends = [asyncio.create_task(sender.send(f"during {n}")) for n in range(5)]
            for n in range(5):
                await other.send(f"elsewhere {n}")
            if beyond:
                balancer.target = address(pair, 1)
            await asyncio.sleep(long if beyond else short)  # the sleep itself is what is tested
        finally:
            pair.webs[0].signal(signal.SIGCONT)
        await asyncio.gather(*sends)
        await sender.send("after")
        sender.acked |= other.acked
        await whole(pair, sender, [a, b, c], 12)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
async def test_the_status_after_accepted_is_sent_although_the_origin_died(
    pair: World, end: signal.Signals
) -> None:
    """SQS is away and the origin ends: later the sender's other device gets `queued`, once."""
    aws = pair.stack.aws
    assert aws is not None
    alice = name("alice")
    async with pair.js(alice, instance=1) as other, pair.js(alice) as a:
        sender = Sender(a, await group(a, [name("bob")]))
        await sender.send("before")
        aws.signal(signal.SIGSTOP)
        try:
            assert (await sender.send("during"))["status"] == "accepted"
            pair.webs[0].signal(end)
            await asyncio.to_thread(until, lambda: pair.webs[0].ended, 60)
        finally:
            aws.signal(signal.SIGCONT)
        await other.until(lambda: bool(other.of_type("message.status")))
        (told,) = other.of_type("message.status")
        (during,) = (one for one in sender.acked.values() if one["status"] == "accepted")
        assert told["data"]["message_id"] == during["message_id"]
        assert told["data"]["status"] == "queued"
    pair.webs[0].start()
