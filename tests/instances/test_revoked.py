"""A revoked token never connects again, on any instance, whatever Redis loses (A3)."""

from __future__ import annotations

import asyncio

import pytest

from tests.helpers.js_client import ConnectRefused, JsClient
from tests.helpers.presence import all_online, states
from tests.helpers.raw import Raw
from tests.helpers.rest import Rest
from tests.helpers.rooms import group
from tests.helpers.waiting import promised, until
from tests.helpers.world import World, name, ready
from tests.helpers.world_redis import wipe


async def refused(world: World, instance: int, token: str) -> bool:
    """Return whether CONNECT is refused for good."""
    async with JsClient() as client:
        try:
            await client.connect(world.urls[instance], token)
        except ConnectRefused as refusal:
            return bool(refusal.data == {"code": "unauthorized"})
    return False


async def test_a_revocation_holds_on_every_instance_and_after_a_loss_of_redis(pair: World) -> None:
    """Both instances close the connections within 5 s, and refuse the token after a loss of Redis
    and a restart."""
    eve = name("eve")
    token = pair.token(eve)
    async with (
        pair.js(eve, 0) as here,
        pair.js(eve, 1) as there,
        Rest(pair.urls[0], pair.token("ops", scope="operator")) as operator,
    ):
        await operator.ok("POST", f"/v1/users/{eve}:revoke")
        for client in (here, there):
            with promised(5):
                closing = await client.wait_for(lambda e: bool(e["type"] == "session.closing"))
            assert closing["data"]["code"] == "revoked"
    assert await refused(pair, 0, token)
    assert await refused(pair, 1, token)
    wipe(pair)
    assert await refused(pair, 0, token)
    pair.webs[1].kill()
    pair.webs[1].start()
    await asyncio.to_thread(until, lambda: ready(pair.urls[1]))
    assert await refused(pair, 1, token)


@pytest.mark.parametrize("verb", ["revoke", "disconnect"])
async def test_a_revoked_user_outside_chat_is_closed_and_goes_offline(
    pair: World, verb: str
) -> None:
    """A connection of /presence or /receipts alone is closed, and watchers see the user offline."""
    alice, eve = name("alice"), name("eve")
    token = pair.token(eve)
    async with (
        pair.js(alice, 0) as a,
        Rest(pair.urls[0], pair.token("ops", scope="operator")) as operator,
    ):
        await group(a, [eve])
        await a.join("/presence")
        # Who joins nothing within the connect deadline is dropped: so each joins at once.
        async with Raw(pair.urls[0]) as here:
            await here.join(token, "/receipts")
            async with Raw(pair.urls[1]) as there:
                await there.join(token, "/presence")
                await all_online(a, eve)
                await operator.ok("POST", f"/v1/users/{eve}:{verb}")
                for client, namespace in ((here, "/receipts"), (there, "/presence")):
                    await client.until(lambda client=client: client.closed)
                    assert f"41{namespace}," in client.packets
                await a.until(lambda: states(a, eve) == ["offline"])
