"""What happens once is heard by everybody who waited, and by whoever comes later at once."""

from __future__ import annotations

import asyncio

from rts_server.runtime.lazy_event import LazyEvent


async def test_all_who_wait_hear_of_it() -> None:
    """Two before it happens, one after; said twice is said once."""
    once = LazyEvent()
    waiting = [asyncio.ensure_future(once.wait()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not once.is_set()
    assert not any(one.done() for one in waiting)
    once.set()
    once.set()
    await asyncio.gather(*waiting)
    assert once.is_set()
    await once.wait()


async def test_who_gives_up_takes_nobody_with_him() -> None:
    """One of two is cancelled before it happens."""
    once = LazyEvent()
    gone, there = (asyncio.ensure_future(once.wait()) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    once.set()
    await there
    assert gone.cancelled()
