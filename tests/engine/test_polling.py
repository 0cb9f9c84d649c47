"""RTS_TRANSPORTS=polling,websocket: the same sessions over HTTP, for balancers that are sticky."""

from __future__ import annotations

import asyncio
import signal
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.flows.test_commands import ok
from tests.js_client import JsClient
from tests.world import Process, World, name, until

POLLING: dict[str, Any] = {"transports": ["polling"], "upgrade": False}
QUERY = "/socket.io/?EIO=4&transport=polling"


@pytest.fixture
async def polled(world: World, tmp_path: Path) -> AsyncIterator[tuple[Process, str]]:
    """An instance that takes both transports."""
    async with world.instance(
        tmp_path,
        RTS_TRANSPORTS="polling,websocket",
        RTS_PING_INTERVAL="1",
        RTS_PING_TIMEOUT="1",
        RTS_CONNECT_DEADLINE="1",
    ) as running:
        yield running


async def conversation(world: World, a: JsClient, user_id: str) -> None:
    """A room, then more messages in one tick than the library takes in one POST; all are heard."""
    asked = {"type": "direct", "members": [user_id]}
    room_id = (await ok(a, "room.create", asked))["room"]["room_id"]
    sends = [
        a.emit("message.send", {"room_id": room_id, "client_msg_id": f"m{n}", "text": "hi"})
        for n in range(20)
    ]
    answers = await asyncio.gather(*sends)
    assert [answer["ok"] for answer in answers] == [True] * 20


async def test_a_session_over_polling_is_a_session(
    world: World, polled: tuple[Process, str]
) -> None:
    """Commands, acks, events, heartbeats; twenty commands in one POST; the end by a drain."""
    process, url = polled
    alice, bob = name("alice"), name("bob")
    async with JsClient() as a, world.js(bob) as b:
        await a.connect(url, world.token(alice), reconnection=False, **POLLING)
        await conversation(world, a, bob)
        await b.until(lambda: len(b.of_type("message.new")) == 20)
        await asyncio.sleep(3.2)  # three heartbeats: each would end it
        assert (await a.emit("room.list", {}))["ok"]
        process.signal(signal.SIGTERM)
        closing = await a.wait_for(lambda e: bool(e["type"] == "session.closing"))
        assert closing["data"]["code"] == "draining"
        await a.until(lambda: bool(ends(a)))
        assert ends(a) == ["transport close"]
        await asyncio.to_thread(until, lambda: process.ended, 10)
        assert process.stop() == 0


def ends(client: JsClient) -> list[str]:
    """Why its connections ended."""
    return [line["reason"] for line in client.lines if line["kind"] == "disconnect"]


async def test_polling_becomes_a_websocket(world: World, polled: tuple[Process, str]) -> None:
    """The stock client's default way: it starts by polling and upgrades, the session stays."""
    _, url = polled
    async with JsClient() as a:
        await a.connect(url, world.token(name("alice")), transports=["polling", "websocket"])
        await conversation(world, a, name("bob"))
        assert await asyncio.to_thread(held, url) == 1
        assert ends(a) == []


def held(url: str) -> int:
    """How many sessions of /chat the instance counts."""
    with urllib.request.urlopen(url + "/metrics", timeout=2) as answer:
        text = answer.read().decode()
    return int(float(text.partition('rts_connections{namespace="/chat"} ')[2].split()[0]))


async def test_who_stops_polling_is_gone(world: World, polled: tuple[Process, str]) -> None:
    """A stopped client is noticed by its heartbeat; one that never connected by its deadline."""
    _, url = polled
    async with JsClient() as sleeper, aiohttp.ClientSession() as http:
        await sleeper.connect(url, world.token(name("alice")), reconnection=False, **POLLING)
        async with http.get(url + QUERY) as answer:
            sid = (await answer.text()).split('"')[3]
        assert await asyncio.to_thread(held, url) == 1
        sleeper.signal(signal.SIGSTOP)
        try:
            await asyncio.to_thread(until, lambda: not held(url), 8)
        finally:
            sleeper.signal(signal.SIGCONT)
        async with http.get(f"{url}{QUERY}&sid={sid}") as answer:
            assert answer.status == 400


async def test_a_broken_probe_leaves_the_polling_session(
    world: World, polled: tuple[Process, str]
) -> None:
    """A WebSocket that says nothing sensible is closed alone: the client goes on polling."""
    _, url = polled
    async with aiohttp.ClientSession() as http:
        async with http.get(url + QUERY) as answer:
            sid = (await answer.text()).split('"')[3]
        session = f"{url}{QUERY}&sid={sid}"
        async with http.ws_connect(session.replace("polling", "websocket")) as probe:
            await probe.send_str("nonsense")
            assert (await probe.receive()).type is aiohttp.WSMsgType.CLOSE
        body = f'40/chat,{{"token":"{world.token(name("alice"))}"}}'
        async with http.post(session, data=body) as posted:
            assert (posted.status, await posted.text()) == (200, "OK")
        async with http.get(session) as answer:
            assert (await answer.text()).startswith("40/chat,")


@pytest.mark.parametrize("body", [b"nonsense", b"\xff\xfe", b"3\x1e" * 1_000, b"4" + b"x" * 70_000])
async def test_a_body_that_is_no_packets_ends_the_session(
    polled: tuple[Process, str], body: bytes
) -> None:
    """400, and the next poll is refused: as a WebSocket is closed for a frame that is none."""
    _, url = polled
    async with aiohttp.ClientSession() as http:
        async with http.get(url + QUERY) as answer:
            sid = (await answer.text()).split('"')[3]
        async with http.post(f"{url}{QUERY}&sid={sid}", data=body) as posted:
            assert (posted.status, "packets" in await posted.text()) == (400, True)
        async with http.get(f"{url}{QUERY}&sid={sid}") as answer:
            assert answer.status == 400


async def test_an_instance_says_that_it_does_not_know_a_session(
    polled: tuple[Process, str],
) -> None:
    """Without stickiness a poll meets an instance that cannot know it: 400 names the reason."""
    _, url = polled
    async with aiohttp.ClientSession() as http, http.get(f"{url}{QUERY}&sid=elsewhere") as answer:
        assert answer.status == 400
        assert "sticky sessions" in await answer.text()
