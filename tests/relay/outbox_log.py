"""Outbox entries as the append script writes them, for tests of the relay."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from rts_server import keys


class OutboxLog:
    """Writes outbox entries as `append` does."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.offsets: dict[str, int] = {}
        self.ids: dict[str, Any] = {}

    async def add(self, room: str, queue: str = "m", nonce: str = "", **more: str) -> str:
        """Add an entry; return its record, which has room and offset."""
        offset = self.offsets[room] = self.offsets.get(room, 0) + 1
        record = f'{{"at":"{room}:{offset}"}}'
        fields = {"q": queue, "r": room, "k": f"k{offset}", "o": "origin", "d": record, **more}
        fields |= {"b": nonce} if nonce else {"e": f"1:{offset}"}
        key = keys.outbox(keys.partition(room))
        self.ids[record] = await self.redis.xadd(key, fields)  # type: ignore[arg-type]
        await self.redis.publish(key, "")
        return record

    async def many(self, room: str, number: int) -> list[str]:
        return [await self.add(room) for _ in range(number)]

    async def left(self) -> set[str]:
        """Return the records that are still in the outbox."""
        async with self.redis.pipeline(transaction=False) as pipe:
            for name in await self.redis.keys(keys.EVERY_OUTBOX):
                pipe.xrange(name)
            streams = await pipe.execute()
        return {fields[b"d"].decode() for entries in streams for _, fields in entries}

    async def empty(self) -> bool:
        return not await self.left()
