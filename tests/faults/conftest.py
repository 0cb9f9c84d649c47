"""A deployment whose parts are killed, paused and emptied."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.world import World


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory, primaries: int) -> Iterator[World]:
    """A world for this module; each test leaves it intact."""
    running = World(tmp_path_factory.mktemp("breakable"), primaries)
    try:
        running.start()
        yield running
    finally:
        running.stop()
