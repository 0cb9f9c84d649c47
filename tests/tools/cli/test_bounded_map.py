"""Many at once, in order, in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from rts_server.tools.cli.bounded_map import each


async def test_results_come_in_order_and_items_as_there_is_room() -> None:
    """Never more than five are taken ahead, whoever ends first; the results stand in order."""
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
    async for result in each(act, items(), 5):
        results.append(result)
        assert len(taken) <= len(results) + 4
    assert results == list(range(50))
    assert ended != results


async def test_whoever_leaves_early_leaves_nothing_behind() -> None:
    """What is under way is cancelled when the results are closed."""
    cancelled: list[int] = []

    async def act(number: int) -> int:
        try:
            await asyncio.sleep(60 if number else 0)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return number

    async with aclosing(each(act, range(100), 4)) as results:
        async for _ in results:
            await asyncio.sleep(0)
            break
    assert cancelled == [1, 2, 3]
    assert len(asyncio.all_tasks()) == 1


async def test_an_interruption_is_not_lost_in_one_that_swallows_it() -> None:
    """Whoever waits ends, whatever becomes of the cancellation inside what he waited for."""
    begun = asyncio.Event()

    async def stubborn(item: int) -> int:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return item
        return item

    async def all_of_them() -> None:
        async with aclosing(each(stubborn, range(3), 2)) as results:
            async for _ in results:
                pass

    waiting = asyncio.ensure_future(all_of_them())
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
