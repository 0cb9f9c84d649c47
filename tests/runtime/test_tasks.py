"""Background tasks of an object end with it."""

from __future__ import annotations

import asyncio

from rts_server.runtime.tasks import Tasks


async def test_what_is_kept_after_the_close_does_not_begin() -> None:
    """Its task is cancelled; a callback that comes late opens nothing."""
    begun: list[str] = []

    async def work(name: str) -> None:
        begun.append(name)
        await asyncio.Event().wait()

    tasks = Tasks()
    first = tasks.keep(work("first"))
    await asyncio.sleep(0)
    await tasks.close()
    late = tasks.keep(work("late"))
    await asyncio.wait([late])
    assert first.cancelled()
    assert late.cancelled()
    assert begun == ["first"]


async def test_what_an_end_starts_is_ended_too() -> None:
    """`close` returns when nothing is left, also where a cancelled task starts another."""
    tasks = Tasks()
    started: list[asyncio.Task[None]] = []

    async def last() -> None:
        await asyncio.Event().wait()

    async def first() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            started.append(tasks.keep(last()))

    tasks.keep(first())
    await asyncio.sleep(0)
    await tasks.close()
    assert [one.cancelled() for one in started] == [True]
