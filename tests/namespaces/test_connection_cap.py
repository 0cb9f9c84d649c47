"""The limit of connections works although other instances cannot be asked."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from rts_server.config import Settings
from rts_server.engine.server import Server
from rts_server.namespaces import connection_cap as cap
from rts_server.presence.connection_counts import ConnectionCounts
from rts_server.presence.instance_lease import InstanceLease
from rts_server.realtime.control_channel import ControlChannel
from rts_server.realtime.manager import ClientManager
from rts_server.redis_client.pipeline import RedisPipeline
from tests.helpers.waiting import eventually


async def test_a_failed_count_of_connections_does_not_block_the_next(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the user's connections would never be checked again."""
    asked: list[str] = []

    async def broken(_: ControlChannel, user_id: str) -> int:
        asked.append(user_id)
        raise RuntimeError("the handler is closed")

    monkeypatch.setattr(ControlChannel, "check", broken)
    monkeypatch.setattr(cap, "PONG_SECONDS", 0.01)
    monkeypatch.setattr(cap, "COUNT_DELAY_SECONDS", 0.01)
    settings = Settings()
    online = ConnectionCounts(
        settings,
        RedisPipeline(redis.connection_pool),
        InstanceLease(settings, redis, "origin", dict),
    )
    again: list[Any] = []
    monkeypatch.setattr(online, "recount", again.append)
    server = Server(settings, ClientManager())
    tested = cap.ConnectionCap(1, online, server, ControlChannel(redis))
    for round_ in (1, 2):
        tested.entered("alice", "second")
        tested.counted("alice", ["first", "second"], 2)
        await eventually(lambda: len(again) == round_)  # noqa: B023
        tested.counted("alice", ["first"], 1)
    assert asked == ["alice", "alice"]
