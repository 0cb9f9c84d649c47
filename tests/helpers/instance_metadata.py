"""A stand-in for EC2's instance metadata service (IMDSv2), as far as Auto Scaling fills it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from rts_server.runtime.target_lifecycle import STATE_PATH, TOKEN_PATH

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"


class InstanceMetadata:
    """`state` is the target lifecycle state; None: no Auto Scaling group. `asked` counts looks."""

    def __init__(self) -> None:
        self.state: str | None = "InService"
        self.asked = 0
        self.refused = 0
        self.url = ""
        self._tokens: set[str] = set()

    def expire_tokens(self) -> None:
        """End all tokens, as their time does."""
        self._tokens.clear()

    async def token(self, request: web.Request) -> web.Response:
        """Give a token; IMDSv2 wants a PUT with its life in seconds, six hours at most."""
        if not 1 <= int(request.headers[TTL]) <= 21_600:
            return web.Response(status=400)
        self._tokens.add(token := secrets.token_hex())
        return web.Response(text=token)

    async def lifecycle(self, request: web.Request) -> web.Response:
        """Answer the state to those who have a token."""
        if request.headers.get(TOKEN) not in self._tokens:
            self.refused += 1
            return web.Response(status=401)
        self.asked += 1
        if self.state is None:
            return web.Response(status=404)
        return web.Response(text=self.state)


@asynccontextmanager
async def instance_metadata() -> AsyncIterator[InstanceMetadata]:
    """Serve it on a free port for the length of the block."""
    service, app = InstanceMetadata(), web.Application()
    app.router.add_put(TOKEN_PATH, service.token)
    app.router.add_get(STATE_PATH, service.lifecycle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield service
    finally:
        await runner.cleanup()
