"""The room log on a real Valkey, with an archive inside this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from rts_server.config import Settings
from rts_server.redis_client import pipeline, servers
from tests.helpers import aws
from tests.helpers.bench import Bench
from tests.helpers.deployed import Deployed
from tests.helpers.waiting import PATIENCE


@pytest.fixture(scope="module")
def tables() -> Iterator[None]:
    """Create empty tables for a module; its tests use different rooms."""
    with aws.pretended():
        yield


@pytest.fixture
def bench(redis: Redis) -> Bench:
    """Return the scripts of the room log on an empty Redis, without an archive."""
    return Bench(redis)


@pytest.fixture
async def deployed(
    redis: Redis, valkey_url: str, tables: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Deployed]:
    """Run one process of the room log between an empty Redis and the archive.

    The archive works inside this process: on a busy machine it may hold up the event loop for as
    long as a connection may be silent, which is no fault of the room log.
    """
    monkeypatch.setattr(servers, "SERVER_CONNECT_SECONDS", PATIENCE)
    monkeypatch.setattr(servers, "SERVER_ANSWER_SECONDS", PATIENCE)
    monkeypatch.setattr(pipeline, "SILENCE_SECONDS", PATIENCE)
    monkeypatch.setattr(pipeline, "PIPELINE_CONNECT_SECONDS", PATIENCE)
    async with Deployed(Settings(redis_url=valkey_url), redis) as made:
        yield made
