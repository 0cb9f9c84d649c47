"""A device that follows the protocol: it reconnects with cursors and repeats commands."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress

import aiohttp

from tests.helpers.js_client import ConnectRefused
from tests.nemesis.held import Held
from tests.nemesis.recorder import Command, History, Json, Session
from tests.nemesis.wire import Closed, Wire, wire

PATIENCE = 6.0
"""Seconds a client waits for an ack before it breaks the connection (ackTimeout ≥ 6 s)."""
BACKOFF = (0.1, 0.5)
PAGE = 100
LOST = (OSError, TimeoutError, aiohttp.ClientError, Closed, ConnectRefused)


class Device:
    """One user's device on one instance. `rooms`: its copy of each room it is in."""

    def __init__(
        self, history: History, name: str, user: str, door: str, token: str, kind: str, seed: str
    ) -> None:
        self.name, self.user = name, user
        self.instance = 0
        self.chance = random.Random(seed)
        self.rooms: dict[str, Held] = {}
        self.receipts: dict[str, list[int]] = {}
        self._history, self._door, self._token, self._kind = history, door, token, kind
        self._wire: Wire | None = None
        self._session: Session | None = None
        self._opening = asyncio.Lock()
        self._stale: set[str] = set()
        self._listed = -1
        """The session whose room list was read: without cursors no room is announced."""

    async def do(self, event: str, data: Json) -> Command:
        """Send a command until its answer is final."""
        return (await self.all([(event, data)]))[0]

    async def all(self, commands: Sequence[tuple[str, Json]]) -> list[Command]:
        """Send commands together, in order; then repeat, in order, those that must be repeated."""
        said = await self._say(commands)
        for number, (event, data) in enumerate(commands):
            while not _final(said[number]):
                await asyncio.sleep(self.chance.uniform(*BACKOFF))
                said[number] = (await self._say([(event, data)]))[0]
        return said

    async def drop(self) -> None:
        """Break the connection."""
        async with self._opening:
            await self._part()

    async def close(self) -> None:
        """Disconnect for good; the copies of rooms stay."""
        await self.drop()

    async def fresh(self) -> None:
        """Connect, and list every room again whose messages were dropped."""
        _, session = await self._connected()
        if not session.cursors and session.number != self._listed:
            await self._list_rooms()
            self._listed = session.number
        for room_id in sorted(self._stale & self.rooms.keys()):
            await self._list(room_id)

    async def _say(self, commands: Sequence[tuple[str, Json]]) -> list[Command]:
        """Try each command once. A try without an answer in time breaks the connection."""
        link, session = await self._connected()
        said: list[Command] = []
        waiting: list[asyncio.Future[None]] = []
        for event, data in commands:
            command = self._history.record_command(session, event, data)
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def answered(
                answer: Json, command: Command = command, done: asyncio.Future[None] = done
            ) -> None:
                command.answers.append((self._history.now(), answer))
                if not done.done():
                    done.set_result(None)

            said.append(command)
            waiting.append(done)
            link.say(event, data, answered)
        over = asyncio.create_task(link.ended.wait())
        acked = asyncio.ensure_future(asyncio.gather(*waiting))
        try:
            await asyncio.wait(
                (over, acked), timeout=self._patience(), return_when="FIRST_COMPLETED"
            )
            if not acked.done():
                async with self._opening:
                    await self._part(session)
        finally:
            over.cancel()
            acked.cancel()
            await asyncio.gather(over, acked, return_exceptions=True)
        return said

    def _patience(self) -> float:
        """Wait longer on a slow machine, where an answer may be read late."""
        lag = max((lag for at, lag in self._history.lags[-100:]), default=0.0)
        return PATIENCE + 4 * lag

    async def _connected(self) -> tuple[Wire, Session]:
        async with self._opening:
            while self._wire is None or self._session is None or self._wire.ended.is_set():
                await self._part()
                try:
                    await self._connect()
                except LOST:
                    await self._part()
                    await asyncio.sleep(self.chance.uniform(*BACKOFF))
            return self._wire, self._session

    async def _connect(self) -> None:
        cursors = {
            room_id: [*held.cursor, *self.receipts.get(room_id, [])]
            for room_id, held in self.rooms.items()
        }
        session = self._history.session(self.name, self.user, self.instance, cursors)
        self._session = session
        made = wire(self._kind, lambda event: self._hear(session, event))
        self._wire = made
        await made.open(self._door, self._token, cursors)

    async def _part(self, session: Session | None = None) -> None:
        """Drop the connection (only that of `session`, if it is given)."""
        if session is not None and session is not self._session:
            return
        gone, self._wire = self._wire, None
        if self._session is not None and self._session.ended is None:
            self._session.ended = self._history.now()
        if gone is not None:
            with suppress(*LOST):
                await gone.close()

    def _hear(self, session: Session, event: Json) -> None:
        if session.ended is not None:
            return
        self._history.hears(session, event)
        kind, room_id, data = event["type"], event.get("room_id", ""), event["data"]
        if kind == "session.ready":
            for one in [one for one, recovered in data["recovered"].items() if not recovered]:
                self._drop(one)
        elif kind == "room.added":
            held = self.rooms.setdefault(room_id, Held())
            if not held.whole:
                held.learn(data["room"])
                self._stale.add(room_id)
        elif kind == "room.removed":
            self.rooms.pop(room_id, None)
        elif kind == "sync.reset":
            self._drop(room_id, (data["epoch"], data["offset"]))
        elif "offset" in event and room_id in self.rooms:
            self.rooms[room_id].take(event)

    def _drop(self, room_id: str, cursor: tuple[int, int] | None = None) -> None:
        if room_id in self.rooms:
            self.rooms[room_id].reset(cursor)
            self._stale.add(room_id)

    async def _list_rooms(self) -> None:
        told = (await self.do("room.list", {"limit": 50})).ok or {}
        for room in told.get("rooms", ()):
            if room["room_id"] not in self.rooms:
                self.rooms[room["room_id"]] = held = Held()
                held.learn(room)
                self._stale.add(room["room_id"])

    async def _list(self, room_id: str) -> None:
        """Read the room, then all pages, newest first, while events are still applied."""
        self._stale.discard(room_id)
        told = (await self.do("room.get", {"room_id": room_id})).ok
        held = self.rooms.get(room_id)
        if told is None or held is None:  # no member any more; room.removed says so
            return
        held.learn(told["room"])
        held.whole = True
        before: Json = {}
        while held.whole:
            asked = {"room_id": room_id, "limit": PAGE} | before
            page = (await self.do("message.list", asked)).ok
            if page is None or not held.whole:  # reset meanwhile: the page could leave a hole
                break
            held.page(page["messages"])
            if not page["has_more"]:
                break
            before = {"before_seq": page["messages"][0]["seq"]}


def _final(command: Command) -> bool:
    """Return whether a client stops repeating the command."""
    answer = command.answer
    return answer is not None and (answer["ok"] or not answer["error"]["retryable"])
