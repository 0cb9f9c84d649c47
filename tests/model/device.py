"""A client that follows the protocol through faults: it reconnects with cursors and repeats."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from itertools import count
from typing import Any

import aiohttp

from tests.helpers.raw import Raw
from tests.helpers.waiting import NO_ACK, PATIENCE
from tests.helpers.world import World
from tests.model.view import View

NAMESPACES = {"receipt": "/receipts", "unread": "/receipts"}


class Device:
    """One user on one instance. `events` are those of all its connections, in order."""

    def __init__(self, world: World, user: str, instance: int) -> None:
        self.user, self.events = user, list[dict[str, Any]]()
        self.cursors: dict[str, list[int]] = {}
        self.views: dict[str, View] = {}
        self._world, self._instance = world, instance
        self._ids = count()
        self._raw: Raw | None = None
        self._taken = 0

    async def do(self, event: str, data: dict[str, Any]) -> dict[str, Any]:
        """Send a command until its answer is final; return it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(TimeoutError, OSError, aiohttp.ClientError):
                    answer = await self._ask(event, data)
                    if answer["ok"] or not answer["error"]["retryable"]:
                        return answer
                await asyncio.sleep(0.1)

    async def close(self) -> None:
        """Disconnect; received events stay."""
        if self._raw is not None:
            self.take()
            await self._raw.__aexit__()
            self._raw = None

    def take(self) -> None:
        """Process received events: cursors move with them."""
        assert self._raw is not None
        for event in self._raw.events[self._taken :]:
            self.events.append(event)
            self._look(event)
            at = event["data"]["room"] if event["type"] == "room.added" else event
            at = event["data"] if event["type"] == "sync.reset" else at
            if "room_id" in event and "offset" in at:
                held = self.cursors.setdefault(event["room_id"], [0, 0])
                held[:2] = max(held[:2], [at["epoch"], at["offset"]])
        self._taken = len(self._raw.events)

    def _look(self, event: dict[str, Any]) -> None:
        """Apply events to the views; list a room again after `sync.reset`."""
        room_id = event.get("room_id", "")
        if event["type"] == "room.added":
            self.views[room_id] = View(self.user, event["data"]["room"])
        elif event["type"] in ("room.removed", "sync.reset"):
            self.views.pop(room_id, None)
        elif view := self.views.get(room_id):
            view.take(event)

    async def agrees(self, room_id: str) -> None:
        """Assert that snapshot plus events equals a new snapshot (D4)."""
        room = (await self.do("room.get", {"room_id": room_id}))["data"]["room"]
        if room_id not in self.views:
            self.views[room_id] = View(self.user, room)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self.views[room_id].room != room:
                    await asyncio.sleep(0.02)
                    self.take()
        assert self.views[room_id].room == room

    async def last_unread(self, room_id: str, wanted: dict[str, Any]) -> Any:
        """Return what the last `unread.changed` of a room says; wait for a while for `wanted`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self._last_unread(room_id) != wanted:
                    await asyncio.sleep(0.02)
                    self.take()
        return self._last_unread(room_id)

    def _last_unread(self, room_id: str) -> Any:
        told = [e for e in self.events if e["type"] == "unread.changed"]
        return next((e["data"] for e in reversed(told) if e["room_id"] == room_id), None)

    async def _ask(self, event: str, data: dict[str, Any]) -> dict[str, Any]:
        raw = await self._open()
        namespace = NAMESPACES.get(event.split(".")[0], "/chat")
        text = json.dumps([event, data])
        try:
            return await raw.ask(next(self._ids), text, namespace, NO_ACK)
        finally:
            self.take()

    async def _open(self) -> Raw:
        """Return the connection; open a new one if it is closed."""
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
        self.take()
        await self._list(raw)
        return raw

    async def _list(self, raw: Raw) -> None:
        """Read what no event tells a client that was away."""
        for hidden in (False, True):
            asked = json.dumps(["room.list", {"hidden": hidden}])
            answer = await raw.ask(next(self._ids), asked)
            if not answer["ok"]:
                raise ConnectionError(answer)
            self.take()
            for room in answer["data"]["rooms"]:
                view = self.views.setdefault(room["room_id"], View(self.user, room))
                view.learn(room)
