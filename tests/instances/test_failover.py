"""A failover as ElastiCache does it: the name moves, old connections stay on a replica."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.helpers import valkey
from tests.helpers.deaf import readiness
from tests.helpers.js_client import JsClient
from tests.helpers.pair import FAST
from tests.helpers.proxy import Proxy
from tests.helpers.rooms import group, send
from tests.helpers.valkey import place
from tests.helpers.waiting import PATIENCE, until
from tests.helpers.world import Process, World, name


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A primary and its replica."""
    with valkey.running(tmp_path) as first, valkey.running(tmp_path) as second:
        for one in (first, second):
            with Redis.from_url(one) as redis:
                redis.config_set("repl-diskless-sync-delay", 0)
        follow(second, first)
        yield first, second


def follow(replica: str, primary: str | None) -> None:
    """Make a Redis the replica of another and wait until it is in sync; None makes it a primary."""
    with Redis.from_url(replica) as redis:
        if primary is None:
            redis.replicaof("NO", "ONE")
            return
        redis.replicaof(*map(str, place(primary)))
        until(lambda: redis.info("replication")["master_link_status"] == "up")


def swap(old: str, new: str) -> None:
    """Exchange primary and replica; open connections stay."""
    follow(new, None)
    follow(old, new)


@asynccontextmanager
async def behind(pair: World, folder: Path, url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A relay and a web instance whose Redis is behind a proxy."""
    async with Proxy(place(url)) as proxy:
        own = FAST | {
            "RTS_REDIS_URL": f"redis://127.0.0.1:{proxy.port}/0",
            "RTS_REDIS_CLUSTER": "0",  # whatever the others have: theirs is not used
        }
        relay = Process("relay", pair.stack.environment() | own, folder / "relay.log")
        relay.start()
        try:
            async with pair.instance(folder, **own) as (_, address):
                pair.urls.append(address)
                try:
                    yield proxy, address
                finally:
                    pair.urls.remove(address)
        finally:
            await asyncio.to_thread(relay.stop)


async def until_queued(client: JsClient, room_id: str, text: str) -> int:
    """Send until a repetition is `queued`; return how many sends were refused before."""
    refused = 0
    async with asyncio.timeout(PATIENCE):
        while not (acked := await send(client, room_id, text))["ok"]:
            assert acked["error"]["code"] == "unavailable", acked
            refused += 1
        while acked["data"]["status"] != "queued":
            acked = await send(client, room_id, text)
    return refused


def links(url: str) -> list[dict[str, Any]]:
    """The clients of a Redis, without this test and replication."""
    with Redis.from_url(url, client_name="test") as redis:
        return [
            one
            for kind in ("normal", "pubsub")
            for one in redis.client_list(_type=kind)
            if one["name"] != "test"
        ]


@asynccontextmanager
async def chatting(
    pair: World, tmp_path: Path, redis: str
) -> AsyncIterator[tuple[Proxy, str, JsClient, JsClient, str]]:
    """Two users in a room of the instance behind a proxy: proxy, address, clients, room id."""
    bob = name("bob")
    async with (
        behind(pair, tmp_path, redis) as (proxy, address),
        pair.js(name("alice"), 2) as a,
        pair.js(bob, 2) as b,
    ):
        room_id = await group(a, [bob])
        await until_queued(a, room_id, "before")
        yield proxy, address, a, b, room_id


async def test_after_a_failover_every_link_goes_to_the_new_primary(
    pair: World, tmp_path: Path, servers: tuple[str, str]
) -> None:
    """Those of web and relay, for commands and subscriptions, though none was cut."""
    old, new = servers
    async with chatting(pair, tmp_path, old) as (proxy, address, a, b, room_id):
        proxy.target = place(new)
        await asyncio.to_thread(swap, old, new)
        print("refused", await until_queued(a, room_id, "behind"))
        await b.wait_for(lambda e: e["type"] == "message.new" and "behind" in str(e))
        await asyncio.to_thread(until, lambda: not links(old))
        await asyncio.to_thread(until, lambda: readiness(address) == (200, []))


async def test_an_instance_without_a_primary_leaves_rotation_until_it_has_one(
    pair: World, tmp_path: Path, servers: tuple[str, str]
) -> None:
    """While the name points to the old primary, sends are refused and readiness says so."""
    old, new = servers
    async with chatting(pair, tmp_path, old) as (proxy, address, a, b, room_id):
        await asyncio.to_thread(swap, old, new)
        await asyncio.to_thread(until, lambda: readiness(address) == (503, ["no primary"]))
        assert readiness(pair.urls[0]) == (200, [])
        assert (await send(a, room_id, "meanwhile"))["error"]["code"] == "unavailable"
        proxy.target = place(new)
        await until_queued(a, room_id, "behind")
        await b.wait_for(lambda e: e["type"] == "message.new" and "behind" in str(e))
        await asyncio.to_thread(until, lambda: readiness(address) == (200, []))


async def test_a_subscription_on_a_replica_is_noticed_without_an_error_reply(
    pair: World, tmp_path: Path, servers: tuple[str, str]
) -> None:
    """A replica forwards publishes of its primary, so only its role shows it."""
    old, new = servers
    async with behind(pair, tmp_path, old) as (proxy, _):
        await asyncio.to_thread(until, lambda: len(links(old)) > 2)
        proxy.target = place(new)
        await asyncio.to_thread(swap, old, new)
        await asyncio.to_thread(until, lambda: not [one for one in links(old) if one["sub"] != "0"])
        await asyncio.to_thread(until, lambda: [one for one in links(new) if one["sub"] != "0"])
