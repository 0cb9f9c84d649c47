"""Export and erasure of a user's data."""

from __future__ import annotations

import json
from typing import Any

from tests.helpers.commands import ok
from tests.helpers.rest import Rest, group, member
from tests.helpers.rooms import send
from tests.helpers.waiting import until
from tests.helpers.world import World, name

NOTHING = ("offline", None, None)


def texts(lines: list[Any]) -> list[str]:
    """The texts of messages."""
    return sorted(line["message"]["text"] for line in lines if line["kind"] == "message")


async def test_all_data_of_a_user_are_exported_and_erased(world: World, operator: Rest) -> None:
    """Rooms they left, direct rooms and deleted rooms included; nobody else's data."""
    alice, bob = name("alice"), name("bob")
    here, left, gone = [
        await group(operator, member(alice, "owner"), member(bob)) for _ in range(3)
    ]
    async with world.js(alice) as a, world.js(bob) as b:
        direct = await ok(b, "room.create", {"type": "direct", "members": [alice]})
        between = direct["room"]["room_id"]
        for room_id, text in ((here, "one"), (left, "two"), (gone, "three"), (between, "four")):
            assert (await send(b, room_id, text))["ok"]
            assert (await send(a, room_id, f"not {text}"))["ok"]
        liked = (await ok(a, "message.list", {"room_id": here}))["messages"][-1]["message_id"]
        thumb = {"room_id": here, "message_id": liked, "emoji": "+1", "on": True}
        await ok(b, "message.react", thumb)
        await b.join("/presence")
        await ok(b, "presence.set", {"state": "online", "status_text": "at sea"})
        await ok(b, "room.leave", {"room_id": left})
        await operator.ok("DELETE", f"/v1/rooms/{gone}")
        exported = await operator.lines(f"/v1/users/{bob}:export")
        assert texts(exported) == ["", "four", "one", "three", "two"]  # "" tells that he left
        (how,) = (line["presence"] for line in exported if line["kind"] == "presence")
        assert (how["user_id"], how["state"], how["status_text"]) == (bob, "online", "at sea")
        states = {
            line["membership"]["room_id"]: line["membership"]["state"]
            for line in exported
            if line["kind"] == "membership"
        }
        assert states == {here: "in", between: "in", left: "out", gone: "out"}
        erased = await operator.lines(f"/v1/users/{bob}:erase")
        kinds = sorted((line["kind"], line.get("room_id", "")) for line in erased)
        assert kinds == sorted(
            [
                *(("membership", room_id) for room_id in (here, between)),
                *(("message", room_id) for room_id in (here, left, gone, between)),
                ("reaction", here),
                ("presence", ""),
            ]
        )
        heard = await a.wait_for(lambda e: bool(e["type"] == "message.deleted"))
        assert heard["data"]["message"]["deleted_by"] == "ops"
        await b.wait_for(lambda e: bool(e["type"] == "room.removed"))
        message = (await ok(a, "message.get", {"room_id": here, "message_id": liked}))["message"]
        assert message["reactions"] == {}
        shown = (await operator.ok("GET", f"/v1/users/{bob}/presence"))["presence"]
        assert (shown["state"], shown["status_text"], shown["last_active_at"]) == NOTHING
        kept = (await ok(a, "message.list", {"room_id": left}))["messages"]
        assert [one["text"] for one in kept if one["type"] == "text"] == ["", "not two"]
    assert await operator.lines(f"/v1/users/{bob}:erase") == []
    assert set(texts(await operator.lines(f"/v1/users/{bob}:export"))) == {""}
    assert texts(await operator.lines(f"/v1/users/{alice}:export")) == sorted(
        f"not {text}" for text in ("one", "two", "three", "four")
    )
    until(lambda: "two" not in [body["text"] for body in bodies(world, left)])


def bodies(world: World, room_id: str) -> list[Any]:
    """The bodies of the messages in the table."""
    return [json.loads(item["body"]) for item in world.messages(room_id)]
