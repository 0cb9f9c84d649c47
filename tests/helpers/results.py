"""Idempotency keys in either of the two forms that the releases of a rolling deployment write."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

FIELDS = ("epoch", "offset", "seq", "ts", "hash", "by", "failed", "entries", "answer")


async def as_string(redis: Redis, key: str) -> None:
    """Make a hash the string that holds the same."""
    if await redis.type(key) == b"string":
        return
    found: Any = await redis.hmget(key, list(FIELDS))
    values = [(one or b"").decode() for one in found]
    values[6:8] = values[6] or "0", values[7].replace(" ", ",")
    left = await redis.pttl(key)
    await redis.set(key, " ".join(values), px=left)


async def as_hash(redis: Redis, key: str) -> None:
    """Make a string the hash that holds the same, as the release before wrote it."""
    text: Any = await redis.get(key)
    values = text.decode().split(" ", len(FIELDS) - 1)
    fields: Any = dict(zip(FIELDS, values, strict=True))
    fields["entries"] = fields["entries"].replace(",", " ")
    if fields["failed"] == "0":
        del fields["failed"]
    left = await redis.pttl(key)
    await redis.delete(key)
    await redis.hset(key, mapping=fields)
    await redis.pexpire(key, left)
