"""Background loops whose connections to Redis break in the handshake, or that always fail."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.helpers.deaf import deaf_instance, readiness
from tests.helpers.hangups import hanging_up
from tests.helpers.pair import FAST
from tests.helpers.presence import all_online
from tests.helpers.rest import Rest
from tests.helpers.rooms import group
from tests.helpers.waiting import eventually, until
from tests.helpers.world import World, name

HANG_UPS = 150


async def test_every_loop_survives_connections_that_end_in_their_handshake(
    pair: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Revocations, connection counts and the lease go on."""
    alice, bob, eve = name("alice"), name("bob"), name("eve")
    async with (
        deaf_instance(pair, tmp_path_factory, False) as (proxies, address),
        Rest(pair.urls[0], pair.token("ops", scope="operator")) as operator,
        pair.js(alice) as a,
        pair.js(eve, 2) as here,
    ):
        await group(a, [bob])
        await a.join("/presence")
        for proxy in proxies.each:
            proxy.leave()
        with ExitStack() as stack:
            hung = [
                stack.enter_context(hanging_up(replies=0, reset=True, port=proxy.port))
                for proxy in proxies.each
            ]
            await eventually(lambda: sum(one.count for one in hung) > HANG_UPS)
        for proxy in proxies.each:
            await proxy.listen()
        await asyncio.to_thread(until, lambda: readiness(address) == (200, []))
        await operator.ok("POST", f"/v1/users/{eve}:revoke")
        closing = await here.wait_for(lambda e: bool(e["type"] == "session.closing"))
        assert closing["data"]["code"] in ("revoked", "lease_lost")
        async with pair.js(bob, 2):
            await all_online(a, bob)
        await asyncio.to_thread(until, lambda: readiness(address) == (200, []))


async def test_a_loop_that_only_fails_takes_its_instance_out_of_rotation(
    pair: World, tmp_path: Path
) -> None:
    """Such an instance would not close the connections of a revoked user; others do."""
    doomed = name("doomed")
    async with (
        pair.instance(tmp_path, "revocations_fail", **FAST) as (process, address),
        Rest(pair.urls[0], pair.token("ops", scope="operator")) as operator,
    ):
        await operator.ok("POST", f"/v1/users/{doomed}:revoke")
        await asyncio.to_thread(until, lambda: readiness(address)[1] == ["revocations fails"])
        assert readiness(address)[0] == 503
        assert readiness(pair.urls[0]) == (200, [])
        assert process.log_lines("loop failed")[0]["loop"] == "revocations"
