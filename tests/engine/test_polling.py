"""HTTP long-polling (RTS_TRANSPORTS=polling,websocket), for balancers with sticky sessions."""

from __future__ import annotations

import asyncio
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.helpers.commands import ok
from tests.helpers.js_client import JsClient
from tests.helpers.waiting import PATIENCE, until
from tests.helpers.world import World, name

POLLING: dict[str, Any] = {"transports": ["polling"], "upgrade": False}
QUERY = "/socket.io/?EIO=4&transport=polling"


OPEN = {
    "RTS_TRANSPORTS": "polling,websocket",
    "RTS_PING_INTERVAL": "1",
    "RTS_PING_TIMEOUT": "1",
    "RTS_CONNECT_DEADLINE": "1",
}


@pytest.fixture(scope="module")
def polled(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an instance with both transports."""
    with world.shared_instance(tmp_path_factory.mktemp("polled"), **OPEN) as (_, url):
        yield url


@pytest.fixture
def empty(polled: str) -> str:
    """The same, once no connection of an earlier test is left."""
    until(lambda: not held(polled))
    return polled


async def conversation(world: World, a: JsClient, user_id: str) -> None:
    """Create a room and send more messages at once than one POST takes; all arrive."""
    asked = {"type": "direct", "members": [user_id]}
    room_id = (await ok(a, "room.create", asked))["room"]["room_id"]
    sends = [
        a.emit("message.send", {"room_id": room_id, "client_msg_id": f"m{n}", "text": "hi"})
        for n in range(20)
    ]
    answers = await asyncio.gather(*sends)
    assert [answer["ok"] for answer in answers] == [True] * 20


async def test_a_session_over_polling_offers_all_that_a_websocket_does(
    world: World, tmp_path: Path
) -> None:
    """Commands, acks, events, heartbeats, twenty commands in one POST, and a drain."""
    alice, bob = name("alice"), name("bob")
    async with (
        world.instance(tmp_path, **OPEN) as (process, url),
        JsClient() as a,
        world.js(bob) as b,
    ):
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
        await asyncio.to_thread(until, lambda: process.ended)
        assert process.stop() == 0


def ends(client: JsClient) -> list[str]:
    """The reasons for which its connections ended."""
    return [line["reason"] for line in client.lines if line["kind"] == "disconnect"]


async def test_polling_becomes_a_websocket(world: World, empty: str) -> None:
    """socket.io-client's default: it polls first and upgrades, and the session stays."""
    async with JsClient() as a:
        await a.connect(empty, world.token(name("alice")), transports=["polling", "websocket"])
        await conversation(world, a, name("bob"))
        assert await asyncio.to_thread(held, empty) == 1
        assert ends(a) == []


def held(url: str) -> int:
    """The number of /chat sessions of the instance."""
    with urllib.request.urlopen(url + "/metrics", timeout=PATIENCE) as answer:
        text = answer.read().decode()
    told = text.partition('rts_connections{namespace="/chat"} ')[2].split()
    return int(float(told[0])) if told else 0


async def test_a_client_that_stops_polling_is_closed(world: World, empty: str) -> None:
    """A stopped client is noticed by its heartbeat, one that never connects by its deadline."""
    async with JsClient() as sleeper, aiohttp.ClientSession() as http:
        await sleeper.connect(empty, world.token(name("alice")), reconnection=False, **POLLING)
        async with http.get(empty + QUERY) as answer:
            sid = (await answer.text()).split('"')[3]
        assert await asyncio.to_thread(held, empty) == 1
        sleeper.signal(signal.SIGSTOP)
        try:
            await asyncio.to_thread(until, lambda: not held(empty))
        finally:
            sleeper.signal(signal.SIGCONT)
        async with http.get(f"{empty}{QUERY}&sid={sid}") as answer:
            assert answer.status == 400


async def test_a_broken_probe_leaves_the_polling_session(world: World, polled: str) -> None:
    """A WebSocket that sends nonsense is closed; the client goes on polling."""
    async with aiohttp.ClientSession() as http:
        async with http.get(polled + QUERY) as answer:
            sid = (await answer.text()).split('"')[3]
        session = f"{polled}{QUERY}&sid={sid}"
        async with http.ws_connect(session.replace("polling", "websocket")) as probe:
            await probe.send_str("nonsense")
            assert (await probe.receive()).type is aiohttp.WSMsgType.CLOSE
        body = f'40/chat,{{"token":"{world.token(name("alice"))}"}}'
        async with http.post(session, data=body) as posted:
            assert (posted.status, await posted.text()) == (200, "ok")
        async with http.get(session) as answer:
            assert (await answer.text()).startswith("40/chat,")


@pytest.mark.parametrize("body", [b"nonsense", b"", b"\xff\xfe", b"3\x1e" * 1_000])
async def test_a_malformed_body_ends_the_session(polled: str, body: bytes) -> None:
    """It is answered 400, and the next poll is refused."""
    async with aiohttp.ClientSession() as http:
        async with http.get(polled + QUERY) as answer:
            sid = (await answer.text()).split('"')[3]
        async with http.post(f"{polled}{QUERY}&sid={sid}", data=body) as posted:
            assert (posted.status, "packets" in await posted.text()) == (400, True)
        async with http.get(f"{polled}{QUERY}&sid={sid}") as answer:
            assert answer.status == 400


async def test_an_instance_says_that_it_does_not_know_a_session(
    polled: str,
) -> None:
    """Without sticky sessions a poll meets another instance: 400 names the reason."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{polled}{QUERY}&sid=elsewhere") as answer,
    ):
        assert answer.status == 400
        assert "sticky sessions" in await answer.text()
