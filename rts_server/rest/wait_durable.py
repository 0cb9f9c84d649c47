"""Waits until writes are durable, as long as the ack of a command would."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from rts_server import errors
from rts_server.roomlog.pending_write import PendingWrite


async def wait_durable(
    writes: Sequence[PendingWrite],
    max_wait: float,
    failed: type[errors.Refusal] = errors.Unavailable,
) -> Literal["queued", "stored", "accepted"]:
    """Return the durability of the writes; `accepted` if one is unknown after `max_wait` seconds.

    `stored` for no writes at all. Raises `failed` if one of them can never be stored.
    """
    results = [one.durability for one in writes]
    if not results:
        return "stored"
    _, left = await asyncio.wait(results, timeout=max_wait)
    known = {one.result() for one in results if one.done()}
    if "failed" in known:
        raise failed()
    if left:
        return "accepted"
    return "queued" if "queued" in known else "stored"


async def wait_queued(
    write: PendingWrite, max_wait: float, failed: type[errors.Refusal] = errors.Unavailable
) -> Literal["queued", "accepted"]:
    """Return the durability of a message: `accepted` if it is unknown after `max_wait` seconds.

    Raises `failed` if the message can never be stored.
    """
    durability = await wait_durable([write], max_wait, failed)
    return "accepted" if durability == "accepted" else "queued"
