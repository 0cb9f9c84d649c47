"""The drain of the instances of an environment that is replaced."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from scripts.eb.calls import DeploymentFailed
from scripts.eb.drain import InstanceDrainer
from tests.helpers.raw import Raw
from tests.helpers.waiting import until
from tests.helpers.world import World, name


async def test_old_instances_are_drained_over_rest(world: World, tmp_path: Path) -> None:
    """The drain waits until the old instance has no connections; other instances keep theirs."""
    operator = world.token("ops", scope="operator")
    drainer = InstanceDrainer(world.urls[0], operator, time.sleep)
    before = await asyncio.to_thread(drainer.connections)
    more = {"RTS_DRAIN_SPREAD": "0", "RTS_PRESENCE_LEASE": "1"}
    async with (
        world.instance(tmp_path, **more) as (_, url),
        Raw(url) as leaving,
        world.raw(name("bob")) as staying,
    ):
        await leaving.connect(world.token(name("alice")))
        (old,) = (await asyncio.to_thread(drainer.connections)).keys() - before.keys()
        await asyncio.to_thread(until, lambda: drainer.connections()[old])
        await asyncio.to_thread(drainer.drain, [old, "gone"])
        assert leaving.closed
        assert [e["data"]["code"] for e in leaving.events if e["type"] == "session.closing"] == [
            "draining"
        ]
        assert not staying.closed
    with pytest.raises(DeploymentFailed, match="401"):
        await asyncio.to_thread(InstanceDrainer(world.urls[0], "nonsense", time.sleep).connections)
