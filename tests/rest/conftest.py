"""An operator at a web instance of this process, through aiohttp's test client."""

from __future__ import annotations

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from rts_server.app import create_app
from tests.helpers.rest import Client, Rest
from tests.helpers.world import World


@pytest.fixture
async def client(world: World, aiohttp_client: AiohttpClient) -> Client:
    """Another instance of the shared deployment, with its Redis, queues and tables."""
    return await aiohttp_client(create_app(world.stack.settings))


@pytest.fixture
def operator(world: World, client: Client) -> Rest:
    """A token with scope operator."""
    return Rest(client, world.token("ops", scope="operator"))
