"""Blocking calls are bounded in number and in time."""

from __future__ import annotations

import asyncio
import threading

import pytest

from rts_server.errors import Unavailable
from rts_server.persistence.threads import BlockingCalls


async def test_the_number_of_calls_is_bounded() -> None:
    """Beyond the bound a call is refused at once; a finished call makes room for another."""
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


async def test_no_caller_waits_beyond_the_deadline() -> None:
    """A hanging thread costs its caller the deadline; exceptions are passed on."""
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
