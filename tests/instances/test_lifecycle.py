"""The whole lifecycle of a chat: two users with two devices each, on two instances."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest

from tests.helpers.commands import ok, refused
from tests.helpers.js_client import JsClient
from tests.helpers.pair import deployed
from tests.helpers.rooms import durable
from tests.helpers.waiting import until
from tests.helpers.world import World, name
from tests.instances.model import Model, stored

pytestmark = pytest.mark.on_both


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, primaries: int) -> Iterator[World]:
    """Return two instances of this module's own, on one Redis or on a cluster."""
    yield from deployed(tmp_path_factory, shards=primaries)


class Person:
    """A user with a device on each instance; commands go out by them in turn."""

    def __init__(self, user_id: str, devices: list[JsClient]) -> None:
        self.user_id, self.devices, self._turn = user_id, devices, 0

    @property
    def device(self) -> JsClient:
        """The next device."""
        self._turn += 1
        return self.devices[self._turn % len(self.devices)]

    async def do(self, event: str, **data: Any) -> Any:
        """A command that must be ok, and may be repeated from the other device."""
        first = await ok(self.device, event, data)
        again = await ok(self.device, event, data)
        assert set(first) <= set(again) | {"duplicate"}
        return first

    async def refused(self, event: str, **data: Any) -> str:
        """The code of a command that must not be."""
        return await refused(self.device, event, data)

    async def until(self, kind: str, count: int) -> list[dict[str, Any]]:
        """The data of this kind of event, as every device of his has it."""
        for device in self.devices:
            await device.until(lambda d=device: len(d.of_type(kind)) >= count)  # type: ignore[misc]
        seen = [[e["data"] for e in device.of_type(kind)] for device in self.devices]
        assert seen[0] == seen[1]
        return seen[0]


class Walk:
    """Two people in one room, and the model of what they did."""

    def __init__(self, alice: Person, bob: Person, carol: str, room_id: str) -> None:
        self.alice, self.bob, self.carol, self.room_id = alice, bob, carol, room_id
        self.model = Model(room_id, alice.user_id, [bob.user_id])

    async def send(self, who: Person, text: str, **more: Any) -> str:
        """A message; its id."""
        message = {"client_msg_id": secrets.token_hex(8), "text": text, **more}
        data = await who.do("message.send", room_id=self.room_id, **message)
        assert data["status"] == "queued"
        self.model.send(who.user_id, data["message_id"], text, **more)
        return str(data["message_id"])

    async def messages(self) -> None:
        """Send, reply, mention, edit, react, delete."""
        at: dict[str, Any] = {"room_id": self.room_id}
        alice, bob, model = self.alice, self.bob, self.model
        hello = await self.send(alice, "hello", mentions=[bob.user_id])
        reply = await self.send(bob, "hi", reply_to=hello)
        edited = await alice.do("message.edit", **at, message_id=hello, text="Hello!", version=1)
        assert edited["message"]["version"] == 2
        model.edit(hello, text="Hello!")
        stale = {"message_id": hello, "text": "late", "version": 1}
        assert await alice.refused("message.edit", **at, **stale) == "conflict"
        assert await bob.refused("message.edit", **at, message_id=hello, text="x") == "forbidden"
        for who, on in ((bob, True), (alice, True), (bob, False)):
            await who.do("message.react", **at, message_id=hello, emoji="👍", on=on)
            model.react(hello, "👍", who.user_id, on=on)
        shown = (await bob.do("message.get", **at, message_id=hello))["message"]
        assert shown["reactions"] == {"👍": {"count": 1, "user_ids": [alice.user_id]}}
        deltas = [d for d in await bob.until("message.updated", 4) if "reaction" in d]
        assert [d["counts"] for d in deltas] == [{"👍": 1}, {"👍": 2}, {"👍": 1}]
        assert await bob.refused("message.delete", **at, message_id=hello) == "forbidden"
        await alice.do("message.delete", **at, message_id=reply)  # an owner deletes any
        model.delete(reply, alice.user_id)
        again = {"message_id": reply, "emoji": "x", "on": True}
        assert await bob.refused("message.react", **at, **again) == "gone"

    async def room(self) -> None:
        """Rename, freeze, thaw."""
        at: dict[str, Any] = {"room_id": self.room_id}
        alice, bob, model = self.alice, self.bob, self.model
        change: dict[str, Any] = {"name": "Räume", "metadata": {"case": 7}}
        room = (await alice.do("room.update", **at, **change, version=1))["room"]
        assert (room["name"], room["version"], room["role"]) == ("Räume", 2, "owner")
        model.update(**change)
        assert await alice.refused("room.update", **at, name="late", version=1) == "conflict"
        assert await bob.refused("room.update", **at, name="mine") == "forbidden"
        for frozen in (True, False):
            await alice.do("room.update", **at, frozen=frozen)
            model.update(frozen=frozen)
            message = {"client_msg_id": "frozen", "text": "?"}
            if frozen:
                assert await bob.refused("message.send", **at, **message) == "forbidden"
        updates = await bob.until("room.updated", 3)
        assert [u["room"]["frozen"] for u in updates] == [False, True, False]

    async def members(self) -> None:
        """Add, promote, remove."""
        at: dict[str, Any] = {"room_id": self.room_id}
        alice, bob, carol, model = self.alice, self.bob, self.carol, self.model
        added = await alice.do("member.add", **at, user_ids=[carol, bob.user_id])
        assert added["already"] == [bob.user_id]
        model.add([carol])
        given = await alice.do("member.update", **at, user_id=bob.user_id, role="admin")
        assert given["member"]["role"] == "admin"
        model.set_role(bob.user_id, "admin")
        own = {"user_id": bob.user_id, "role": "owner"}
        assert await bob.refused("member.update", **at, **own) == "forbidden"
        removed = await bob.do("member.remove", **at, user_ids=[carol])
        assert removed == {"removed": [carol], "status": "stored"}
        model.remove([carol])
        assert [u["members"][0]["role"] for u in await bob.until("member.updated", 1)] == ["admin"]

    async def settings(self) -> None:
        """Mute and hide; a message of another brings the room back."""
        at: dict[str, Any] = {"room_id": self.room_id}
        alice, bob, model = self.alice, self.bob, self.model
        await bob.do("room.mute", **at, muted=True)
        await bob.do("room.hide", **at, hidden=True)
        model.change_settings(bob.user_id, muted=True, hidden=True)
        listed = await bob.do("room.list")
        assert self.room_id not in [room["room_id"] for room in listed["rooms"]]
        hidden = (await bob.do("room.list", hidden=True))["rooms"]
        assert [room["room_id"] for room in hidden] == [self.room_id]
        await self.send(alice, "come back")
        listed = await bob.do("room.list")
        assert [room["muted"] for room in listed["rooms"]] == [True]
        assert listed["unread"] == {"total": 0, "rooms": 0}
        states = await bob.until("room.state", 4)
        assert [(s["muted"], s["hidden"]) for s in states[-3:]] == [
            (True, False),
            (True, True),
            (True, False),
        ]
        assert not [s for s in await alice.until("room.state", 0) if s["muted"]]

    async def leaving(self) -> None:
        """The last owner hands over, leaves, reads nothing more, and comes back."""
        at: dict[str, Any] = {"room_id": self.room_id}
        alice, bob, model = self.alice, self.bob, self.model
        assert await alice.refused("room.leave", **at) == "conflict"
        assert await alice.refused("room.leave", **at, new_owner=self.carol) == "invalid_param"
        assert (await alice.do("room.leave", **at, new_owner=bob.user_id))["status"] == "stored"
        model.set_role(bob.user_id, "owner")
        model.remove([alice.user_id])
        assert [r["reason"] for r in await alice.until("room.removed", 1)] == ["removed"]
        for command, more in (
            ("message.list", {}),
            ("room.get", {}),
            ("room.mute", {"muted": True}),
        ):
            assert await alice.refused(command, **at, **more) == "not_found"
        await self.send(bob, "alone")
        await bob.do("member.add", **at, user_ids=[alice.user_id])
        model.add([alice.user_id])
        room = (await alice.do("room.get", **at))["room"]
        assert (room["role"], room["read_seq"], room["unread"]) == ("member", room["seq"] - 1, 0)
        await self.send(alice, "back")


async def test_lifecycle_of_a_chat(pair: World) -> None:
    """Everything live on all devices in one order, and the tables are what the model says."""
    async with AsyncExitStack() as clients:

        async def person(user: str) -> Person:
            opened = [pair.js(user, instance=i) for i in range(2)]
            return Person(user, [await clients.enter_async_context(one) for one in opened])

        alice, bob = await person(name("alice")), await person(name("bob"))
        asked = {"type": "group", "client_room_id": "g", "name": "G", "members": [bob.user_id]}
        room = (await alice.do("room.create", **asked))["room"]
        await bob.until("room.added", 1)
        walk = Walk(alice, bob, name("carol"), room["room_id"])
        for part in (walk.messages, walk.room, walk.members, walk.settings, walk.leaving):
            await part()
        heads = (await bob.do("room.get", room_id=room["room_id"]))["room"]
        for device in bob.devices:
            await device.until(
                lambda d=device: durable(d, walk.room_id)[-1]["offset"] == heads["offset"]  # type: ignore[misc]
            )
        one, two = (durable(device, walk.room_id) for device in bob.devices)
        assert one == two
        assert [e["offset"] for e in one] == list(range(3, heads["offset"] + 1))
        await asyncio.to_thread(settled, pair, walk)


def settled(world: World, walk: Walk) -> None:
    """The tables agree with the model as soon as everything is stored."""
    with suppress(TimeoutError):
        until(lambda: stored(world, walk.room_id) == walk.model.contents())
    assert stored(world, walk.room_id) == walk.model.contents()
