"""What every connection wrote in one turn of the loop leaves as one write of each."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

SLICE = 500
"""Connections flushed in one turn: a room of ten thousand must not hold up everybody else."""


class Flushable(Protocol):
    """Whatever collects what it writes."""

    def flush(self) -> None:
        """Write what was collected."""


class WriteBatcher:
    """Flushes, at the end of the turn, all who asked for it, in the order they did."""

    def __init__(self) -> None:
        self._dirty: deque[Flushable] = deque()

    def soon(self, one: Flushable) -> None:
        """Flush it before the loop waits again."""
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._flush)
        self._dirty.append(one)

    def _flush(self) -> None:
        try:
            for _ in range(min(SLICE, len(self._dirty))):
                self._dirty.popleft().flush()
        finally:  # one that cannot be flushed must not hold up all the others for good
            if self._dirty:
                asyncio.get_running_loop().call_soon(self._flush)
