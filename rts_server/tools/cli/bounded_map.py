"""An ordered, concurrent map with bounded memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def bounded_map(
    function: Callable[[Item], Awaitable[Result]], items: Iterable[Item], limit: int
) -> AsyncGenerator[Result, None]:
    """Yield `function(item)` for each item in order, with at most `limit` calls at a time.

    Items are taken only when a call can begin. A caller that leaves early must close the
    generator (contextlib.aclosing): calls in flight are then cancelled.
    """
    in_flight: deque[asyncio.Future[Result]] = deque()
    try:
        for item in items:
            in_flight.append(asyncio.ensure_future(function(item)))
            if len(in_flight) >= limit:
                yield await _pop_first(in_flight)
        while in_flight:
            yield await _pop_first(in_flight)
    finally:
        for future in in_flight:
            future.cancel()
        await asyncio.gather(*in_flight, return_exceptions=True)


async def _pop_first(in_flight: deque[asyncio.Future[Result]]) -> Result:
    """Return the result of the oldest call.

    asyncio.wait instead of awaiting the future: cancellation of the caller must not be passed
    into the call, which might swallow it.
    """
    await asyncio.wait([in_flight[0]])
    return in_flight.popleft().result()
