"""The pool in which calls block: bounded, and nobody waits longer than the deadline."""

from __future__ import annotations

import asyncio
import threading

import pytest

from rts_server.errors import Unavailable
from rts_server.persistence.threads import BlockingCalls


async def test_waiting_is_bounded() -> None:
    """Beyond the bound the answer is at once; what is free again is given away again."""
    threads, gate = BlockingCalls("store", 1, 2, 60.0), threading.Event()
    try:
        taken = [asyncio.ensure_future(threads.run_in_thread(gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="The store is too busy"):
            await threads.run_in_thread(gate.wait)
        gate.set()
        assert await asyncio.gather(*taken) == [True, True]
        assert await threads.run_in_thread(int, "3") == 3
    finally:
        gate.set()
        threads.close()


async def test_nobody_waits_beyond_the_deadline() -> None:
    """A thread that hangs costs its callers the deadline, and what it raises is theirs."""
    threads, gate = BlockingCalls("store", 1, 9, 0.01), threading.Event()
    try:
        with pytest.raises(TimeoutError):
            await threads.run_in_thread(gate.wait)
        gate.set()
    finally:
        threads.close()
    other = BlockingCalls("store", 1, 1, 60.0)
    with pytest.raises(ValueError, match="invalid literal"):
        await other.run_in_thread(int, "x")
    other.close()
