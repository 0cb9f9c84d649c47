"""Many at once, in order, in bounded memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def each(
    act: Callable[[Item], Awaitable[Result]], items: Iterable[Item], at_once: int
) -> AsyncGenerator[Result, None]:
    """The results in the order of the items, which are taken only as there is room for them.

    Close it (contextlib.aclosing) when you leave early: what is under way is cancelled.
    """
    under_way: deque[asyncio.Future[Result]] = deque()
    try:
        for item in items:
            under_way.append(asyncio.ensure_future(act(item)))
            if len(under_way) >= at_once:
                yield await _first(under_way)
        while under_way:
            yield await _first(under_way)
    finally:
        for future in under_way:
            future.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _first(under_way: deque[asyncio.Future[Result]]) -> Result:
    """Waited for from outside: an interruption that went into it could be lost there."""
    await asyncio.wait([under_way[0]])
    return under_way.popleft().result()
