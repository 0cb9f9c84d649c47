"""The pub/sub link alone is cut: issue 3, what must be seen, 5 (times ten times faster)."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.instances.conftest import FAST
from tests.instances.rooms import all_have, burst, durable, group, positions, send
from tests.proxy import Proxy
from tests.waiting import promised, until
from tests.world import Process, World, fetched, free_port, name, ready


def readiness(url: str) -> tuple[int, list[str]]:
    """Status and reasons of /health/ready."""
    try:
        with urllib.request.urlopen(url + "/health/ready", timeout=5) as answer:
            return answer.status, json.load(answer)["reasons"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["reasons"]


@asynccontextmanager
async def deaf_instance(pair: World, folder: Any, full: bool) -> AsyncIterator[tuple[Proxy, str]]:
    """A third instance, whose Redis is behind a proxy; it is `pair.urls[2]` meanwhile."""
    where = urlsplit(pair.stack.settings.redis_url)
    assert where.hostname is not None
    assert where.port is not None
    async with Proxy((where.hostname, where.port)) as proxy:
        url = f"http://127.0.0.1:{(port := free_port())}"
        own = {"RTS_PORT": str(port), "RTS_REDIS_URL": f"redis://127.0.0.1:{proxy.port}/0"}
        environment = pair.stack.environment() | ({} if full else FAST) | own
        process = Process("serve", environment, folder.mktemp("deaf") / "web.log")
        process.start()
        pair.urls.append(url)
        try:
            await asyncio.to_thread(until, lambda: ready(url))
            yield proxy, url
        finally:
            pair.urls.remove(url)
            await asyncio.to_thread(process.stop)


async def test_cut_link_shows_as_deaf_and_is_repaired(
    pair: World, tmp_path_factory: Any, full: bool
) -> None:
    """Deaf in readiness while commands go on; live again, without a gap, soon after the cut."""
    async with deaf_instance(pair, tmp_path_factory, full) as (proxy, url):
        await cut_and_heal(pair, proxy, url, full)


async def test_removal_inside_the_cut(pair: World, tmp_path_factory: Any, full: bool) -> None:
    """600 events and a removal while the link is cut: the removed hears nothing behind it."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with (
        deaf_instance(pair, tmp_path_factory, full) as (proxy, _),
        pair.js(alice) as a,
        pair.raw(alice) as writer,
        pair.js(bob, instance=2) as b,
        pair.js(carol, instance=2) as c,
    ):
        room_id = await group(a, [bob, carol])
        await b.wait_for(lambda e: bool(e["type"] == "room.added"))
        await c.wait_for(lambda e: bool(e["type"] == "room.added"))
        proxy.cut()
        await burst(writer, room_id, 300, "x")
        removed = await a.emit("member.remove", {"room_id": room_id, "user_ids": [bob]})
        assert removed["ok"], removed
        await burst(writer, room_id, 300, "y")
        proxy.heal()
        await all_have([a, c], room_id, 604)
        assert positions(c, room_id) == [(1, offset) for offset in range(3, 605)]
        await b.wait_for(lambda e: bool(e["type"] == "room.removed"), 10)
        assert all(position <= (1, 303) for position in positions(b, room_id))


async def cut_and_heal(pair: World, proxy: Proxy, url: str, full: bool) -> None:
    """The body of the test, with the third instance behind the proxy."""
    alice, bob = name("alice"), name("bob")
    async with pair.js(alice) as a, pair.js(bob, instance=2) as b:
        room_id = await group(a, [bob])
        await b.wait_for(lambda e: bool(e["type"] == "room.added"))
        await send(a, room_id, "before")
        await all_have([b], room_id, 3)
        proxy.cut()
        with promised(20 if full else 5):
            took = await asyncio.to_thread(until, lambda: readiness(url) == (503, ["deaf"]))
        print("deaf after", round(took, 2), "s")
        assert readiness(pair.urls[0]) == (200, [])
        assert "rts_deaf 1.0" in await fetched(f"{url}/metrics")
        for n in range(30):
            assert (await send(a, room_id, f"during {n}"))["ok"]
        await asyncio.sleep(
            max(20 - took, 0) if full else 0
        )  # the length of the cut is what is tested
        mine = await send(b, room_id, "by the deaf")
        assert mine["ok"]
        proxy.heal()
        with promised(5):
            await all_have([a, b], room_id, 34)
        assert positions(b, room_id) == [(1, offset) for offset in range(3, 35)]
        assert len(durable(a, room_id)) == 32
        with promised(20 if full else 5):
            await asyncio.to_thread(until, lambda: readiness(url) == (200, []))
        told = await fetched(f"{url}/metrics")
        assert "rts_deaf 0.0" in told
        assert re.search(r'rts_gap_repairs_total\{result="filled"\} [1-9]', told)
