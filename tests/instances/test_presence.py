"""Presence of real clients on two instances: E1 to E3, five times faster unless --full."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import AsyncExitStack

from tests.helpers.commands import ok
from tests.helpers.js_client import JsClient
from tests.helpers.presence import all_online, here, states, watched
from tests.helpers.rooms import group, send
from tests.helpers.waiting import promised, until
from tests.helpers.world import World, name, ready
from tests.helpers.world_redis import channels, listeners, wipe


def patience(full: bool) -> float:
    """E1: lease + sweep + grace, and a second for the clients."""
    return 36.0 if full else 8.0


async def test_a_killed_instance_leaves_no_ghosts(pair: World, full: bool) -> None:
    """E1: its users go offline once within 35 s (7 s here); those connected elsewhere do not."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with AsyncExitStack() as stack:
        a = await stack.enter_async_context(here(pair, alice, 1))
        b = await stack.enter_async_context(here(pair, bob, 0, reconnection=False))
        await stack.enter_async_context(here(pair, carol, 0, reconnection=False))
        await stack.enter_async_context(here(pair, carol, 1))
        await group(a, [bob, carol])
        await all_online(a, bob, carol, alice)
        pair.webs[0].kill()
        try:
            with promised(patience(full)):
                await a.until(lambda: states(a, bob) == ["offline"])
        finally:
            pair.webs[0].start()
            await asyncio.to_thread(until, lambda: ready(pair.urls[0]))
        answer = await ok(a, "presence.query", {"user_ids": [bob]})
        assert answer["presences"][0]["state"] == "offline"
        assert (states(a, bob), states(a, carol)) == (["offline"], [])
        assert b.lines[-1]["kind"] == "disconnect"


async def test_a_paused_instance_brings_no_offline_user_back(pair: World, full: bool) -> None:
    """After SIGSTOP beyond the lease its connections are closed and its users stay offline."""
    alice, bob = name("alice"), name("bob")
    async with (
        here(pair, alice, 1) as a,
        pair.raw(bob, instance=0) as b,
    ):
        await group(a, [bob])
        await all_online(a, bob)
        pair.webs[0].signal(signal.SIGSTOP)
        try:
            with promised(patience(full)):
                await a.until(lambda: states(a, bob) == ["offline"])
        finally:
            pair.webs[0].signal(signal.SIGCONT)
        await b.until(lambda: b.closed)
        async with pair.js(name("dave"), instance=0):  # it takes part again
            await asyncio.sleep(1)  # that nothing comes is what is tested
        assert states(a, bob) == ["offline"]


async def test_reconnects_within_the_grace_are_no_events(pair: World, full: bool) -> None:
    """E2: a thousand (a hundred here) reconnects on either instance cause no event."""
    alice, bob = name("alice"), name("bob")
    async with here(pair, alice, 1) as a:
        await group(a, [bob])
        assert await watched(a, bob) == {bob: "offline"}
        times = 1000 if full else 100
        for n in range(times):
            async with pair.raw(bob, instance=n % 2):
                if n == 0:
                    await a.until(lambda: states(a, bob) == ["online"])
        async with pair.raw(bob, instance=0):
            assert states(a, bob) == ["online"]
            print(f"\nE2: {times} reconnects, {len(states(a, bob)) - 1} events")


async def test_presence_is_right_again_after_a_flush_under_load(pair: World, full: bool) -> None:
    """E3: connected users are online again within 10 s, disconnected ones offline within 30 s."""
    alice, bob, carol, dave = (name(who) for who in ("alice", "bob", "carol", "dave"))
    async with here(pair, alice, 1) as a, here(pair, bob, 0) as b, here(pair, dave, 0) as d:
        room_id = await group(a, [bob, carol, dave])
        async with here(pair, carol, 0):
            await all_online(a, bob, carol, dave)
        await d.wait_for(lambda e: bool(e["type"] == "room.added"))
        load = asyncio.create_task(talk(b, room_id, 40))
        wipe(pair)
        known: dict[str, str] = {}
        with promised(31 if full else 8):
            with promised(10 if full else 4):
                while known.get(bob) != "online" or known.get(dave) != "online":
                    answer = await a.emit("presence.query", {"user_ids": [bob, dave]})
                    found = answer["data"]["presences"] if answer["ok"] else []
                    known = {one["user_id"]: one.get("state", "") for one in found}
                    await asyncio.sleep(0.05)
            await a.until(lambda: states(a, carol) == ["offline"])
        await load
        assert (states(a, bob), states(a, dave)) == ([], [])


async def talk(client: JsClient, room_id: str, count: int) -> None:
    """Send messages one after the other, whatever becomes of them."""
    for n in range(count):
        await send(client, room_id, f"m{n}")


async def test_strangers_see_nothing_and_a_watch_ends_with_the_last_room(pair: World) -> None:
    """not_found for unknown users and for those without a shared room; any shared room keeps a
    watch."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with here(pair, alice, 0) as a, here(pair, bob, 1) as b, here(pair, carol, 1) as c:
        strangers = await watched(c, alice, "nobody")
        assert strangers == {alice: "not_found", "nobody": "not_found"}
        await all_online(c, carol)
        rooms = [await group(a, [bob, carol]), await group(a, [bob, carol])]
        await all_online(c, alice, bob)
        out = {"user_ids": [carol]}
        await ok(a, "member.remove", out | {"room_id": rooms[0]})
        await ok(b, "presence.set", {"state": "away", "status_text": "☕ tea"})
        told = await c.wait_for(lambda e: bool(e["type"] == "presence.changed"))
        assert told["data"]["status_text"] == "☕ tea"
        await ok(a, "member.remove", out | {"room_id": rooms[1]})
        await ok(b, "presence.set", {"state": "online", "status_text": None})
        await ok(c, "presence.set", {"state": "away"})
        answer = await ok(c, "presence.query", {"user_ids": [bob, carol]})
        assert answer["presences"][0] == {"user_id": bob, "error": "not_found"}
        assert answer["presences"][1]["state"] == "away"
        assert states(c, bob) == ["away"]


async def test_a_watch_asked_for_just_before_the_end_is_not_kept(pair: World) -> None:
    """A command that outlives its socket leaves no subscription."""
    alice, bob = name("alice"), name("bob")
    async with pair.js(bob) as b:
        await group(b, [alice])
        async with pair.raw(alice, 1) as a:
            await a.join(pair.token(alice), "/presence")
            for n in range(30):
                await a.send(
                    f"42/presence,{n}" + json.dumps(["presence.watch", {"user_ids": [bob]}])
                )
        await asyncio.sleep(1)  # that nothing comes back is what is tested
        watched = map(channels(pair).presence, (alice, bob))
        assert {listeners(pair, channel) for channel in watched} == {0}


async def test_bad_presence_is_refused(pair: World) -> None:
    """Sizes and values outside the protocol are refused."""
    async with here(pair, name("alice"), 0) as a:
        for event, data in (
            ("presence.set", {"state": "offline"}),
            ("presence.set", {"state": "online", "status_text": "x" * 141}),
            ("presence.set", {"state": "online", "status_text": "two\nlines"}),
            ("presence.query", {"user_ids": ["x"] * 101}),
            ("presence.watch", {"user_ids": [f"u{n}" for n in range(501)]}),
            ("typing.start", {}),
        ):
            answer = await a.emit(event, data)
            assert answer["error"]["code"] == "invalid_param", (event, answer)
        answer = await a.emit("typing.start", {"room_id": "of-nobody"})
        assert answer["error"]["code"] == "not_found"
