"""The first result of an append as its idempotency key holds it, for operators' reads."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from rts_server import keys
from rts_server.redis_client.pipeline import CommandPipe, results_of

_STRING = re.compile(rb"(\d+) (\d+) (\d+) (\S+) (\S*) \S* ([01]) (\S*) ")
_FIELDS = ("epoch", "offset", "seq", "ts", "hash", "failed", "entries")


class FirstResult(NamedTuple):
    """`ts`: RFC 3339. `hash`: of the body. `entries`: ids of the outbox entries it wrote."""

    epoch: int
    offset: int
    seq: int
    ts: str
    hash: str
    failed: bool
    entries: tuple[str, ...]


async def read_first_result(
    redis: Redis | CommandPipe, room_id: str, request_id: str
) -> FirstResult | None:
    """Read it in either form of lua/results.lua; None if Redis does not have it.

    Raises RedisError, OSError.
    """
    key = keys.room(room_id).idem(request_id)
    try:
        (text,) = await results_of(redis, [("GET", key)])
    except ResponseError:  # no string
        (hashed,) = await results_of(redis, [("HMGET", key, *_FIELDS)])
        return _result(hashed) if hashed[0] else None
    found = _STRING.match(text or b"")
    return _result(found.groups()) if found else None


def _result(values: Any) -> FirstResult:
    epoch, offset, seq, ts, digest, failed, entries = ((one or b"").decode() for one in values)
    return FirstResult(
        int(epoch),
        int(offset),
        int(seq),
        ts,
        digest,
        failed == "1",
        tuple(entries.replace(",", " ").split()),
    )
