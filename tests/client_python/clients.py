"""Both clients of the package behind one face: each method is awaited, whichever it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self

from rts_chat import AsyncRestClient, RestClient

Token = str | Callable[[], str]


class Blocking:
    """RestClient, each call in a thread."""

    def __init__(self, url: str, token: Token) -> None:
        self._rest = RestClient(url, token)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._rest.close()

    async def ask(self, method: str, *given: Any, **params: Any) -> Any:
        """Call a method by its name."""
        return await asyncio.to_thread(getattr(self._rest, method), *given, **params)

    async def all_lines(self, method: str, *given: Any, **params: Any) -> list[Any]:
        """Everything that a method yields."""
        return await asyncio.to_thread(lambda: list(getattr(self._rest, method)(*given, **params)))


class Asynchronous:
    """AsyncRestClient; its token comes from a coroutine."""

    def __init__(self, url: str, token: Token) -> None:
        async def fetched() -> str:
            return token() if callable(token) else token

        coroutine: Callable[[], Awaitable[str]] = fetched
        self._rest = AsyncRestClient(url, coroutine)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._rest.aclose()

    async def ask(self, method: str, *given: Any, **params: Any) -> Any:
        """Call a method by its name."""
        return await getattr(self._rest, method)(*given, **params)

    async def all_lines(self, method: str, *given: Any, **params: Any) -> list[Any]:
        """Everything that a method yields."""
        return [line async for line in getattr(self._rest, method)(*given, **params)]


Both = type[Blocking] | type[Asynchronous]
