"""More than Redis can carry: each command is answered once, what is acknowledged is kept (R4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson
from redis.asyncio import Redis

from tests.helpers.raw import Raw
from tests.helpers.waiting import PATIENCE
from tests.helpers.world import World, name
from tests.helpers.world_redis import servers

PAIRS, MESSAGES = 40, 8
"""Messages that each user sends without waiting for the acks before."""
BUSY = "local ends = os.clock() + 0.15 repeat until os.clock() > ends"
"""Keeps Redis busy for 0.15 s."""


@asynccontextmanager
async def busy_redis(world: World) -> AsyncIterator[None]:
    """Leave Redis little time for anything else."""
    over = asyncio.Event()

    async def occupy(url: str) -> None:
        async with Redis.from_url(url, socket_timeout=PATIENCE) as client:
            while not over.is_set():
                await client.eval(BUSY, 0)
                await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(occupy(server.url)) for server in servers(world)]
    try:
        yield
    finally:
        over.set()
        await asyncio.gather(*tasks)


@dataclass
class Author:
    """A user who sends numbered texts to one room, and keeps what was refused."""

    socket: Raw
    room_id: str = ""
    acked: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    delays: list[int] = field(default_factory=list)
    ids: Any = field(default_factory=count)

    async def ask(self, event: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Send a command; return its ack."""
        return await self.socket.ask(next(self.ids), orjson.dumps([event, payload]).decode())

    async def send(self, texts: list[str]) -> None:
        """Send texts at once; return when each has its ack."""
        await asyncio.gather(*map(self._send, texts))

    async def _send(self, text: str) -> None:
        message = {"room_id": self.room_id, "client_msg_id": text.replace(" ", "-"), "text": text}
        answer = await self.ask("message.send", message)
        if answer["ok"]:
            self.acked.add(text)
            return
        assert answer["error"]["code"] == "unavailable", answer
        assert answer["error"]["retryable"]
        self.refused.append(text)
        if delay := answer["error"].get("retry_after_ms"):
            self.delays.append(delay)

    async def send_again(self) -> None:
        """Repeat what was refused, as a client does, until all is acknowledged."""
        async with asyncio.timeout(PATIENCE):
            while self.refused:
                await asyncio.sleep(max(self.delays[-1:] or [200]) / 1000)
                again, self.refused = self.refused, []
                await self.send(again)


async def test_overload_is_refused_with_a_delay_and_loses_nothing(world: World) -> None:
    """Writes beyond what Redis carries are refused; reads are served; the rest is kept once."""
    users = [name("author") for _ in range(2 * PAIRS)]
    async with AsyncExitStack() as stack:
        authors = []
        for user in users:
            authors.append(Author(await stack.enter_async_context(world.raw(user))))
        for one, other, user in zip(authors[::2], authors[1::2], users[1::2], strict=True):
            made = await one.ask("room.create", {"type": "direct", "members": [user]})
            one.room_id = other.room_id = made["data"]["room"]["room_id"]
        async with busy_redis(world):
            for number in range(10):
                texts = [[f"{u} {number} {n}" for n in range(MESSAGES)] for u in users]
                await asyncio.gather(
                    *(author.send(own) for author, own in zip(authors, texts, strict=True))
                )
                missed = await authors[0].ask("sync", {"cursors": {authors[0].room_id: [1, 1]}})
                assert missed["ok"], missed
                if any(author.delays for author in authors):
                    break
        delays = [delay for author in authors for delay in author.delays]
        assert delays, "nothing was refused"
        assert min(delays) >= 500
        assert len(set(delays)) > len(delays) / 4
        await asyncio.gather(*(author.send_again() for author in authors))
        for author in authors[::2]:
            both = [one for one in authors if one.room_id == author.room_id]
            texts_kept = await texts_of(author)
            assert len(texts_kept) == len(set(texts_kept))
            assert set(texts_kept) == set().union(*(one.acked for one in both))


async def texts_of(author: Author) -> list[str]:
    """The texts of a room's history."""
    texts: list[str] = []
    after = 0
    while True:
        page = {"room_id": author.room_id, "after_seq": after, "limit": 100}
        answer = await author.ask("message.list", page)
        assert answer["ok"], answer
        messages = answer["data"]["messages"]
        texts += [message["text"] for message in messages]
        if not answer["data"]["has_more"]:
            return texts
        after = messages[-1]["seq"]
