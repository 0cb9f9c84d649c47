"""Two web processes with times that fit the nginx before them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.world import Process, World

SHORT = {"RTS_PING_INTERVAL": "1", "RTS_PING_TIMEOUT": "1", "RTS_DRAIN_SPREAD": "2"}
Instances = list[tuple[Process, int]]


@contextmanager
def two(world: World, folder: Path, **environment: str) -> Iterator[Instances]:
    """Two instances of their own and their ports."""
    with ExitStack() as stack:
        both = []
        for n in range(2):
            (folder / str(n)).mkdir()
            running = world.shared_instance(folder / str(n), **environment)
            process, url = stack.enter_context(running)
            both.append((process, int(url.rpartition(":")[2])))
        yield both


@pytest.fixture(scope="module")
def instances(
    world: World, tmp_path_factory: pytest.TempPathFactory, full: bool
) -> Iterator[Instances]:
    """WebSocket only, as by default."""
    own = {"RTS_DRAIN_SPREAD": "20"} if full else SHORT
    with two(world, tmp_path_factory.mktemp("instances"), **own) as both:
        yield both


@pytest.fixture(scope="module")
def polled(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instances]:
    """With polling switched on."""
    folder = tmp_path_factory.mktemp("polled")
    with two(world, folder, RTS_TRANSPORTS="polling,websocket", **SHORT) as both:
        yield both
