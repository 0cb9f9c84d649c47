"""A cut of the subscribing connection alone (D5, R8); times are ten times shorter."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from tests.helpers.deaf import Proxies, deaf_instance, readiness
from tests.helpers.rooms import all_have, burst, durable, group, positions, send
from tests.helpers.waiting import promised, until
from tests.helpers.world import World, fetched, name


async def test_cut_link_shows_as_deaf_and_is_repaired(
    pair: World, tmp_path_factory: Any, full: bool
) -> None:
    """Readiness says deaf while commands go on; afterwards events continue without a gap."""
    async with deaf_instance(pair, tmp_path_factory, full) as (proxies, url):
        await cut_and_heal(pair, proxies, url, full)


async def test_removal_inside_the_cut(pair: World, tmp_path_factory: Any, full: bool) -> None:
    """After 600 events and a removal during the cut the removed user gets nothing behind it."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with (
        deaf_instance(pair, tmp_path_factory, full) as (proxies, _),
        pair.js(alice) as a,
        pair.raw(alice) as writer,
        pair.js(bob, instance=2) as b,
        pair.js(carol, instance=2) as c,
    ):
        room_id = await group(a, [bob, carol])
        await b.wait_for(lambda e: bool(e["type"] == "room.added"))
        await c.wait_for(lambda e: bool(e["type"] == "room.added"))
        proxies.cut()
        await burst(writer, room_id, 300, "x")
        removed = await a.emit("member.remove", {"room_id": room_id, "user_ids": [bob]})
        assert removed["ok"], removed
        await burst(writer, room_id, 300, "y")
        proxies.heal()
        await all_have([a, c], room_id, 604)
        assert positions(c, room_id) == [(1, offset) for offset in range(3, 605)]
        await b.wait_for(lambda e: bool(e["type"] == "room.removed"))
        assert all(position <= (1, 303) for position in positions(b, room_id))


def is_deaf(url: str, proxies: Proxies) -> bool:
    """Return whether an instance says that it is deaf, and to whom of several."""
    to = [f" to 127.0.0.1:{one.port}" for one in proxies.each] if len(proxies.each) > 1 else [""]
    status, reasons = readiness(url)
    return (status, sorted(reasons)) == (503, sorted(f"deaf{one}" for one in to))


async def cut_and_heal(pair: World, proxies: Proxies, url: str, full: bool) -> None:
    """The steps of the test, with the third instance behind the proxies."""
    alice, bob = name("alice"), name("bob")
    async with pair.js(alice) as a, pair.js(bob, instance=2) as b:
        room_id = await group(a, [bob])
        await b.wait_for(lambda e: bool(e["type"] == "room.added"))
        await send(a, room_id, "before")
        await all_have([b], room_id, 3)
        proxies.cut()
        with promised(20 if full else 5):
            took = await asyncio.to_thread(until, lambda: is_deaf(url, proxies))
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
        proxies.heal()
        with promised(5):
            await all_have([a, b], room_id, 34)
        assert positions(b, room_id) == [(1, offset) for offset in range(3, 35)]
        assert len(durable(a, room_id)) == 32
        with promised(20 if full else 5):
            await asyncio.to_thread(until, lambda: readiness(url) == (200, []))
        told = await fetched(f"{url}/metrics")
        assert "rts_deaf 0.0" in told
        assert re.search(r'rts_gap_repairs_total\{result="filled"\} [1-9]', told)
