"""An operator at the one deployment."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.rest.client import Rest
from tests.world import World


@pytest.fixture
async def operator(world: World) -> AsyncIterator[Rest]:
    """A token with scope operator."""
    async with Rest(world.urls[0], world.token("ops", scope="operator")) as client:
        yield client
