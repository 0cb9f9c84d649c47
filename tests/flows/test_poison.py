"""A message that the Lambda can never apply (Q1)."""

from __future__ import annotations

import asyncio
import time

from rts_server.domain.message import MessageDraft
from rts_server.roomlog.message_events import message_new
from rts_server.roomlog.request import AppendResult
from rts_server.services import Services
from tests.helpers.commands import direct, ok
from tests.helpers.sender import Sender
from tests.helpers.waiting import until
from tests.helpers.world import World, name, placed


async def test_poison_fails_alone(world: World) -> None:
    """Other messages are stored; online and offline members get message.failed (T9)."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with world.js(alice) as a, world.js(carol) as c:
        room_id = await direct(a, bob)
        sender, other = Sender(a, room_id), Sender(c, await direct(c, bob))
        await sender.send("before")
        async with world.js(bob) as b:
            await b.wait_for(lambda e: bool(e["type"] == "session.ready"))
            (room,) = [
                r for r in (await ok(b, "room.list", {}))["rooms"] if r["room_id"] == room_id
            ]
        cursors = {room_id: [room["epoch"], room["offset"]]}

        async with Services(world.stack.settings) as services:
            draft: MessageDraft = {"client_msg_id": "poison", "text": "poison"}
            poison = message_new(room_id, alice, draft, version=99)
            appended = await services.appender.append(poison)
        assert isinstance(appended, AppendResult)
        began = time.monotonic()
        for n in range(5):
            await sender.send(f"after {n}")
            await other.send(f"elsewhere {n}")
        failed = await a.wait_for(lambda e: bool(e["type"] == "message.failed"))
        print("poison told after", round(time.monotonic() - began, 2), "s")
        assert failed["data"]["message_id"] == poison.request_id
        assert failed["data"]["seq"] == appended.seq
        assert "poison" not in failed["data"]["reason"]
        for who, count in ((sender, 6), (other, 5)):
            await asyncio.to_thread(
                until,
                lambda who=who, count=count: placed(world, who.room_id) == count,  # type: ignore[misc]
                20,
            )
        texts = [m["text"] for m in await sender.history()]
        assert texts == ["before", *(f"after {n}" for n in range(5))]

        async with world.js(bob, cursors=cursors) as b:
            ready = b.of_type("session.ready")[0]["data"]
            assert ready["recovered"] == {room_id: True}
            told = await b.wait_for(lambda e: bool(e["type"] == "message.failed"))
            assert told["data"] == failed["data"]
            (room,) = [
                r for r in (await ok(b, "room.list", {}))["rooms"] if r["room_id"] == room_id
            ]
            assert room["unread"] == 6
        again = await a.emit("message.send", {"room_id": room_id, **draft})
        assert again["error"]["code"] == "invalid_param"
