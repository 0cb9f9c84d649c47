"""HTTP client of the REST interface for operators' commands: rate limit, retries, pages."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from rts_server.rates import Buckets, RateLimit

REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=60)
STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_read=60)
FIRST_RETRY_SECONDS = 0.25
MAX_RETRY_SECONDS = 5.0
RETRYABLE_PROXY_STATUSES = {429, 502, 503, 504}


@dataclass
class ApiError(Exception):
    """An error answer of the server.

    `details` maps field names to messages; `retry_after` is in seconds.
    """

    code: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)
    retryable: bool = False
    retry_after: float | None = None

    def __str__(self) -> str:
        fields = "; ".join(f"{name}: {' '.join(map(str, v))}" for name, v in self._by_field())
        return f"{self.code}: {fields or self.message}"

    def _by_field(self) -> list[tuple[str, list[Any]]]:
        return [(name, v if isinstance(v, list) else [v]) for name, v in self.details.items()]


class ServerUnreachable(ApiError):
    """No answer of rts-server came within the time allowed for retries."""


class ApiClient:
    """Client of the REST interface at `url`. Every route is idempotent, so requests are retried.

    `max_wait`: seconds that one request may take including its retries. `rate`: requests per
    second, limited on this side; if the server still answers `rate_limited`, all requests wait.
    """

    def __init__(self, url: str, token: str, max_wait: float = 30.0, rate: float = 200.0) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self._max_wait = max_wait
        self._buckets = Buckets({"requests": RateLimit(rate, rate)})
        self._paused_until = 0.0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers=self._headers, timeout=REQUEST_TIMEOUT, connector=aiohttp.TCPConnector(limit=0)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def request(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **query: Any
    ) -> Any:
        """Return `data` of the answer. `key` is sent as Idempotency-Key.

        Raises ApiError, or ServerUnreachable if no answer came.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._max_wait
        url = URL(self._url + path, encoded=True).with_query(query or None)
        for attempt in count():
            await self._wait_for_rate(clock())
            try:
                return await self._request_once(method, url, body, key)
            except ApiError as error:
                pause = retry_pause(attempt, error)
                if not error.retryable or clock() + pause > deadline:
                    raise
                if error.code == "rate_limited":
                    self._paused_until = max(self._paused_until, clock() + pause)
                else:
                    await asyncio.sleep(pause)
        raise AssertionError("count() has no end")

    async def list_items(self, path: str, name: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """Yield the items under `name` of all pages. Raises ApiError, ServerUnreachable."""
        while True:
            page = await self.request("GET", path, **query)
            for item in page[name]:
                yield item
            if not page.get("next_cursor"):
                return
            query["cursor"] = page["next_cursor"]

    async def stream_objects(self, method: str, path: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the objects of an NDJSON answer, without the final `{"kind": "end"}`.

        It is not retried. Raises ApiError, and ServerUnreachable if the answer has no end.
        """
        await self._wait_for_rate(asyncio.get_running_loop().time())
        url = URL(self._url + path, encoded=True)
        try:
            async with self._session.request(method, url, timeout=STREAM_TIMEOUT) as response:
                if response.content_type == "application/json":
                    _parse_answer(response.status, await response.read())
                async for line in response.content:
                    parsed = orjson.loads(line)
                    if parsed["kind"] == "end":
                        return
                    yield parsed
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _unreachable(error) from None
        raise ServerUnreachable("unreachable", "The answer was cut off; run the command again.")

    async def _wait_for_rate(self, now: float) -> None:
        start = max(now, self._paused_until)
        wait = self._buckets.take("requests", "", start, max_wait=float("inf"))
        wait += max(0.0, self._paused_until - now)
        if wait:
            await asyncio.sleep(wait)

    async def _request_once(self, method: str, url: URL, body: Any, key: str | None) -> Any:
        json: dict[str, Any] = {} if body is None else {"json": body}
        headers = {"Idempotency-Key": key} if key else {}
        try:
            async with self._session.request(method, url, headers=headers, **json) as response:
                return _parse_answer(response.status, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(error) from None


def retry_pause(attempt: int, error: ApiError) -> float:
    """Seconds before the next attempt; `attempt` counts from 0.

    The server's `retry_after` if given, else exponential backoff with jitter, so that many
    clients do not come back at the same time.
    """
    if error.retry_after is not None:
        return error.retry_after
    backoff = min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(attempt, 10))
    return random.uniform(0.5, 1.0) * backoff


def path_segment(name: str) -> str:
    """Percent-encode an id as one segment of a path (RFC 3986, section 3.3)."""
    return quote(name, safe="")


def _unreachable(error: Exception) -> ServerUnreachable:
    return ServerUnreachable("unreachable", str(error) or type(error).__name__, retryable=True)


def _parse_answer(status: int, body: bytes) -> Any:
    """Return `data`. Raises ApiError, or ServerUnreachable if it is no answer of rts-server."""
    try:
        answer = orjson.loads(body)
        if answer["ok"]:
            return answer["data"]
        error = answer["error"]
        retry_after_ms = error.get("retry_after_ms")
        raise ApiError(
            error["code"],
            error["message"],
            error.get("details") or {},
            error["retryable"],
            None if retry_after_ms is None else retry_after_ms / 1000,
        )
    except (orjson.JSONDecodeError, KeyError, TypeError):
        message = f"Status {status}, and the body is not an answer of rts-server."
        retryable = status in RETRYABLE_PROXY_STATUSES
        raise ServerUnreachable("unreachable", message, retryable=retryable) from None
