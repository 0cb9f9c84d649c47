"""A client that keeps the rules over any trouble: it comes back with its cursors and repeats."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from itertools import count
from typing import Any

import aiohttp

from tests.raw import Raw
from tests.world import World

NAMESPACES = {"receipt": "/receipts", "unread": "/receipts"}


class Device:
    """One user on one instance. `events` are those of all its connections, in order."""

    def __init__(self, world: World, user: str, instance: int) -> None:
        self.user, self.events = user, list[dict[str, Any]]()
        self.cursors: dict[str, list[int]] = {}
        self._world, self._instance = world, instance
        self._ids = count()
        self._raw: Raw | None = None
        self._taken = 0

    async def do(self, event: str, data: dict[str, Any]) -> dict[str, Any]:
        """The final answer of a command, however often it has to be said."""
        async with asyncio.timeout(60):
            while True:
                with suppress(TimeoutError, OSError, aiohttp.ClientError):
                    answer = await self._ask(event, data)
                    if answer["ok"] or not answer["error"]["retryable"]:
                        return answer
                await asyncio.sleep(0.1)

    async def close(self) -> None:
        """Gone, what it heard stays."""
        if self._raw is not None:
            self.take()
            await self._raw.__aexit__()
            self._raw = None

    def take(self) -> None:
        """Look at what was heard: cursors move with the events."""
        assert self._raw is not None
        for event in self._raw.events[self._taken :]:
            self.events.append(event)
            at = event["data"]["room"] if event["type"] == "room.added" else event
            at = event["data"] if event["type"] == "sync.reset" else at
            if "room_id" in event and "offset" in at:
                held = self.cursors.setdefault(event["room_id"], [0, 0])
                held[:2] = max(held[:2], [at["epoch"], at["offset"]])
        self._taken = len(self._raw.events)

    async def _ask(self, event: str, data: dict[str, Any]) -> dict[str, Any]:
        raw = await self._open()
        namespace = NAMESPACES.get(event.split(".")[0], "/chat")
        text = json.dumps([event, data])
        try:
            return await raw.ask(next(self._ids), text, namespace)
        finally:
            self.take()

    async def _open(self) -> Raw:
        """The connection, a new one where the old one is closed."""
        if self._raw is not None and not self._raw.closed:
            return self._raw
        await self.close()
        raw, token = Raw(self._world.urls[self._instance]), self._world.token(self.user)
        try:
            await raw.__aenter__()
            await raw.connect(token, cursors=self.cursors)
            await raw.join(token, "/receipts")
        except BaseException:
            await raw.__aexit__()
            raise
        self._raw, self._taken = raw, 0
        return raw
