"""The room log as services.py builds it; relay and Lambdas run when a test calls them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterable
from typing import Any, Self

from redis.asyncio import Redis

from lambdas.chat_message_to_db.handler import lambda_handler as message_handler
from lambdas.chat_room_to_db.handler import lambda_handler as room_handler
from rts_server import errors, keys
from rts_server.auth import Identity
from rts_server.config import Settings
from rts_server.domain.message import MessageDraft
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.services import Services
from rts_server.types.commands import RoomCreatePayload
from tests.helpers import aws
from tests.helpers.bench import HOT
from tests.helpers.waiting import PATIENCE


class Deployed:
    """One process (its `services`). Only `store` moves records out of the outbox."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self.settings = settings
        self.redis = redis
        self.services = Services(settings)

    async def __aenter__(self) -> Self:
        await self.services.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.services.__aexit__(*error)

    async def group(self, creator: str, *members: str, key: str = "") -> str:
        """Create a group and store it; return its id."""
        key = key or secrets.token_hex(8)
        command: RoomCreatePayload = {
            "type": "group",
            "client_room_id": key,
            "members": list(members),
        }
        async with asyncio.timeout(PATIENCE):
            while True:  # as a client does
                with contextlib.suppress(errors.Unavailable):
                    room_id, _, done = await self.services.rooms.create(
                        Identity(creator, 0), command
                    )
                    break
        await self.store()
        assert await done.durability == "stored"
        return room_id

    async def send(
        self, room_id: str, sender: str, client_msg_id: str, text: str = "hi"
    ) -> PendingWrite:
        """Append a message."""
        draft: MessageDraft = {"client_msg_id": client_msg_id, "text": text}
        return await self.services.messages.send(room_id, sender, draft)

    async def expire(self, room_id: str) -> None:
        """Let a room leave Redis, as one does that nobody uses for a month."""
        names = keys.room(room_id)
        await self.redis.delete(names.head, *(getattr(names, key) for key in HOT))
        # This Redis is older than a room gets, so nothing of the room can be queued.
        identity = (await self.services.recovery._generation(0)).decode().split(" ")[0]
        await self.redis.set(keys.generation(keys.partition(room_id)), f"{identity} 1")

    async def outbox(self) -> list[tuple[str, Any, dict[bytes, bytes]]]:
        """Return the entries of all partitions as (stream, entry, fields)."""
        waiting = []
        streams: Any = await self.redis.keys(keys.EVERY_OUTBOX)
        for stream in sorted(streams):
            entries: Any = await self.redis.xrange(stream)
            waiting += [(stream.decode(), entry, fields) for entry, fields in entries]
        return waiting

    async def store(self, *, notify: bool = True) -> int:
        """Store everything that waits in the outbox; return the number of records.

        `notify`: the origin receives the relay's notices.
        """
        waiting = await self.outbox()
        self.deliver(fields for _, _, fields in waiting)
        for stream, entry, fields in waiting:
            await self._delete(stream, entry)
            if notify:
                notice = (fields[b"r"].decode(), fields[b"k"].decode(), entry.decode())
                self.services.durability.mark_queued([notice])
        return len(waiting)

    async def _delete(self, stream: str, entry: bytes) -> None:
        await self.redis.xdel(stream, entry)

    @staticmethod
    def deliver(waiting: Iterable[dict[bytes, bytes]]) -> None:
        """Apply records, each in a batch of its own."""
        for fields in waiting:
            handler = message_handler if fields[b"q"] == b"m" else room_handler
            group = fields[b"r"].decode()
            answer = handler(aws.event(fields[b"d"].decode(), groups=[group]), None)
            assert not answer["batchItemFailures"]

    @contextlib.asynccontextmanager
    async def relaying(self) -> AsyncIterator[None]:
        """Store records as they come, until the block ends."""

        stop = asyncio.Event()

        async def relay() -> None:
            while not stop.is_set():
                await self.store()
                await asyncio.sleep(0.002)

        task = asyncio.create_task(relay())
        try:
            yield
        finally:
            stop.set()
            await task


async def end(done: PendingWrite) -> str:
    """Wait for the durability of a write."""
    async with asyncio.timeout(PATIENCE):
        return await done.durability
