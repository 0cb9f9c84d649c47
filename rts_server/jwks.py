"""The key set of an identity provider (RFC 7517): fetched in the background, found by key id."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK

from rts_server import errors
from rts_server.runtime.backoff import delay
from rts_server.runtime.loops import repeat_forever
from rts_server.runtime.tasks import Tasks

log = logging.getLogger(__name__)

ALGORITHMS = frozenset({"RS256", "ES256", "EdDSA"})
MIN_RSA_BITS = 2_048
"""Minimum length of an RSA key (RFC 7518, 3.3)."""
MAX_DOCUMENT_BYTES = 256 * 1024
"""Maximum length of a key set."""
FETCH_TIMEOUT_SECONDS = 3.0
"""How long a fetch may take; a CONNECT that waits for it has its own deadline."""
UNKNOWN_KEY_SECONDS = 60.0
"""Time between two fetches for unknown key ids: anybody can make up a token with one."""
JWKS_RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses after failed fetches in a row; the last one repeats."""


class KeySet:
    """The keys of a provider by id. Known keys need no request and stay valid while it is away.

    For an unknown id the set is fetched at once, unless that was done within the last minute: then
    the token is neither accepted nor rejected, and the client is asked to retry.
    """

    def __init__(self, url: str, every: float) -> None:
        """`every`: seconds between two fetches; a key that was withdrawn is forgotten by then."""
        self._url = url
        self._every = every
        self._keys: dict[str, PyJWK] = {}
        self._fetching: asyncio.Task[bool] | None = None
        self._next_unknown = 0.0
        self._failures = 0
        self._tasks = Tasks()

    def start(self) -> None:
        """Fetch the keys now and periodically."""
        self._tasks.keep(repeat_forever("token keys", self._refresh))

    async def close(self) -> None:
        """Stop fetching."""
        await self._tasks.close()

    def not_ready(self) -> list[str]:
        """Return the reasons why this instance is not ready."""
        return [] if self._keys else ["token keys"]

    async def key(self, kid: str) -> PyJWK:
        """Return a key. Raises Unauthorized if unknown, Unavailable if it cannot be fetched."""
        if kid not in self._keys:
            await self._fetch_unknown()
        if kid not in self._keys:
            raise errors.Unauthorized(details={"kid": ["No key of RTS_JWKS_URL has this id."]})
        return self._keys[kid]

    async def _fetch_unknown(self) -> None:
        """Fetch once for all callers. Raises Unavailable if it fails or was done just before."""
        left = self._next_unknown - asyncio.get_running_loop().time()
        if self._fetching is None and left > 0:
            raise errors.Unavailable(retry_after_ms=round(left * 1000))
        if not await self._fetch():
            raise errors.Unavailable()

    async def _refresh(self) -> None:
        done = await self._fetch()
        self._failures = 0 if done else self._failures + 1
        wait = self._every if done else delay(JWKS_RETRY_SECONDS, self._failures - 1)
        await asyncio.sleep(wait)

    async def _fetch(self) -> bool:
        if self._fetching is None:
            self._fetching = self._tasks.keep(self._fetched())
        return await asyncio.shield(self._fetching)

    async def _fetched(self) -> bool:
        self._next_unknown = asyncio.get_running_loop().time() + UNKNOWN_KEY_SECONDS
        try:
            keys = usable(await self._get())
        except Exception as error:  # whatever it is, the waiting callers need a result
            log.warning("token keys cannot be fetched", extra={"error": type(error).__name__})
            return False
        finally:
            self._fetching = None
        self._keys = keys
        return True

    async def _get(self) -> Any:
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True, raise_for_status=True) as http,
            http.get(self._url, allow_redirects=False) as answer,
        ):
            body = await answer.content.read(MAX_DOCUMENT_BYTES + 1)
            while len(body) <= MAX_DOCUMENT_BYTES and (
                more := await answer.content.read(MAX_DOCUMENT_BYTES)
            ):
                body += more
        if len(body) > MAX_DOCUMENT_BYTES:
            raise ValueError("too large")
        return orjson.loads(body)


def usable(document: Any) -> dict[str, PyJWK]:
    """Return the keys of a set that may sign tokens, by id. Other entries are skipped.

    Each key has exactly one algorithm, so that a token cannot choose another (RFC 8725, 3.1).
    Raises ValueError if the document holds no such key.
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
    except Exception:  # the document is foreign, and PyJWT raises NotImplementedError for `none`
        return None
    if key.algorithm_name not in ALGORITHMS:  # a shared secret is no public key
        return None
    short = isinstance(key.key, RSAPublicKey) and key.key.key_size < MIN_RSA_BITS
    private = "d" in one
    return None if short or private else key
