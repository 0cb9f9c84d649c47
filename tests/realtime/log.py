"""A scripted room log, and a client that checks what it receives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rts_server.domain.position import Position
from rts_server.engine.packets import Encoded
from rts_server.realtime.listener import Listener
from rts_server.realtime.sequence import parse_stored
from rts_server.views.snapshots import EventRange

ROOM = "room"


@dataclass(frozen=True)
class Standing:
    """A snapshot as `SnapshotReader.read` returns it."""

    position: Position
    members: dict[str, Any]


@dataclass
class Log:
    """The complete log. `events`: the part in the hot log; `stored`: the last offset that cannot
    be lost; `delay`: turns until a read answers; `failures`: exceptions of the next reads."""

    epoch: int = 1
    offset: int = 0
    events: dict[Position, bytes] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    cold: bool = False
    prev: Position = (0, 0)
    stored: int = 0
    delay: int = 0
    reads: int = 0
    failures: list[Exception] = field(default_factory=list)

    @property
    def head(self) -> Position:
        """The last position."""
        return self.epoch, self.offset

    def append(self, kind: str = "message.new", **data: Any) -> bytes:
        """Append an event, by default a message of a stranger; return it as it is published."""
        self.offset += 1
        if kind == "message.new" and not data:
            data["message"] = {"seq": self.offset, "sender_id": "stranger", "type": "text"}
        event = {"type": kind, "epoch": self.epoch, "offset": self.offset, "data": data}
        text = json.dumps(event)
        self.events[self.head] = f"{self.epoch} {self.offset} {text}".encode()
        return f"{self.epoch} {self.offset} {kind} {text}".encode()

    def remove(self, user_id: str) -> bytes:
        """Remove a member, durably."""
        self.members.discard(user_id)
        removal = self.append("member.removed", members=[{"user_id": user_id}])
        self.stored = self.offset
        return removal

    def trim(self, keep: int) -> None:
        """Keep only the newest events."""
        self.events = dict(sorted(self.events.items())[-keep:]) if keep else {}

    def wipe(self, lost: int) -> None:
        """Lose the data of Redis; of the newest events so many were not archived."""
        self.cold, self.events = True, {}
        self.prev = (self.epoch, max(self.stored, self.offset - lost))

    def open(self) -> bytes:
        """Open a new epoch at the archived position."""
        self.cold, self.epoch, self.offset, self.stored = False, self.epoch + 1, 0, 0
        return self.append("room.epoch", prev=list(self.prev))

    async def read_many(
        self, asked: Sequence[tuple[str, Sequence[str]]]
    ) -> Sequence[Standing | None]:
        """Read position and members now, return them later."""
        standing = None
        if not self.cold:
            (users,) = [users for _, users in asked]
            seats = {user: (user in self.members) or None for user in users}
            standing = Standing(self.head, seats)
        await self._answer()
        return [standing]

    async def events_since(
        self, asked: Sequence[tuple[str, Position, int]], user_id: str = "", budget: int = 0
    ) -> Sequence[EventRange]:
        """Return the events after a position, all or none."""
        ((_, position, most),) = asked
        found = EventRange(None if self.cold else self.head, self._behind(position, most))
        await self._answer()
        return [found]

    def _behind(self, position: Position, most: int) -> list[bytes] | None:
        if self.cold or position[0] != self.epoch or position > self.head:
            return None
        if position == self.head:
            return []
        if (position[0], position[1] + 1) not in self.events:
            return None
        return [text for at, text in sorted(self.events.items()) if at > position][:most]

    async def _answer(self) -> None:
        self.reads += 1
        if self.failures:
            raise self.failures.pop()
        for _ in range(self.delay):
            await asyncio.sleep(0)


class Client:
    """A listener that follows the rules of the protocol and complains when they are broken.
    `loose`: it joined a cold room, and stays at the archived position until the next epoch."""

    def __init__(self, user_id: str) -> None:
        self.listener = Listener(user_id, self.take, self.take)
        self.cursor: Position | None = None
        self.start: Position = (0, 0)
        self.position: Position | None = None
        self.loose = False
        self.packets: list[str] = []
        self.resets = 0
        self.broken = False
        self.removed_at: Position | None = None
        self.complaints: list[str] = []

    @property
    def offsets(self) -> list[int]:
        """The offsets of the events that were written."""
        return [e["offset"] for e in map(_event, self.packets) if e["type"] != "sync.reset"]

    def take(self, packet: Encoded) -> None:
        """Check an event: it is the next one, or the beginning of a new stream."""
        self.packets.append(packet.data)
        event = _event(packet.data)
        try:
            if event["type"] == "sync.reset":
                self._reset((event["data"]["epoch"], event["data"]["offset"]))
            else:
                self.follow((event["epoch"], event["offset"]), event)
        except AssertionError as broken:  # a socket never raises into the room
            self.complaints.append(str(broken))

    def _reset(self, at: Position) -> None:
        assert self.position is not None, "a reset before the stream began"
        assert at >= self.position, f"a reset from {self.position} back to {at}"
        self.position, self.broken, self.loose = at, False, False
        self.resets += 1

    def follow(self, at: Position, event: dict[str, Any]) -> None:
        """Check one event of the log."""
        assert self.position is not None, f"{at} before the stream began"
        assert self.removed_at is None or at <= self.removed_at, f"{at} after the removal"
        if event["type"] == "room.epoch":
            stood = self.cursor if self.loose else self.position
            self.broken = self.broken or tuple(event["data"]["prev"]) != stood
            self.loose = False
        elif not self.loose:
            assert not self.broken, f"{at} although the stream was broken"
            assert at == (self.position[0], self.position[1] + 1), f"{at} after {self.position}"
        if not self.broken:
            self.position = at


def _event(packet: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(packet.removeprefix("2/chat,"))[1]
    return event


def replay(client: Client, stored: list[bytes]) -> None:
    """The missed events that a session writes before its stream."""
    for data in stored:
        heard = parse_stored(data)
        client.follow(heard.position, json.loads(heard.text))
