"""Two web processes with times that fit the nginx before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world import Process, World

SHORT = {"RTS_PING_INTERVAL": "1", "RTS_PING_TIMEOUT": "1", "RTS_DRAIN_SPREAD": "2"}
Instances = list[tuple[Process, int]]


async def two(world: World, folder: Path, **environment: str) -> AsyncIterator[Instances]:
    """Two instances of their own and their ports."""
    for n in range(2):
        (folder / str(n)).mkdir()
    async with (
        world.instance(folder / "0", **environment) as one,
        world.instance(folder / "1", **environment) as other,
    ):
        yield [(process, int(url.rpartition(":")[2])) for process, url in (one, other)]


@pytest.fixture
async def instances(world: World, tmp_path: Path, full: bool) -> AsyncIterator[Instances]:
    """WebSocket only, as by default."""
    own = {"RTS_DRAIN_SPREAD": "20"} if full else SHORT
    async for both in two(world, tmp_path, **own):
        yield both


@pytest.fixture
async def polled(world: World, tmp_path: Path) -> AsyncIterator[Instances]:
    """With polling switched on."""
    async for both in two(world, tmp_path, RTS_TRANSPORTS="polling,websocket", **SHORT):
        yield both
