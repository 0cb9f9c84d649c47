"""Bodies of requests that do not arrive as they should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rts_server.rest import parsing
from tests.helpers.rest import Client
from tests.helpers.world import World


async def test_a_body_that_does_not_arrive_is_refused(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is answered, and holds nothing any longer."""
    monkeypatch.setattr(parsing, "BODY_TIMEOUT_SECONDS", 0.1)
    given_up = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await given_up.wait()

    operator = {"Authorization": f"Bearer {world.token('ops', scope='operator')}"}
    answer = await client.put(
        "/v1/external-rooms/slow",
        data=body(),
        headers=operator | {"Content-Type": "application/json"},
    )
    given_up.set()
    assert answer.status == 400
    error = (await answer.json())["error"]
    assert (error["code"], error["message"]) == (
        "bad_request",
        "The body did not arrive in time.",
    )
