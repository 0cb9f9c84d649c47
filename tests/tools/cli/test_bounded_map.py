"""The ordered, concurrent, bounded map."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from rts_server.tools.cli.bounded_map import bounded_map


async def test_results_are_ordered_and_items_are_taken_within_the_limit() -> None:
    """At most five items are taken ahead, and results come in order however the calls end."""
    taken: list[int] = []
    ended: list[int] = []

    def items() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    async def act(number: int) -> int:
        for _ in range(number * 7 % 5):
            await asyncio.sleep(0)
        ended.append(number)
        return number

    results = []
    async for result in bounded_map(act, items(), 5):
        results.append(result)
        assert len(taken) <= len(results) + 4
    assert results == list(range(50))
    assert ended != results


async def test_closing_the_results_cancels_calls_in_flight() -> None:
    """Calls in flight are cancelled, and no task is left."""
    cancelled: list[int] = []

    async def act(number: int) -> int:
        try:
            await asyncio.sleep(60 if number else 0)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return number

    async with aclosing(bounded_map(act, range(100), 4)) as results:
        async for _ in results:
            await asyncio.sleep(0)
            break
    assert cancelled == [1, 2, 3]
    assert len(asyncio.all_tasks()) == 1


async def test_cancellation_of_the_caller_is_not_swallowed_by_a_call() -> None:
    """The caller is cancelled even if the call that it waits for ignores cancellation."""
    begun = asyncio.Event()

    async def stubborn(item: int) -> int:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return item
        return item

    async def consume_all() -> None:
        async with aclosing(bounded_map(stubborn, range(3), 2)) as results:
            async for _ in results:
                pass

    waiting = asyncio.ensure_future(consume_all())
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
