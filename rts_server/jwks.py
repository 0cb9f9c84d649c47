"""The keys of an identity provider (RFC 7517): fetched beside the work, found by their id."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK

from rts_server import errors
from rts_server.runtime.loops import forever
from rts_server.runtime.tasks import Tasks

log = logging.getLogger(__name__)

ALGORITHMS = frozenset({"RS256", "ES256", "EdDSA"})
LEAST_BITS = 2_048
"""Of an RSA key (RFC 7518, 3.3)."""
MOST_BYTES = 256 * 1024
WITHIN = 3.0
"""Seconds for an answer; a CONNECT that waits for it has its own deadline."""
UNKNOWN_EVERY = 60.0
"""Seconds between two questions about ids that nobody knows: strangers choose these."""
AGAIN = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds until a fetch that failed is tried again; the last repeats."""


class KeySet:
    """Guarantee: a known id costs no wait. Keys stay while the provider cannot be reached.

    An unknown id is looked for at once, unless that was done a short while ago: whoever comes
    before it may be done again is not judged, but told to come back.
    """

    def __init__(self, url: str, every: float) -> None:
        """`every`: seconds after which a key that was withdrawn is forgotten."""
        self._url = url
        self._every = every
        self._keys: dict[str, PyJWK] = {}
        self._fetching: asyncio.Task[bool] | None = None
        self._next_unknown = 0.0
        self._failures = 0
        self._tasks = Tasks()

    def start(self) -> None:
        """Fetch, and again and again."""
        self._tasks.keep(forever("token keys", self._refresh))

    async def close(self) -> None:
        """Stop."""
        await self._tasks.close()

    def not_ready(self) -> list[str]:
        """Why another instance would do better."""
        return [] if self._keys else ["token keys"]

    async def key(self, kid: str) -> PyJWK:
        """Raises Unauthorized where nobody has such a key, Unavailable where nobody can tell."""
        if kid not in self._keys:
            await self._look()
        if kid not in self._keys:
            raise errors.Unauthorized()
        return self._keys[kid]

    async def _look(self) -> None:
        """One question for all who wait. Raises Unavailable when it cannot be asked now."""
        left = self._next_unknown - asyncio.get_running_loop().time()
        if self._fetching is None and left > 0:
            raise errors.Unavailable(retry_after_ms=round(left * 1000))
        if not await self._fetch():
            raise errors.Unavailable()

    async def _refresh(self) -> None:
        done = await self._fetch()
        self._failures = 0 if done else self._failures + 1
        wait = self._every if done else AGAIN[min(self._failures, len(AGAIN)) - 1]
        await asyncio.sleep(wait)

    async def _fetch(self) -> bool:
        if self._fetching is None:
            self._fetching = self._tasks.keep(self._fetched())
        return await asyncio.shield(self._fetching)

    async def _fetched(self) -> bool:
        self._next_unknown = asyncio.get_running_loop().time() + UNKNOWN_EVERY
        try:
            keys = usable(await self._get())
        except Exception as error:  # whatever a provider answers, those who wait are told
            log.warning("token keys cannot be fetched", extra={"error": type(error).__name__})
            return False
        finally:
            self._fetching = None
        self._keys = keys
        return True

    async def _get(self) -> Any:
        timeout = aiohttp.ClientTimeout(total=WITHIN)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True, raise_for_status=True) as http,
            http.get(self._url, allow_redirects=False) as answer,
        ):
            body = await answer.content.read(MOST_BYTES + 1)
            while len(body) <= MOST_BYTES and (more := await answer.content.read(MOST_BYTES)):
                body += more
        if len(body) > MOST_BYTES:
            raise ValueError("too large")
        return orjson.loads(body)


def usable(document: Any) -> dict[str, PyJWK]:
    """By id: the keys that may sign a token, each with the one algorithm it may be used with. What
    is no such key, or none at all, is passed over.

    Raises ValueError when there is none: then it is no set of keys.
    """
    given = document.get("keys") if isinstance(document, dict) else None
    keys = {}
    for one in given if isinstance(given, list) else ():
        if key := _signing(one):
            keys[str(key.key_id)] = key
    if not keys:
        raise ValueError("no key that may sign")
    return keys


def _signing(one: Any) -> PyJWK | None:
    if not isinstance(one, dict) or not isinstance(one.get("kid"), str) or not one["kid"]:
        return None
    if one.get("use", "sig") != "sig":
        return None
    try:
        key = PyJWK(one)
    except Exception:  # strangers write it, and PyJWT raises NotImplementedError for `none`
        return None
    if key.algorithm_name not in ALGORITHMS:  # a shared secret is no public key
        return None
    short = isinstance(key.key, RSAPublicKey) and key.key.key_size < LEAST_BITS
    private = "d" in one
    return None if short or private else key
