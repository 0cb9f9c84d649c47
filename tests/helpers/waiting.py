"""How tests wait: for a condition, with patience; for a promise, by the speed of the machine."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

PATIENCE = 60.0
"""Seconds. Not a promise of anything: so long something is waited for before it never comes."""
NO_ACK = 6.0
"""Seconds after which a client sends a command again: the promise is an answer after 5."""
QUIET = 0.010
"""Seconds that `_work` takes on the machine for which the sizes of the tests were chosen."""
SAMPLES = 5


def until(condition: Callable[[], object], patience: float = PATIENCE) -> float:
    """Wait in a thread until the condition holds; the seconds it took. Raises TimeoutError."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > patience:
            raise TimeoutError(f"not within {patience} s")
        time.sleep(0.02)
    return time.monotonic() - began


async def eventually(
    condition: Callable[[], object | Awaitable[object]], patience: float = PATIENCE
) -> float:
    """The same on the event loop; the condition may be asynchronous. Raises TimeoutError."""
    began = time.monotonic()
    async with asyncio.timeout(patience):
        while True:
            holds = condition()
            if await holds if inspect.isawaitable(holds) else holds:
                return time.monotonic() - began
            await asyncio.sleep(0.01)


@contextmanager
def promised(seconds: float) -> Iterator[None]:
    """What happens inside takes so long at most, on a slower or busier machine in proportion.

    Only for a time that guarantees.md, protocol.md or a docstring of ours gives; inside, wait with
    patience. Raises AssertionError.
    """
    before = slowness()
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    times = max(before, slowness()) if took > seconds else 1.0
    assert took <= seconds * times, f"{took:.2f} s, promised were {seconds} s, {times:.1f} times"


def slowness() -> float:
    """How many times slower this machine is at this moment, with all that runs beside; from 1."""
    return max(1.0, max(_work() for _ in range(SAMPLES)) / QUIET)


def _work() -> float:
    """Seconds of the clock for a fixed amount of work."""
    began = time.perf_counter()
    sum(number * number % 7 for number in range(120_000))
    return time.perf_counter() - began
