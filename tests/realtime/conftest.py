"""An instance that listens on a real Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from rts_server.config import Settings
from rts_server.domain.size_limits import SizeLimits
from tests.realtime.instance import LINGER, Instance


@pytest.fixture
async def instance(redis: Redis, valkey_url: str) -> AsyncIterator[Instance]:
    """Listening."""
    settings = Settings(
        redis_url=valkey_url,
        linger=LINGER,
        canary_interval=0.05,
        limits=SizeLimits(replay_events=20),
    )
    made = Instance(settings, redis)
    made.subscriptions.start()
    yield made
    await made.subscriptions.close()
