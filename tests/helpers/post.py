"""A fake of SQS that keeps what the relay sends, with faults on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp

Message = dict[str, str]
"""An entry of SendMessageBatch."""


class Post:
    """Replaces `SqsEndpoint`. `batches`: the accepted ones, as (queue name, entries).

    `before` is awaited before each batch. `refuses` decides on single entries.
    """

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[Message]]] = []
        self.away = False
        self.refuses: Callable[[Message], bool] = lambda entry: False
        self.before: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)

    async def get_queue_url(self, name: str) -> str:
        if self.away:
            raise aiohttp.ClientConnectionError
        return name

    async def send_message_batch(self, url: str, entries: list[Message]) -> list[str]:
        await self.before()
        if self.away:
            raise aiohttp.ClientConnectionError
        taken = [one for one in entries if not self.refuses(one)]
        self.batches.append((url, taken))
        return [one["Id"] for one in taken]

    async def close(self) -> None:
        pass

    @property
    def sent(self) -> list[Message]:
        """Return every accepted entry, batch by batch."""
        return [one for _, batch in self.batches for one in batch]

    def bodies(self, room_id: str) -> list[str]:
        """Return the accepted records of a room, in order."""
        return [one["MessageBody"] for one in self.sent if one.get("MessageGroupId") == room_id]
