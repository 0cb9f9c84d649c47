"""Instances on one Redis, all users friends of alice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.presence.instance import Instance, Start


@pytest.fixture
def friends() -> set[frozenset[str]]:
    """Pairs of users who share a room."""
    return {frozenset(("alice", user)) for user in ("bob", "carol", "dave")}


@pytest.fixture
async def start(
    redis: Redis, valkey_url: str, friends: set[frozenset[str]]
) -> AsyncIterator[Start]:
    """Start another instance."""
    async with AsyncExitStack() as stack:

        async def one(origin: str, **times: Any) -> Instance:
            made = Instance(redis, valkey_url, origin, friends, **times)
            return await stack.enter_async_context(made)

        yield one
