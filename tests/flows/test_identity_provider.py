"""Tokens of an identity provider, whose keys the server fetches from its JWKS address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.helpers.commands import ok
from tests.helpers.js_client import ConnectRefused, JsClient
from tests.helpers.provider import Provider, provider
from tests.helpers.waiting import until
from tests.helpers.world import Process, World, free_port, name, ready


@asynccontextmanager
async def instance(world: World, one: Provider, folder: Path) -> AsyncIterator[str]:
    """The address of a web process without a secret."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = world.stack.environment() | {
        "RTS_PORT": str(port),
        "RTS_JWT_SECRET": "",
        "RTS_JWKS_URL": one.url,
        "RTS_JWKS_REFRESH": "1",
    }
    web = Process("serve", environment, folder / "web.log")
    web.start()
    try:
        await asyncio.to_thread(until, partial(ready, url))
        yield url
    finally:
        await asyncio.to_thread(web.stop)


async def test_users_of_a_provider(world: World, tmp_path: Path) -> None:
    """Its tokens are accepted, those of our secret are not; a new key is fetched, and its user's
    client connects by itself."""
    alice, bob = name("alice"), name("bob")
    async with (
        provider() as one,
        instance(world, one, tmp_path) as url,
        JsClient() as a,
        JsClient() as b,
        JsClient() as stranger,
    ):
        await a.connect(url, one.token(alice, "one"))
        await ok(a, "auth.refresh", {"token": one.token(alice, "one", exp=2_000_000_000)})
        with pytest.raises(ConnectRefused) as refused:
            await stranger.connect(url, world.token(name("eve")))
        assert refused.value.data == {"code": "unauthorized"}
        one.make("new")
        new = one.published.pop("new")
        connecting = asyncio.create_task(b.connect(url, one.token(bob, "new")))
        await b.until(lambda: any(line["kind"] == "disconnect" for line in b.lines))
        assert not connecting.done()
        one.published["new"] = new
        await connecting
        room = {"type": "direct", "members": [alice]}
        room_id = (await ok(b, "room.create", room))["room"]["room_id"]
        await a.wait_for(lambda e: bool(e.get("room_id") == room_id))
