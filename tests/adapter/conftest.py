"""The scripts of the room log, for what the adapter hears of them."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from tests.rooms.bench import Bench


@pytest.fixture
def bench(redis: Redis) -> Bench:
    """Scripts of the room log on an empty Redis."""
    return Bench(redis)
