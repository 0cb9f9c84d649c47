"""One deployment for all tests that harm nothing; those that kill parts make their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A stack, a relay and one web instance. Tests keep apart by their users."""
    running = World(tmp_path_factory.mktemp("world"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def dev_url(world: World) -> str:
    """The address of an instance with the demo page."""
    return world.urls[0]
