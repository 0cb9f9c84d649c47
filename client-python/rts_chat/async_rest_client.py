"""The REST routes as coroutines, under asyncio or trio."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Self, TypeVar, cast

import anyio
import httpx2

from rts_chat.arguments import check_token, check_url
from rts_chat.async_routes import AsyncRoutes
from rts_chat.error import ChatError, no_answer
from rts_chat.exchange import (
    LINES_TYPE,
    TIMEOUT,
    Exchange,
    data_of,
    exchange_of,
    line_of,
    pause_after,
)
from rts_chat.route import ROUTES

T = TypeVar("T")


class AsyncRestClient(AsyncRoutes):
    """As RestClient; an asynchronous context manager. `token` may be a coroutine function, too."""

    def __init__(self, url: str, token: str | Callable[[], str | Awaitable[str]]) -> None:
        fixed = "" if callable(token) else check_token(token)
        self._token = token if callable(token) else lambda: fixed
        self._http = httpx2.AsyncClient(base_url=check_url(url), timeout=TIMEOUT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _call(self, answer: type[T], name: str, /, **params: Any) -> T:
        exchange = exchange_of(ROUTES[name], params)
        for attempt in count(1):
            try:
                async with self._sent(exchange) as response:
                    return cast(T, data_of(response.status_code, await response.aread()))
            except ChatError as error:
                await anyio.sleep(pause_after(error, attempt))
        raise AssertionError("unreachable")

    async def _lines(self, line: type[T], name: str, /, **params: Any) -> AsyncIterator[T]:
        async with self._sent(exchange_of(ROUTES[name], params)) as response:
            if not response.headers.get("content-type", "").startswith(LINES_TYPE):
                data_of(response.status_code, await response.aread())
            async for text in response.aiter_lines():
                found = line_of(text)
                if found is None:
                    return
                yield cast(T, found)
        raise no_answer("The answer was cut off.")

    @asynccontextmanager
    async def _sent(self, exchange: Exchange) -> AsyncIterator[httpx2.Response]:
        """Send once, with a token of this moment. Raises ChatError if no answer comes."""
        token = self._token()
        if inspect.isawaitable(token):
            token = await token
        try:
            async with self._http.stream(
                exchange.method,
                exchange.path,
                params=exchange.query,
                headers=exchange.headers | {"authorization": f"Bearer {check_token(token)}"},
                content=exchange.content,
            ) as response:
                yield response
        except httpx2.TransportError as error:
            raise no_answer(error) from error
