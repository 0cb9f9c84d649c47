"""The server as an operator's command sees it: one question, one answer, patience between."""

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

from rts_server.rates import Buckets, Rate

ONE_ANSWER = aiohttp.ClientTimeout(total=60)
AS_LONG_AS_IT_COMES = aiohttp.ClientTimeout(total=None, sock_read=60)
LONGEST_PAUSE = 5.0
PROXY_SAYS_LATER = {429, 502, 503, 504}


@dataclass
class Refused(Exception):
    """What the server answered instead; `details` names fields."""

    code: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)
    retryable: bool = False
    retry_after: float | None = None

    def __str__(self) -> str:
        named = "; ".join(f"{name}: {' '.join(map(str, said))}" for name, said in self._named())
        return f"{self.code}: {named or self.message}"

    def _named(self) -> list[tuple[str, list[Any]]]:
        return [(name, v if isinstance(v, list) else [v]) for name, v in self.details.items()]


class Unreachable(Refused):
    """Nobody answered for as long as one was willing to wait."""


class Server:
    """REST at one address. Every route is safe to repeat, so what may be repeated is.

    `patience`: seconds that one question may take with its repetitions. `rate`: questions/s, kept
    on this side; what the server refuses as too fast all the same makes all questions wait.
    """

    def __init__(self, url: str, token: str, patience: float = 30.0, rate: float = 200.0) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self._patience = patience
        self._buckets = Buckets({"asked": Rate(rate, rate)})
        self._held_until = 0.0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers=self._headers, timeout=ONE_ANSWER, connector=aiohttp.TCPConnector(limit=0)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **query: Any
    ) -> Any:
        """The data of the answer; `key` is the Idempotency-Key. Raises Refused, Unreachable."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._patience
        url = URL(self._url + path, encoded=True).with_query(query or None)
        for attempt in count():
            await self._turn(clock())
            try:
                return await self._once(method, url, body, key)
            except Refused as refused:
                pause = pause_before(attempt, refused)
                if not refused.retryable or clock() + pause > deadline:
                    raise
                if refused.code == "rate_limited":
                    self._held_until = max(self._held_until, clock() + pause)
                else:
                    await asyncio.sleep(pause)
        raise AssertionError("count() has no end")

    async def pages(self, path: str, name: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """The items of a list, page after page. Raises Refused, Unreachable."""
        while True:
            page = await self.ask("GET", path, **query)
            for item in page[name]:
                yield item
            if not page.get("next_cursor"):
                return
            query["cursor"] = page["next_cursor"]

    async def lines(self, method: str, path: str) -> AsyncIterator[dict[str, Any]]:
        """The objects of an answer that comes line by line, without its end.

        Not repeated. Raises Refused, and Unreachable when it broke off.
        """
        await self._turn(asyncio.get_running_loop().time())
        url = URL(self._url + path, encoded=True)
        try:
            async with self._session.request(method, url, timeout=AS_LONG_AS_IT_COMES) as response:
                if response.content_type == "application/json":
                    _data(response.status, await response.read())
                async for line in response.content:
                    one = orjson.loads(line)
                    if one["kind"] == "end":
                        return
                    yield one
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _away(error) from None
        raise Unreachable("unreachable", "The answer broke off; run it again.")

    async def _turn(self, now: float) -> None:
        wait = self._buckets.take("asked", "", max(now, self._held_until), patience=float("inf"))
        wait += max(0.0, self._held_until - now)
        if wait:
            await asyncio.sleep(wait)

    async def _once(self, method: str, url: URL, body: Any, key: str | None) -> Any:
        given: dict[str, Any] = {} if body is None else {"json": body}
        headers = {"Idempotency-Key": key} if key else {}
        try:
            async with self._session.request(method, url, headers=headers, **given) as response:
                return _data(response.status, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _away(error) from None


def pause_before(attempt: int, refused: Refused) -> float:
    """Seconds until the next attempt: what the server says, else twice as long each time, of
    chance so that many do not come back at once.
    """
    if refused.retry_after is not None:
        return refused.retry_after
    return random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, 0.25 * 2.0 ** min(attempt, 10))


def _away(error: Exception) -> Unreachable:
    return Unreachable("unreachable", str(error) or type(error).__name__, retryable=True)


def place(name: str) -> str:
    """An id as it stands in a path."""
    return quote(name, safe="")


def _data(status: int, body: bytes) -> Any:
    try:
        answer = orjson.loads(body)
        if answer["ok"]:
            return answer["data"]
        error = answer["error"]
        after = error.get("retry_after_ms")
        raise Refused(
            error["code"],
            error["message"],
            error.get("details") or {},
            error["retryable"],
            None if after is None else after / 1000,
        )
    except (orjson.JSONDecodeError, KeyError, TypeError):
        said = f"Status {status}, and no answer of rts-server."
        raise Unreachable("unreachable", said, retryable=status in PROXY_SAYS_LATER) from None
