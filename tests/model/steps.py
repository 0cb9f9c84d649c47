"""Random steps on the real chat and on the model, which are then compared."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from rts_server import keys
from rts_server.domain.roles import Role
from rts_server.tools.dev import deploy
from tests.helpers.queue_depth import queue_depth
from tests.helpers.sender import positions_are_unique
from tests.helpers.valkey import lengths
from tests.helpers.waiting import until
from tests.helpers.world import World, name, ready
from tests.helpers.world_redis import servers, wipe
from tests.model.chat import Chat
from tests.model.device import Device

ROLES: tuple[Role, ...] = ("owner", "admin", "member", "readonly")
EMOJI = ("+", "-")
Commands = dict[str, tuple[str, dict[str, Any], Callable[[], Any]]]
"""Kind → (event name, payload, the same change of the model; it returns the expected answer)."""
LAMBDAS = ("chat-message-to-db", "chat-room-to-db")


class Play:
    """Three users with two devices each, on two instances."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.chance, self.model = world, random.Random(seed), Chat()
        self.users = [name(who) for who in ("alice", "bob", "carol")]
        self.devices = {user: [Device(world, user, i) for i in range(2)] for user in self.users}
        self.ids: dict[str, str] = {}
        self.messages: dict[str, dict[int, str]] = {}
        self.log: list[str] = []
        self.paused = False

    async def play(self, steps: int) -> None:
        """Do so many steps, then compare everything."""
        try:
            for number in range(steps):
                await self.step(number)
            await self.resume()
            await self.compare()
        finally:
            await self.resume()
            for devices in self.devices.values():
                for device in devices:
                    await device.close()

    async def step(self, number: int) -> None:
        """Do one random command, or a fault."""
        drawn = self.chance.random()
        if drawn < 0.015 and not self.paused:
            await self.wipe()
        elif drawn < 0.03:
            await (self.resume() if self.paused else self.pause())
        elif drawn < 0.04:
            await self.kill(self.chance.randrange(2))
        elif len(self.model.rooms) < 2 or drawn < 0.08:
            await self.create(number)
        else:
            await self.command(number)

    # Faults

    async def wipe(self) -> None:
        """Empty Redis; then every user repeats their cursors, as a client does."""
        self.log.append("wipe")
        await asyncio.to_thread(until, lambda: self.waiting("chat-room-queue") == 0)
        wipe(self.world)
        for user, devices in self.devices.items():
            for key, room in self.model.listed(user).items():
                room_id = self.ids[key]
                read = {"room_id": room_id, "up_to_seq": room["read"]}
                delivered = {"rooms": {room_id: room["delivered"]}}
                for event, data in (("receipt.read", read), ("receipt.delivered", delivered)):
                    answer = await devices[0].do(event, data)
                    assert answer["ok"], answer

    async def pause(self) -> None:
        """Stop the Lambdas."""
        self.log.append("pause")
        for function in LAMBDAS:
            await asyncio.to_thread(self.switch, function, False)
        self.paused = True

    async def resume(self) -> None:
        """Start the Lambdas and wait until everything is stored."""
        if self.paused:
            self.log.append("resume")
            for function in LAMBDAS:
                await asyncio.to_thread(self.switch, function, True)
            await asyncio.to_thread(until, lambda: self.waiting(*QUEUES) == 0)
            self.paused = False

    async def kill(self, instance: int) -> None:
        """Kill an instance and start it again."""
        self.log.append(f"kill {instance}")
        self.world.webs[instance].kill()
        self.world.webs[instance].start()
        await asyncio.to_thread(until, lambda: ready(self.world.urls[instance]))

    def switch(self, function: str, on: bool) -> None:
        """Return the event source mapping of a function."""
        deploy.set_queue_enabled(self.world.stack.settings, function, enabled=on)

    def waiting(self, *queues: str) -> int:
        """Return the number of records in the outboxes and in these queues."""
        outbox = sum(lengths(server, keys.EVERY_OUTBOX) for server in servers(self.world))
        return outbox + queue_depth(self.world.stack.settings, queues)

    # Commands

    async def create(self, number: int) -> None:
        """Create a direct room or a group."""
        user, other = self.chance.sample(self.users, 2)
        if self.chance.random() < 0.4:
            key, outcome = self.model.direct(user, other), "ok"
            asked: dict[str, Any] = {"type": "direct", "members": [other]}
        else:
            name_ = f"{self.users[0]}:{self.chance.randrange(3)}"
            key, outcome = self.model.group(user, name_, [other])
            asked = {"type": "group", "external_id": name_, "members": [other]}
        data = await self.do(user, "room.create", asked, outcome)
        if outcome == "ok":
            self.ids.setdefault(key, data["room"]["room_id"])
            assert self.ids[key] == data["room"]["room_id"]

    async def command(self, number: int) -> None:
        """Send a command on a room, from a member or a stranger."""
        key = self.chance.choice(list(self.model.rooms))
        user, other = self.chance.choice(self.users), self.chance.choice(self.users)
        text = f"text {number}"
        commands = {
            **self.personal_commands(key, user),
            **self.member_commands(key, user, other),
            **self.room_commands(key, user, text),
            **self.message_commands(key, user, text),
        }
        kind = self.chance.choice([*commands, *["send"] * len(commands)])
        if kind == "send":
            await self.send(key, user, text, f"m{number}")
        else:
            event, data, apply = commands[kind]
            await self.do(user, event, data, apply())

    def personal_commands(self, key: str, user: str) -> Commands:
        """Receipts and settings of the user."""
        room, at = self.model.rooms[key], {"room_id": self.ids[key]}
        upto, on = self.chance.randrange(room.seq + 2), self.chance.random() < 0.6
        return {
            "read": ("receipt.read", at | {"up_to_seq": upto}, lambda: room.read(user, upto)),
            "deliver": (
                "receipt.delivered",
                {"rooms": {self.ids[key]: upto}},
                lambda: room.deliver(user, upto),
            ),
            "mute": (
                "room.mute",
                at | {"muted": on},
                lambda: room.change_setting(user, "muted", on),
            ),
            "hide": (
                "room.hide",
                at | {"hidden": on},
                lambda: room.change_setting(user, "hidden", on),
            ),
        }

    def member_commands(self, key: str, user: str, other: str) -> Commands:
        """Changes of members, of another user or of the user's own membership."""
        room, at = self.model.rooms[key], {"room_id": self.ids[key]}
        role, member = self.chance.choice(ROLES), at | {"user_ids": [other]}
        return {
            "add": ("member.add", member | {"role": role}, lambda: room.add(user, other, role)),
            "remove": ("member.remove", member, lambda: room.remove(user, other)),
            "leave": ("room.leave", at, lambda: room.leave(user)),
            "role": (
                "member.update",
                at | {"user_id": other, "role": role},
                lambda: room.set_role(user, other, role),
            ),
        }

    def room_commands(self, key: str, user: str, text: str) -> Commands:
        """Changes of the room itself."""
        room, at = self.model.rooms[key], {"room_id": self.ids[key]}
        frozen = self.chance.random() < 0.3
        return {
            "name": ("room.update", at | {"name": text}, lambda: room.update(user, name=text)),
            "freeze": (
                "room.update",
                at | {"frozen": frozen},
                lambda: room.update(user, frozen=frozen),
            ),
        }

    def message_commands(self, key: str, user: str, text: str) -> Commands:
        """Changes of one of the room's messages; none if there are none."""
        room = self.model.rooms[key]
        seqs = [m.seq for m in room.messages if not m.system]
        if not seqs:
            return {}
        seq = self.chance.choice(seqs)
        emoji, on = self.chance.choice(EMOJI), self.chance.random() < 0.6
        message_id = self.messages.get(key, {}).get(seq, "none")
        message = {"room_id": self.ids[key], "message_id": message_id}
        return {
            "edit": (
                "message.edit",
                message | {"text": text},
                lambda: room.edit(user, seq, text),
            ),
            "delete": ("message.delete", message, lambda: room.delete(user, seq)),
            "react": (
                "message.react",
                message | {"emoji": emoji, "on": on},
                lambda: room.react(user, seq, emoji, on),
            ),
        }

    async def send(self, key: str, user: str, text: str, client_msg_id: str) -> None:
        """Send a message."""
        room = self.model.rooms[key]
        outcome = room.send(user, text)
        asked = {"room_id": self.ids[key], "client_msg_id": client_msg_id, "text": text}
        data = await self.do(user, "message.send", asked, outcome)
        if outcome == "ok":
            assert data["seq"] == room.seq
            self.messages.setdefault(key, {})[room.seq] = data["message_id"]

    async def do(self, user: str, event: str, asked: dict[str, Any], wanted: str) -> Any:
        """Send a command, perhaps again from the other device; assert the model's outcome."""
        self.log.append(f"{user} {event} {asked} → {wanted}")
        first, second = self.chance.sample(self.devices[user], 2)
        answer = await first.do(event, asked)
        code = "ok" if answer["ok"] else answer["error"]["code"]
        assert code == wanted, (self.log[-8:], answer)
        if wanted == "ok" and self.chance.random() < 0.2:
            again = await second.do(event, asked)
            gone = event == "room.leave" or asked.get("user_ids") == [user]
            assert again["ok"] or gone, (self.log[-8:], again)
        return answer.get("data")

    # What everybody sees

    async def compare(self) -> None:
        """Assert that all views of every user equal the model's, on both instances."""
        for user, devices in self.devices.items():
            await self.compare_totals_by_events(user, devices)
            for device in devices:
                await self.lists(user, device)
                for key in self.model.listed(user):
                    await self.history(key, device)
                    await self.members(key, user, device)
                    await device.agrees(self.ids[key])
                await self.strangers(user, device)
        self.live()

    async def lists(self, user: str, device: Device) -> None:
        """Compare room.list with its totals, and unread.get."""
        found: dict[str, dict[str, Any]] = {}
        for hidden in (False, True):
            data = (await device.do("room.list", {"hidden": hidden}))["data"]
            assert data["unread"] == self.model.totals(user), self.log
            found |= {room["room_id"]: room for room in data["rooms"]}
        shown = {
            "role": "role",
            "name": "name",
            "frozen": "frozen",
            "seq": "seq",
            "members": "member_count",
            "read": "read_seq",
            "delivered": "delivered_seq",
            "unread": "unread",
            "muted": "muted",
            "hidden": "hidden",
        }
        seen = {
            room_id: {mine: room[theirs] for mine, theirs in shown.items()}
            for room_id, room in found.items()
        }
        wanted = {self.ids[key]: room for key, room in self.model.listed(user).items()}
        assert seen == wanted, self.log
        totals = (await device.do("unread.get", {}))["data"]["unread"]
        assert totals == self.model.totals(user)

    async def compare_totals_by_events(self, user: str, devices: list[Device]) -> None:
        """Mute a room and back; compare what every device is told, which no read corrects."""
        for device in devices:
            await device.do("unread.get", {})  # it is connected now
        for key, room in self.model.listed(user).items():
            at = {"room_id": self.ids[key]}
            for muted in (not room["muted"], room["muted"]):
                await devices[0].do("room.mute", at | {"muted": muted})
            told = {"unread": room["unread"], "read_seq": room["read"], **self.model.totals(user)}
            for device in devices:
                assert await device.last_unread(at["room_id"], told) == told, self.log

    async def history(self, key: str, device: Device) -> None:
        """Compare every message in its newest state, and a sync from the beginning."""
        at = {"room_id": self.ids[key]}
        seen: list[dict[str, Any]] = []
        while True:
            after = {"after_seq": seen[-1]["seq"] if seen else 0, "limit": 40}
            page = (await device.do("message.list", at | after))["data"]
            seen += page["messages"]
            if not page["has_more"]:
                break
        wanted = [message.shown() for message in self.model.rooms[key].messages]
        assert [_shown(message) for message in seen] == wanted, self.log
        room = (await device.do("room.get", at))["data"]["room"]
        synced = await device.do("sync", {"cursors": {at["room_id"]: [room["epoch"], 1]}})
        told = synced["data"]["rooms"][at["room_id"]]
        offsets = [event["offset"] for event in told["events"]]
        assert offsets == list(range(2, 2 + len(offsets))) or not told["recovered"]
        ids = {message["message_id"] for message in seen}
        new = [event for event in told["events"] if event["type"] == "message.new"]
        assert {event["data"]["message"]["message_id"] for event in new} <= ids

    async def members(self, key: str, user: str, device: Device) -> None:
        """Compare member.list, receipt.list, unread.explain and message.get."""
        room, at = self.model.rooms[key], {"room_id": self.ids[key]}
        members = (await device.do("member.list", at))["data"]["members"]
        roles = {member["user_id"]: member["role"] for member in members}
        assert roles == {one: seat.role for one, seat in room.seats.items()}, self.log
        receipts = (await device.do("receipt.list", at))["data"]["receipts"]
        cursors = {r["user_id"]: (r["read_seq"], r["delivered_seq"]) for r in receipts}
        assert cursors == {u: (s.read, s.delivered) for u, s in room.seats.items()}, self.log
        told = (await device.do("unread.explain", at))["data"]
        assert told["unread"] == room.unread(user), self.log
        assert told["unread"] == told["seq"] - told["read_seq"] - told["uncounted"]
        for seq, message_id in list(self.messages.get(key, {}).items())[-1:]:
            one = (await device.do("message.get", at | {"message_id": message_id}))["data"]
            assert _shown(one["message"]) == room.messages[seq - 1].shown(), self.log

    async def strangers(self, user: str, device: Device) -> None:
        """Assert that rooms of others are not found (A4)."""
        for key, room_id in self.ids.items():
            if user not in self.model.rooms[key].seats:
                answer = await device.do("message.list", {"room_id": room_id})
                assert answer["error"]["code"] == "not_found", self.log

    def live(self) -> None:
        """Assert unique positions and no duplicate messages in what the devices received."""
        devices = [device for devices in self.devices.values() for device in devices]
        positions_are_unique(*devices)
        for device in devices:
            new = Counter(
                (e["room_id"], e["epoch"], e["offset"]) for e in device.events if "offset" in e
            )
            assert not [at for at, times in new.items() if times > 1], self.log


QUEUES = ("chat-message-queue.fifo", "chat-room-queue", "chat-cursor-queue")


def _shown(message: dict[str, Any]) -> dict[str, Any]:
    reactions = message["reactions"]
    return {
        "seq": message["seq"],
        "sender": message["sender_id"],
        "text": message["text"],
        "deleted": "deleted_at" in message,
        "reactions": {emoji: set(one["user_ids"]) for emoji, one in reactions.items()},
    }
