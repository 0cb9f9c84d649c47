"""Waiting in tests: for conditions, and within guaranteed times scaled to the machine."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

PATIENCE = 60.0
"""Seconds after which a condition is given up. It is no measure of anything."""
NO_ACK = 6.0
"""Seconds after which a client sends a command again: an answer is guaranteed after 5 (D10)."""
QUIET = 0.010
"""Seconds that `_work` takes on the machine for which the sizes of the tests were chosen."""
SAMPLES = 5


def until(condition: Callable[[], object], patience: float = PATIENCE) -> float:
    """Block until the condition holds; return the seconds it took. Raises TimeoutError."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > patience:
            raise TimeoutError(f"not within {patience} s")
        time.sleep(0.02)
    return time.monotonic() - began


async def eventually(
    condition: Callable[[], object | Awaitable[object]], patience: float = PATIENCE
) -> float:
    """Await until the condition, which may be asynchronous, holds; return the seconds it took.

    Raises TimeoutError.
    """
    began = time.monotonic()
    async with asyncio.timeout(patience):
        while True:
            holds = condition()
            if await holds if inspect.isawaitable(holds) else holds:
                return time.monotonic() - began
            await asyncio.sleep(0.01)


class Changes:
    """Wakes a test when something changed, so that it need not poll."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Check the condition that is awaited again."""
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Return when the condition holds after a change. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@contextmanager
def promised(seconds: float) -> Iterator[None]:
    """Assert that the block takes at most so long, in proportion to the speed of the machine.

    Only for times that docs/guarantees.md, docs/protocol.md or a docstring gives; inside, wait for
    conditions. Raises AssertionError.
    """
    before = slowness()
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    times = max(before, slowness()) if took > seconds else 1.0
    assert took <= seconds * times, f"{took:.2f} s, promised were {seconds} s, {times:.1f} times"


def slowness() -> float:
    """Return how many times slower than the reference this machine is right now, at least 1."""
    return max(1.0, max(_work() for _ in range(SAMPLES)) / QUIET)


def _work() -> float:
    """Return the seconds that a fixed amount of work takes."""
    began = time.perf_counter()
    sum(number * number % 7 for number in range(120_000))
    return time.perf_counter() - began
