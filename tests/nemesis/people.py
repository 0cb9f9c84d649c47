"""Simulated users: their actions are drawn from the seed, the timing is the machine's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.nemesis.device import Device
from tests.nemesis.recorder import Command, Json

PAUSE = (0.02, 0.25)
MOST_ROOMS = 4
Act = Callable[[], Awaitable[Any]]


@dataclass
class Mine:
    """A message of this device; other devices change only its reactions."""

    room_id: str
    message_id: str
    client_msg_id: str
    text: str
    deleted: bool = False
    reactions: set[str] = field(default_factory=set)


class Person:
    """A simulated user with one device. Only this device uses `emoji`."""

    def __init__(self, device: Device, emoji: str) -> None:
        self.device, self.emoji = device, emoji
        self.mine: list[Mine] = []
        self.others: dict[str, bool] = {}
        self._sent = 0

    async def live(self, until: asyncio.Event) -> None:
        """Act again and again; finish what was begun."""
        while not until.is_set():
            await self.device.fresh()
            if self.device.rooms:
                await self.one()
            await asyncio.sleep(self.device.chance.uniform(*PAUSE))

    async def one(self) -> None:
        """Do one random action."""
        acts: dict[Act, int] = {
            self.send: 10,
            self.again: 2,
            self.edit: 4,
            self.delete: 1,
            self.react: 3,
            self.read: 3,
            self.delivered: 2,
            self.list: 3,
            self.rooms: 1,
            self.sync: 2,
            self.drop: 1,
            self.type_: 1,
        }
        await self.device.chance.choices(list(acts), list(acts.values()))[0]()

    def room(self) -> str:
        """Return a random room of the device."""
        return self.device.chance.choice(sorted(self.device.rooms))

    async def send(self) -> None:
        """Send one to three messages together."""
        room_id, batch = self.room(), []
        for _ in range(self.device.chance.choice((1, 1, 2, 3))):
            self._sent += 1
            text = f"{self.device.name} {self._sent}"
            chosen = f"{self.device.name}-{self.device.chance.getrandbits(64):x}"
            batch.append(
                ("message.send", {"room_id": room_id, "client_msg_id": chosen, "text": text})
            )
        for command in await self.device.all(batch):
            self._sent_one(command)

    def _sent_one(self, command: Command) -> None:
        if command.ok is not None:
            asked = command.data
            self.mine.append(
                Mine(
                    asked["room_id"],
                    command.ok["message_id"],
                    asked["client_msg_id"],
                    asked["text"],
                )
            )

    def _any_mine(self, **wanted: bool) -> Mine | None:
        here = [m for m in self.mine if m.room_id in self.device.rooms and m.deleted is False]
        return self.device.chance.choice(here[-8:]) if here else None

    async def again(self) -> None:
        """Repeat a message; the first result is expected (D7)."""
        if one := self._any_mine():
            asked = {"room_id": one.room_id, "client_msg_id": one.client_msg_id, "text": one.text}
            await self.device.do("message.send", asked)

    async def edit(self) -> None:
        """Edit an own message."""
        if one := self._any_mine():
            self._sent += 1
            text = f"{self.device.name} {self._sent} edited"
            asked = {"room_id": one.room_id, "message_id": one.message_id, "text": text}
            await self.device.do("message.edit", asked)

    async def delete(self) -> None:
        """Delete an own message."""
        if one := self._any_mine():
            one.deleted = True
            asked = {"room_id": one.room_id, "message_id": one.message_id}
            await self.device.do("message.delete", asked)

    async def react(self) -> None:
        """Add or remove a reaction to a known message."""
        room_id = self.room()
        known = [
            m["message_id"]
            for m in self.device.rooms[room_id].messages.values()
            if m["type"] != "system" and "deleted_at" not in m
        ]
        if known:
            chosen = self.device.chance.choice(known[-10:])
            on = not self.others.get(chosen, False)
            asked = {"room_id": room_id, "message_id": chosen, "emoji": self.emoji, "on": on}
            if (await self.device.do("message.react", asked)).ok is not None:
                self.others[chosen] = on

    def _upto(self, room_id: str) -> int:
        return max((m["seq"] for m in self.device.rooms[room_id].messages.values()), default=0)

    async def read(self) -> None:
        """Mark as read, up to a random seq."""
        room_id = self.room()
        if upto := self._upto(room_id):
            upto -= self.device.chance.choice((0, 0, 1, min(upto, 5)))
            done = await self.device.do("receipt.read", {"room_id": room_id, "up_to_seq": upto})
            self._note(room_id, done.ok)

    def _note(self, room_id: str, told: Json | None) -> None:
        if told and room_id in self.device.rooms:
            held = self.device.receipts.get(room_id, [0, 0])
            at = (told["read_seq"], told["delivered_seq"])
            self.device.receipts[room_id] = [max(pair) for pair in zip(held, at, strict=True)]

    async def delivered(self) -> None:
        """Mark as delivered, in all rooms."""
        upto = {room_id: self._upto(room_id) for room_id in self.device.rooms}
        await self.device.do("receipt.delivered", {"rooms": upto})

    async def list(self) -> None:
        """List the newest page."""
        await self.device.do("message.list", {"room_id": self.room(), "limit": 100})

    async def rooms(self) -> None:
        """List the rooms."""
        await self.device.do("room.list", {})

    async def sync(self) -> None:
        """Sync from a recent position."""
        room_id = self.room()
        epoch, offset = self.device.rooms[room_id].cursor
        cursor = [epoch, max(1, offset - self.device.chance.randrange(12))]
        await self.device.do("sync", {"cursors": {room_id: cursor}})

    async def type_(self) -> None:
        """Start typing."""
        await self.device.do("typing.start", {"room_id": self.room()})

    async def drop(self) -> None:
        """Lose the connection for a moment."""
        await self.device.drop()


class Owner(Person):
    """The owner, who also removes a member and adds them again."""

    def __init__(self, device: Device, emoji: str, others: list[str]) -> None:
        super().__init__(device, emoji)
        self.made: list[str] = []
        self._others, self._member, self._in = others, dict[str, Any](), True

    async def create(self) -> str:
        """Create a group with all users."""
        asked = {"type": "group", "client_room_id": f"g{len(self.made)}", "name": "G"}
        told = (await self.device.do("room.create", asked | {"members": self._others})).ok
        assert told is not None
        self.made.append(told["room"]["room_id"])
        self._member = self._member or {"room_id": self.made[0], "user_ids": self._others[-1:]}
        return self.made[-1]

    async def one(self) -> None:
        """Do one random action, or change a membership."""
        drawn = self.device.chance.random()
        if drawn < 0.12:
            await self.device.do("member.remove" if self._in else "member.add", self._member)
            self._in = not self._in
        elif drawn < 0.15 and len(self.made) < MOST_ROOMS:
            await self.create()
        else:
            await super().one()
