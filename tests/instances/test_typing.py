"""Typing indicators of real clients on two instances: E4, five times faster unless --full."""

from __future__ import annotations

import asyncio
from typing import Any

from rts_server import keys
from rts_server.rooms.typing import BATCH_DELAY_SECONDS
from tests.helpers.commands import ok
from tests.helpers.js_client import JsClient
from tests.helpers.presence import here
from tests.helpers.rooms import group
from tests.helpers.waiting import promised, until
from tests.helpers.world import World, name, ready
from tests.helpers.world_redis import client_of


def lists(client: JsClient) -> list[list[str]]:
    """The lists of typing users that a client received, in order."""
    return [event["data"]["user_ids"] for event in client.of_type("typing.changed")]


async def test_the_list_of_typing_users_is_sent_whole_and_expires(pair: World, full: bool) -> None:
    """E4: a name expires within 8 s (1.6 s here) of its last start, a stop is immediate."""
    alice, bob, carol = (name(who) for who in ("alice", "bob", "carol"))
    async with here(pair, alice, 0) as a, here(pair, bob, 1) as b, here(pair, carol, 1) as c:
        at = {"room_id": await group(a, [bob, carol])}
        for one in (b, c):
            await one.wait_for(lambda e: bool(e["type"] == "room.added"))
        await ok(b, "typing.start", at)
        await ok(c, "typing.start", at)
        await a.until(lambda: lists(a)[-1:] == [[bob, carol]])
        await ok(c, "typing.stop", at)
        await a.until(lambda: lists(a)[-1:] == [[bob]])
        await ok(b, "typing.start", at)
        with promised(8.5 if full else 2.1):
            await a.until(lambda: lists(a)[-1:] == [[]])
        await b.until(lambda: lists(b)[-1:] == [[]])
        assert a.of_type("typing.changed")[-1]["data"]["count"] == 0


async def test_typing_ends_although_its_instance_died(pair: World, full: bool) -> None:
    """The typist's instance dies and Redis is emptied: each instance expires the name itself."""
    alice, bob = name("alice"), name("bob")
    async with here(pair, alice, 1) as a, here(pair, bob, 0, reconnection=False) as b:
        at = {"room_id": await group(a, [bob])}
        await b.wait_for(lambda e: bool(e["type"] == "room.added"))
        await ok(b, "typing.start", at)
        await a.until(lambda: lists(a) == [[bob]])
        pair.webs[0].kill()
        try:
            typing = keys.room(at["room_id"]).typing
            with client_of(pair, typing) as client:
                client.delete(typing)
            await a.until(lambda: lists(a) == [[bob], []], 9 if full else 3)
        finally:
            pair.webs[0].start()
            await asyncio.to_thread(until, lambda: ready(pair.urls[0]))


async def test_many_typing_starts_are_few_events(pair: World) -> None:
    """At most one list in an interval and none without a change; nothing is stored."""
    alice, bob = name("alice"), name("bob")
    async with here(pair, alice, 0) as a, here(pair, bob, 1) as b:
        at = {"room_id": await group(a, [bob])}
        await b.wait_for(lambda e: bool(e["type"] == "room.added"))
        for _ in range(60):
            await ok(b, "typing.start", at)
        await a.until(lambda: lists(a) == [[bob]])
        for n in range(40):
            await ok(b, "typing.start" if n % 2 else "typing.stop", at)
        await a.until(lambda: lists(a)[-1:] == [[]])
        times = [event["ts"] for event in a.of_type("typing.changed")]
        assert len(times) < 20
        assert pair.messages(at["room_id"]) == []


async def test_a_removed_member_is_no_longer_typing(pair: World) -> None:
    """A removed user leaves the list and gets no list behind the removal."""
    alice, bob, carol = (name(who) for who in ("alice", "bob", "carol"))
    async with here(pair, alice, 0) as a, here(pair, bob, 1) as b, here(pair, carol, 1) as c:
        at: dict[str, Any] = {"room_id": await group(a, [bob, carol])}
        for one in (b, c):
            await one.wait_for(lambda e: bool(e["type"] == "room.added"))
        await ok(b, "typing.start", at)
        await a.until(lambda: lists(a) == [[bob]])
        await ok(a, "member.remove", at | {"user_ids": [bob]})
        await a.until(lambda: lists(a) == [[bob], []])
        heard = len(lists(b))
        await ok(c, "typing.start", at)
        await a.until(lambda: lists(a)[-1:] == [[carol]])
        answer = await b.emit("typing.start", at)
        assert answer["error"]["code"] == "not_found"
        assert len(lists(b)) == heard


async def test_typing_is_not_published_in_large_rooms(pair: World) -> None:
    """Above 100 members typing is acked and not published."""
    alice, bob = name("alice"), name("bob")
    async with here(pair, alice, 0) as a, here(pair, bob, 1) as b:
        at = {"room_id": await group(a, [bob])}
        many = [f"{name('m')}-{n}" for n in range(99)]
        await ok(a, "member.add", at | {"user_ids": many})
        await b.wait_for(lambda e: bool(e["type"] == "room.added"))
        await ok(b, "typing.start", at)
        await asyncio.sleep(5 * BATCH_DELAY_SECONDS)  # starts are gathered for a moment
        await ok(a, "member.remove", at | {"user_ids": many[:1]})
        await ok(a, "typing.start", at)
        await b.until(lambda: lists(b)[:1] == [[alice]])
