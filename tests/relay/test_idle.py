"""What a relay costs Redis while nothing happens, on a real Valkey."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.relay import cursor_flush, outbox_reader, quiet_heads, relay
from rts_server.relay.turns import PARTITIONS_PER_TURN
from tests.helpers.post import Post
from tests.helpers.relays import only_shard, relay_on
from tests.helpers.waiting import eventually
from tests.relay.outbox_log import OutboxLog

RENEWALS = 10
LEASE_COMMANDS = 2 * keys.LEASE_GROUPS + 8
"""A look at each group's lease and its renewal, and what the script does once."""
OTHERS = 100
"""The other loops run as often as the renewal here. Two of them look at a few partitions."""


async def calls(redis: Redis) -> Counter[str]:
    """The commands that Redis has executed, by name, those inside scripts included."""
    stats = await redis.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()})


@pytest.mark.parametrize("rooms", [10, 2_000])
async def test_an_idle_relay_costs_the_same_however_many_rooms_there_are(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, rooms: int
) -> None:
    """It renews its leases and looks at a few partitions; no loop goes over all of them."""
    post = Post()
    monkeypatch.setattr(relay, "SqsEndpoint", lambda *_: post)
    monkeypatch.setattr(quiet_heads, "QUIET_SECONDS", 0.1)
    for loop, name in ((outbox_reader, "TURN_SECONDS"), (cursor_flush, "FLUSH_SECONDS")):
        monkeypatch.setattr(loop, name, 0.1)
    log = OutboxLog(redis)
    for n in range(rooms):
        await log.add(f"room-{n}")
    async with relay_on(redis, relay_lease=0.5) as one:  # renewed every 0.1 s
        running = asyncio.create_task(one.run_forever())
        await eventually(lambda: len(post.sent) == rooms)
        await eventually(log.empty)
        await eventually(lambda: not only_shard(one)._quiet_heads._rooms._noted)
        before = await calls(redis)

        async def renewed() -> bool:
            return (await calls(redis))["get"] >= before["get"] + RENEWALS * keys.LEASE_GROUPS

        await eventually(renewed)
        sent = await calls(redis) - before
        one.stop()
        await running
    sent.pop("info")  # also of this test
    renewals = sent["get"] / keys.LEASE_GROUPS
    print(f"{renewals:.0f} renewals: {dict(sent)}")
    assert sent["xlen"] % PARTITIONS_PER_TURN == 0
    assert sent.total() <= renewals * (LEASE_COMMANDS + OTHERS)
