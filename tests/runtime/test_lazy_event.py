"""What happens once is heard by everybody who waited, and by whoever comes later at once."""

from __future__ import annotations

import asyncio

from rts_server.runtime.lazy_event import LazyEvent


async def test_all_waiters_are_woken() -> None:
    """Two waiters before the event and one after it return; setting it twice is harmless."""
    once = LazyEvent()
    waiting = [asyncio.ensure_future(once.wait()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not once.is_set()
    assert not any(one.done() for one in waiting)
    once.trigger()
    once.trigger()
    await asyncio.gather(*waiting)
    assert once.is_set()
    await once.wait()


async def test_a_cancelled_waiter_does_not_affect_others() -> None:
    """One of two waiters is cancelled before the event; the other one returns."""
    once = LazyEvent()
    gone, there = (asyncio.ensure_future(once.wait()) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    once.trigger()
    await there
    assert gone.cancelled()
