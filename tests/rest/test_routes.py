"""The frame of the routes, without a server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from rts_server.rest.routes import Line, stream_lines
from tests.helpers.waiting import PATIENCE
from tests.helpers.world import free_port


async def test_a_client_that_leaves_ends_a_stream_quietly(caplog: pytest.LogCaptureFixture) -> None:
    """`export | head`: the work ends with the connection, and no error is logged."""
    ended = asyncio.Event()

    async def endless() -> AsyncGenerator[Line, None]:
        try:
            while True:
                yield {"text": "x" * 10_000}
        finally:
            ended.set()

    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream_lines(request, endless())

    app = web.Application()
    app.router.add_get("/", handler)
    runner, port = web.AppRunner(app), free_port()  # unlike TestServer, it cancels no handler
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with ClientSession(f"http://127.0.0.1:{port}") as client:
        response = await client.get("/")
        await response.content.readline()
        response.close()
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
    await runner.cleanup()
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_an_error_of_a_stream_is_its_last_line() -> None:
    """The client sees that the answer broke off, and the code says why."""

    async def broken() -> AsyncGenerator[Line, None]:
        yield {"kind": "message"}
        raise OSError

    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream_lines(request, broken())

    app = web.Application()
    app.router.add_get("/", handler)
    async with TestClient(TestServer(app)) as client:
        lines = (await (await client.get("/")).text()).splitlines()
    assert len(lines) == 2
    assert '"code":"unavailable"' in lines[1]
