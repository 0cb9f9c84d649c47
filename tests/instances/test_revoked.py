"""Promise A3 on two instances: a revoked token never connects again, whatever Redis lost."""

from __future__ import annotations

import asyncio

import pytest
from redis import Redis

from tests.js_client import ConnectRefused, JsClient
from tests.rest.client import Rest
from tests.world import World, name, ready, until

pytestmark = pytest.mark.timeout(90)


async def refused(world: World, instance: int, token: str) -> bool:
    """Whether CONNECT is refused for good."""
    async with JsClient() as client:
        try:
            await client.connect(world.urls[instance], token)
        except ConnectRefused as refusal:
            return bool(refusal.data == {"code": "unauthorized"})
    return False


async def test_revoked_is_revoked_everywhere_and_for_good(pair: World) -> None:
    """Both instances close him within 5 s; Redis emptied, an instance begun anew: still refused."""
    eve = name("eve")
    token = pair.token(eve)
    async with (
        pair.js(eve, 0) as here,
        pair.js(eve, 1) as there,
        Rest(pair.urls[0], pair.token("ops", scope="operator")) as operator,
    ):
        await operator.ok("POST", f"/v1/users/{eve}:revoke")
        for client in (here, there):
            closing = await client.wait_for(lambda e: bool(e["type"] == "session.closing"), 5)
            assert closing["data"]["code"] == "revoked"
    assert await refused(pair, 0, token)
    assert await refused(pair, 1, token)
    with Redis.from_url(pair.stack.settings.redis_url) as redis:
        redis.flushall()
    assert await refused(pair, 0, token)
    pair.webs[1].kill()
    pair.webs[1].start()
    await asyncio.to_thread(until, lambda: ready(pair.urls[1]), 15)
    assert await refused(pair, 1, token)
