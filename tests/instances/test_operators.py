"""Operators' commands for instances."""

from __future__ import annotations

import asyncio

from tests.helpers.rest import Rest, presence_when_online
from tests.helpers.waiting import until
from tests.helpers.world import World, name, ready


async def test_an_instance_is_drained(pair: World) -> None:
    """It closes its connections and ends; the other instance goes on."""
    alice, bob = name("alice"), name("bob")
    ops = pair.token("ops", scope="operator")
    async with Rest(pair.urls[0], ops) as operator:
        assert await operator.refused("POST", "/v1/instances/nowhere.1:drain") == "not_found"
        async with pair.js(alice, 0) as here, pair.js(bob, 1) as there:
            (at,) = (await presence_when_online(operator, bob))["connections"]
            known = (await operator.ok("GET", "/v1/instances"))["instances"]
            assert at["instance_id"] in [one["instance_id"] for one in known]
            await operator.ok("POST", f"/v1/instances/{at['instance_id']}:drain")
            closing = await there.wait_for(lambda e: bool(e["type"] == "session.closing"))
            assert closing["data"]["code"] == "draining"
            there.disconnect()
            assert here.of_type("session.closing") == []
        await asyncio.to_thread(until, lambda: pair.webs[1].ended)
        assert pair.webs[1].stop() == 0
        assert ready(pair.urls[0])
    pair.webs[1].start()
    await asyncio.to_thread(until, lambda: ready(pair.urls[1]))
