"""An identity provider as a server sees it: a URL with its public keys."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

MAKE: dict[str, Any] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def public(key: Any, kid: str, algorithm: str, **more: Any) -> dict[str, Any]:
    """Return the public key as a JWK."""
    known: dict[str, Any] = json.loads(get_default_algorithms()[algorithm].to_jwk(key.public_key()))
    return known | {"kid": kid, **more}


class Provider:
    """Publishes keys (`published`, by id) and counts the requests (`asked`).

    `failing`: the response it sends instead. `silent`: it does not answer.
    """

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self.published: dict[str, dict[str, Any]] = {}
        self.failing: web.Response | None = None
        self.silent = False
        self._keys: dict[str, tuple[Any, str]] = {}

    def make(self, kid: str, algorithm: str = "EdDSA") -> None:
        """Add a key, which is published and signs from now on."""
        key = MAKE[algorithm]()
        self._keys[kid] = key, algorithm
        self.published[kid] = public(key, kid, algorithm)

    def token(self, user_id: str, kid: str, **changes: Any) -> str:
        """Return a token signed by one of the keys."""
        key, algorithm = self._keys[kid]
        now = int(time.time())
        claims = {"sub": user_id, "iat": now, "exp": now + 60} | changes
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})

    async def answer(self, _: web.Request) -> web.Response:
        """Return the published key set, or fail as `failing` and `silent` say."""
        self.asked += 1
        if self.silent:
            await asyncio.sleep(60)
        if self.failing is not None:
            return web.Response(
                body=self.failing.body, status=self.failing.status, headers=self.failing.headers
            )
        return await self.keys(_)

    async def keys(self, _: web.Request) -> web.Response:
        """Return the published key set, whatever `failing` and `silent` are."""
        return web.json_response({"keys": list(self.published.values())})


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """Run a provider with one key, `one`."""
    made = Provider()
    made.make("one")
    app = web.Application()
    app.router.add_get("/jwks.json", made.answer)
    app.router.add_get("/elsewhere", made.keys)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    (socket,) = site._server.sockets  # type: ignore[attr-defined]
    made.url = f"http://127.0.0.1:{socket.getsockname()[1]}/jwks.json"
    try:
        yield made
    finally:
        await runner.cleanup()
