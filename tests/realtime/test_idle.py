"""What an instance costs Redis while nothing happens, on a real Valkey."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from redis.asyncio import Redis

from rts_server.config import Settings
from rts_server.domain.position import Position
from rts_server.realtime.listener import Listener
from rts_server.realtime.subscription_handlers import SubscriptionHandlers
from rts_server.realtime.subscriptions import Subscriptions
from rts_server.views.snapshots import SnapshotReader
from tests.helpers.waiting import eventually

CANARIES = 20
OF_THE_CANARY = {"publish", "info", "client|list"}
OF_A_NEW_CONNECTION = {"client|setinfo", "hello"}
OF_THE_CHECK_FOR_A_LOSS = {"get"}
"""In the product it is a script that reads one key; here it is `Generations`."""


class Generations:
    """A recovery in which Redis never loses anything."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def losses(self) -> None:
        """Ask Redis once."""
        await self._redis.get("generation")

    async def recover(self, positions_of: Mapping[str, set[Position]]) -> set[str]:
        """Never called."""
        raise NotImplementedError


async def calls(redis: Redis) -> Counter[str]:
    """The commands that Redis has executed, by name."""
    stats = await redis.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()})


@pytest.mark.parametrize("rooms", [10, 2_000])
async def test_an_idle_instance_asks_redis_nothing_about_its_rooms_and_users(
    redis: Redis, valkey_url: str, rooms: int
) -> None:
    """Its canary and its check for a loss are all that it sends, however many there are."""
    settings = Settings(redis_url=valkey_url, canary_interval=0.05, loss_check=0.1)
    subscriptions = Subscriptions(
        settings,
        redis,
        SnapshotReader(redis),
        instance_id="me",
        handlers=SubscriptionHandlers(),
        recovery=Generations(redis),
    )
    subscriptions.start()
    for n in range(rooms):
        listener = Listener(f"user-{n}", lambda packet: None, lambda packet: True)
        await subscriptions.add_listener(listener)
        await subscriptions.join(listener, [f"room-{n}"], {})
        listener.ready.trigger()
    before = await calls(redis)

    async def sung() -> bool:
        return (await calls(redis))["publish"] >= before["publish"] + CANARIES

    await eventually(sung)
    sent = await calls(redis) - before
    await subscriptions.close()
    assert sent["get"] > 1
    assert set(sent) <= OF_THE_CANARY | OF_A_NEW_CONNECTION | OF_THE_CHECK_FOR_A_LOSS
