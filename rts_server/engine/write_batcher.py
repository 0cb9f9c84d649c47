"""Collects the writes of one turn of the event loop, so that each connection is written once."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

MAX_FLUSHES_PER_TURN = 500
"""Connections flushed in one turn: an event for a room of 10,000 must not stop all other work."""


class Flushable(Protocol):
    """An object that collects what it writes until it is flushed."""

    def flush(self) -> None:
        """Write what was collected."""


class WriteBatcher:
    """Flushes the connections that asked for it at the end of the turn, in the order they asked."""

    def __init__(self) -> None:
        self._pending: deque[Flushable] = deque()

    def schedule(self, connection: Flushable) -> None:
        """Flush a connection before the loop waits again. To be called once per flush."""
        if not self._pending:
            asyncio.get_running_loop().call_soon(self._flush)
        self._pending.append(connection)

    def _flush(self) -> None:
        try:
            for _ in range(min(MAX_FLUSHES_PER_TURN, len(self._pending))):
                self._pending.popleft().flush()
        finally:  # if one flush fails, those behind it must still be flushed
            if self._pending:
                asyncio.get_running_loop().call_soon(self._flush)
