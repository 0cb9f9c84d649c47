"""The end of a connection by its token or its heartbeat, and the client's reaction (A3)."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from tests.helpers.commands import ok
from tests.helpers.js_client import ConnectRefused, JsClient
from tests.helpers.rooms import group
from tests.helpers.waiting import promised
from tests.helpers.world import World, name

GRACE = 1


async def opened(world: World, client: JsClient, token: str) -> None:
    """A connected client with an open session."""
    await client.connect(world.urls[0], token)
    await client.wait_for(lambda e: bool(e["type"] == "session.ready"))


def kinds(client: JsClient) -> list[str]:
    """The events of the connection, in order."""
    return [line["kind"] for line in client.lines if line["kind"] not in ("event", "ack")]


async def test_an_expiring_token_closes_its_connection(pair: World) -> None:
    """It is closed with a reason some time after `exp`; the same token is then refused for good."""
    token = pair.token(name("alice"), lifetime=1)
    async with JsClient() as client:
        await opened(pair, client, token)
        with promised(1 + GRACE + 1):
            closing = await client.wait_for(lambda e: bool(e["type"] == "session.closing"))
        assert closing["data"]["code"] == "token_expired"
        assert closing["data"]["reconnect"]
        assert closing["data"]["retry_after_ms"] > 0
        await client.until(lambda: "connect_error" in kinds(client))
        assert kinds(client) == ["connect", "disconnect", "connect_error"]
        error = client.lines[-1]
        assert (error["data"], error["final"]) == ({"code": "token_expired"}, True)


async def test_a_newer_token_keeps_the_connection(pair: World) -> None:
    """auth.refresh: the newest token counts; an older one or another user's does not."""
    alice = name("alice")
    async with JsClient() as client:
        await opened(pair, client, pair.token(alice, lifetime=1))
        older = pair.token(alice, lifetime=1)
        await asyncio.sleep(1.1)  # `iat` is in seconds: only a later one is newer
        newer = pair.token(alice, lifetime=3600)
        expires = (await ok(client, "auth.refresh", {"token": newer}))["expires_at"]
        assert (await ok(client, "auth.refresh", {"token": newer}))["expires_at"] == expires
        for token, code in (
            (pair.token(name("bob")), "forbidden"),
            ("nonsense", "unauthorized"),
        ):
            answer = await client.emit("auth.refresh", {"token": token})
            assert answer["error"]["code"] == code
        assert (await ok(client, "auth.refresh", {"token": older}))["expires_at"] == expires
        await asyncio.sleep(GRACE + 1)  # the first token is over by now
        assert (await ok(client, "auth.refresh", {"token": newer}))["expires_at"] == expires
        assert kinds(client) == ["connect"]


async def test_an_expired_token_never_connects(pair: World) -> None:
    """After the grace CONNECT is refused for good."""
    with pytest.raises(ConnectRefused) as refused:
        async with JsClient() as client:
            await client.connect(pair.urls[0], pair.token(name("alice"), lifetime=-GRACE - 1))
    assert refused.value.data == {"code": "token_expired"}


async def test_a_client_that_sends_commands_but_no_pong_is_closed(pair: World) -> None:
    """A client that sends commands but no PONG is closed, and nothing of it is left."""
    async with pair.raw(name("alice")) as talker:
        talker.answers_pings = False
        began = time.monotonic()
        while not talker.closed:
            with contextlib.suppress(ConnectionError):
                await talker.send('42/chat,["room.list",{}]')
            await asyncio.sleep(0.1)
        assert time.monotonic() - began > 2


async def test_a_device_that_was_away_gets_room_state_at_connect(pair: World) -> None:
    """Mute and hide are not in the room's log: room.state has them at connect."""
    alice, bob = name("alice"), name("bob")
    async with pair.js(alice) as a, pair.js(bob) as laptop:
        room_id = await group(a, [bob])
        await laptop.wait_for(lambda e: bool(e["type"] == "room.added"))
        async with pair.js(bob, instance=1, cursors={room_id: [1, 2]}) as phone:
            await ok(phone, "room.list", {})
            assert phone.of_type("room.state") == []
        await ok(laptop, "room.mute", {"room_id": room_id, "muted": True})
        async with pair.js(bob, instance=1, cursors={room_id: [1, 2]}) as phone:
            state = await phone.wait_for(lambda e: bool(e["type"] == "room.state"))
            assert state["data"] == {"muted": True, "hidden": False, "role": "member"}
            assert [e["type"] for e in phone.events[:2]] == ["session.ready", "room.state"]


async def test_without_a_namespace_no_connection_stays(pair: World) -> None:
    """A connection that left its last namespace is closed like one that never joined."""
    async with pair.raw(name("alice")) as leaver:
        await leaver.send("41/chat,")
        await leaver.until(lambda: leaver.closed)
