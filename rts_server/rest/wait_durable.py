"""Waiting for durability, as long as an ack of a command would."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rts_server import errors
from rts_server.roomlog.pending_write import PendingWrite


async def settled(
    done: Sequence[PendingWrite], patience: float, failed: type[errors.Refusal] = errors.Unavailable
) -> str:
    """The one fate of all, or `accepted` when it did not come within `patience` seconds.

    Raises `failed` when one of them can never be.
    """
    fates = [one.durability for one in done]
    if not fates:
        return "stored"
    _, left = await asyncio.wait(fates, timeout=patience)
    known = {fate.result() for fate in fates if fate.done()}
    if "failed" in known:
        raise failed()
    return "accepted" if left else known.pop()
