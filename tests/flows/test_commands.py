"""Every command of `/chat`, through the real socket.io-client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.helpers.commands import direct, ok, refused
from tests.helpers.js_client import JsClient
from tests.helpers.rest import Rest
from tests.helpers.waiting import until
from tests.helpers.world import World, name


@asynccontextmanager
async def client_at(url: str, token: str) -> AsyncIterator[JsClient]:
    """socket.io-client at an instance of the test, with an open session."""
    async with JsClient() as client:
        await client.connect(url, token)
        await client.wait_for(lambda event: bool(event["type"] == "session.ready"))
        yield client


async def test_direct_room_is_one_for_both_sides(world: World) -> None:
    """Both users get the same room, created once, and both get room.added."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a, world.js(bob) as b:
        first = await ok(a, "room.create", {"type": "direct", "members": [bob]})
        again = await ok(b, "room.create", {"type": "direct", "members": [alice]})
        assert (first["created"], again["created"]) == (True, False)
        assert first["status"] == again["status"] == "stored"
        assert first["room"]["room_id"] == again["room"]["room_id"]
        assert first["room"]["member_count"] == 2
        for client in (a, b):
            added = await client.wait_for(lambda e: bool(e["type"] == "room.added"))
            assert added["data"]["room"]["room_id"] == first["room"]["room_id"]


async def test_group_is_named_by_its_key(world: World, tmp_path: Path) -> None:
    """The same key is the same room; users who are not members do not find it."""
    alice, bob, key = name("alice"), name("bob"), name("case")
    async with (
        world.instance(tmp_path, RTS_CLIENT_EXTERNAL_IDS="on") as (_, url),
        client_at(url, world.token(alice)) as a,
        client_at(url, world.token(bob)) as b,
    ):
        group = {"type": "group", "external_id": key, "name": "Case", "members": []}
        room = (await ok(a, "room.create", group))["room"]
        assert (room["name"], room["external_id"], room["role"]) == ("Case", key, "owner")
        assert not (await ok(a, "room.create", group))["created"]
        assert await refused(b, "room.create", group) == "not_found"
        assert await refused(b, "room.get", {"room_id": room["room_id"]}) == "not_found"
        keyless = {"type": "group", "members": []}
        assert await refused(a, "room.create", keyless) == "invalid_param"
        own = {"type": "group", "client_room_id": "mine", "members": []}
        ids = [(await ok(c, "room.create", own))["room"]["room_id"] for c in (a, b)]
        assert ids[0] != ids[1]
        async with Rest(url, world.token("ops", scope="operator")) as operator:
            path, wished = f"/v1/external-rooms/{key}", {"members": [{"user_id": bob}]}
            assert await operator.refused("PUT", path, wished) == "conflict"


async def test_external_ids_are_reserved_to_the_operator(world: World) -> None:
    """A client can neither use an external id nor learn whether a room has it."""
    alice, bob, key, other = name("alice"), name("bob"), name("case"), name("other")
    async with (
        world.js(alice) as a,
        Rest(world.urls[0], world.token("ops", scope="operator")) as operator,
    ):
        group = {"type": "group", "members": []}
        answers = [await a.emit("room.create", group | {"external_id": key})]
        made = await operator.ok(
            "PUT", f"/v1/external-rooms/{key}", {"members": [{"user_id": bob}]}
        )
        assert made["created"]
        assert "made_by" not in made["room"]
        answers += [await a.emit("room.create", group | {"external_id": k}) for k in (key, other)]
        assert {answer["error"]["code"] for answer in answers} == {"forbidden"}
        assert answers[0] == answers[1] == answers[2]


async def test_a_message_is_delivered_acked_and_in_history(world: World) -> None:
    """A message is delivered, acked queued, in history and the list at once, and stored."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a, world.js(bob) as b:
        room_id = await direct(a, bob)
        sent = await ok(
            a,
            "message.send",
            {"room_id": room_id, "client_msg_id": "m1", "text": "hé 你", "metadata": {"k": [1.5]}},
        )
        assert sent["status"] == "queued"
        page = await ok(b, "message.list", {"room_id": room_id})
        assert not page["has_more"]
        (message,) = page["messages"]
        assert message["text"] == "hé 你"
        assert message["metadata"] == {"k": [1.5]}
        for client in (a, b):
            heard = await client.wait_for(lambda e: bool(e["type"] == "message.new"))
            assert heard["data"]["message"] == message
            assert [heard["epoch"], heard["offset"]] == [sent["epoch"], sent["offset"]]
        got = await ok(b, "message.get", {"room_id": room_id, "message_id": sent["message_id"]})
        assert got["message"] == message
        (row,) = (await ok(b, "room.list", {}))["rooms"]
        assert row["last_message"]["preview"] == "hé 你"
        assert row["last_message"]["deleted"] is False
        assert row["unread"] == 1
        mine = await ok(a, "room.get", {"room_id": room_id})
        assert mine["room"]["unread"] == 0
        await asyncio.to_thread(until, lambda: len(world.messages(room_id)) == 1)
        assert world.messages(room_id)[0]["message_id"] == sent["message_id"]
        archived = await ok(
            b, "message.get", {"room_id": room_id, "message_id": sent["message_id"]}
        )
        assert archived["message"] == message


async def test_repeated_send_is_the_first_result(world: World) -> None:
    """The same client_msg_id is the same message; another body is a conflict."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a:
        room_id = await direct(a, bob)
        send = {"room_id": room_id, "client_msg_id": "m1", "text": "once"}
        first, *others = await asyncio.gather(*(ok(a, "message.send", send) for _ in range(5)))
        for other in others:
            assert other.pop("duplicate") is True
            assert other == first
        assert await refused(a, "message.send", send | {"text": "twice"}) == "conflict"
        assert len((await ok(a, "message.list", {"room_id": room_id}))["messages"]) == 1


async def test_members_are_added_once_and_see_the_whole_history(world: World) -> None:
    """A new member gets room.added, reads older messages, and counts unread from joining on."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with world.js(alice) as a, world.js(carol) as c:
        key = {"type": "group", "client_room_id": "g", "name": "G", "members": [bob]}
        room_id = (await ok(a, "room.create", key))["room"]["room_id"]
        await ok(a, "message.send", {"room_id": room_id, "client_msg_id": "m1", "text": "before"})
        assert await refused(c, "message.list", {"room_id": room_id}) == "not_found"
        add = {"room_id": room_id, "user_ids": [bob, carol]}
        data = await ok(a, "member.add", add)
        assert data["status"] == "stored"
        assert data["already"] == [bob]
        assert {member["user_id"] for member in data["members"]} == {bob, carol}
        again = await ok(a, "member.add", add)
        assert sorted(again["already"]) == sorted([bob, carol])
        added = await c.wait_for(lambda e: bool(e["type"] == "room.added"))
        assert added["data"]["room"]["unread"] == 0
        await ok(a, "message.send", {"room_id": room_id, "client_msg_id": "m2", "text": "after"})
        await c.wait_for(lambda e: e["type"] == "message.new" and e["data"]["message"]["seq"] == 3)
        page = (await ok(c, "message.list", {"room_id": room_id}))["messages"]
        assert [m["type"] for m in page] == ["text", "system", "text"]
        assert page[1]["metadata"] == {"event": "member.added", "user_ids": [carol]}
        assert (await ok(c, "room.get", {"room_id": room_id}))["room"]["unread"] == 1
        assert (
            await refused(c, "member.add", {"room_id": room_id, "user_ids": ["x"]}) == "forbidden"
        )
        owner = {"room_id": room_id, "user_ids": ["x"], "role": "owner"}
        assert await refused(c, "member.add", owner) == "forbidden"
        first = await ok(a, "member.list", {"room_id": room_id, "limit": 2})
        rest = await ok(a, "member.list", {"room_id": room_id, "cursor": first["next_cursor"]})
        listed = [m["user_id"] for m in first["members"] + rest["members"]]
        assert listed == sorted([alice, bob, carol])
        assert rest["next_cursor"] is None


async def test_a_direct_room_takes_no_third_member(world: World) -> None:
    """Adding to a direct room is a conflict."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a:
        add = {"room_id": await direct(a, bob), "user_ids": [name("carol")]}
        assert await refused(a, "member.add", add) == "conflict"


async def test_history_pages_meet_without_hole_or_overlap(world: World) -> None:
    """Pages before, after and around a seq are neighbours in one ascending sequence."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a:
        room_id = await direct(a, bob)
        for n in range(1, 26):
            send = {"room_id": room_id, "client_msg_id": f"m{n}", "text": str(n)}
            await ok(a, "message.send", send)

        async def page(**bounds: int) -> tuple[list[int], bool]:
            data = await ok(a, "message.list", {"room_id": room_id, **bounds})
            return [m["seq"] for m in data["messages"]], data["has_more"]

        assert await page(limit=10) == (list(range(16, 26)), True)
        assert await page(limit=10, before_seq=16) == (list(range(6, 16)), True)
        assert await page(limit=10, before_seq=6) == (list(range(1, 6)), False)
        assert await page(limit=10, after_seq=0) == (list(range(1, 11)), True)
        assert await page(limit=10, after_seq=20) == (list(range(21, 26)), False)
        assert await page(limit=4, around_seq=10) == ([8, 9, 10, 11], True)
        assert await page(limit=1, around_seq=25) == ([25], True)
        assert await page(before_seq=1) == ([], False)


async def test_room_list_pages_by_last_activity(world: World) -> None:
    """The pages are ordered by last activity and have the right totals."""
    alice = name("alice")
    others = [name("bob") for _ in range(5)]
    async with world.js(alice) as a:
        rooms = [await direct(a, other) for other in others]
        async with world.js(others[1]) as b:
            for n in range(2):
                send = {"room_id": rooms[1], "client_msg_id": f"m{n}", "text": "hi"}
                await ok(b, "message.send", send)
        first = await ok(a, "room.list", {"limit": 3})
        rest = await ok(a, "room.list", {"limit": 3, "cursor": first["next_cursor"]})
        listed = [room["room_id"] for room in first["rooms"] + rest["rooms"]]
        assert listed[0] == rooms[1]
        assert listed[1:] == [rooms[4], rooms[3], rooms[2], rooms[0]]
        assert rest["next_cursor"] is None
        assert first["unread"] == {"total": 2, "rooms": 1}
        assert await refused(a, "room.list", {"cursor": "nonsense"}) == "invalid_param"


async def test_edit_and_delete_show_everywhere(world: World) -> None:
    """An edit raises the version, a delete leaves a tombstone, in every view."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a, world.js(bob) as b:
        room_id = await direct(a, bob)
        ids = []
        for n in range(2):
            send = {"room_id": room_id, "client_msg_id": f"m{n}", "text": f"old {n}"}
            ids.append((await ok(a, "message.send", send))["message_id"])
        at = [{"room_id": room_id, "message_id": message_id} for message_id in ids]
        edited = await ok(a, "message.edit", at[0] | {"text": "new"})
        assert (edited["message"]["version"], edited["status"]) == (2, "queued")
        again = await ok(a, "message.edit", at[0] | {"text": "new"})
        assert again["message"] == edited["message"]
        assert await refused(a, "message.edit", at[0] | {"text": "x", "version": 1}) == "conflict"
        assert await refused(b, "message.edit", at[0] | {"text": "x"}) == "forbidden"
        assert await refused(b, "message.delete", at[1]) == "forbidden"
        assert await refused(a, "message.edit", {**at[0], "message_id": "x", "text": "x"}) == (
            "not_found"
        )
        assert (await ok(b, "room.get", {"room_id": room_id}))["room"]["unread"] == 2
        for _ in range(2):
            deleted = (await ok(a, "message.delete", at[1]))["message"]
        assert deleted["text"] == ""
        assert deleted["deleted_by"] == alice
        assert await refused(a, "message.edit", at[1] | {"text": "x"}) == "gone"
        await b.wait_for(lambda e: bool(e["type"] == "message.deleted"))
        live = [e["data"]["message"] for e in b.of_type("message.updated", "message.deleted")]
        assert live == [edited["message"], deleted]
        page = await ok(b, "message.list", {"room_id": room_id})
        assert page["messages"] == [edited["message"], deleted]
        room = (await ok(b, "room.get", {"room_id": room_id}))["room"]
        assert room["unread"] == 1
        assert (room["last_message"]["preview"], room["last_message"]["deleted"]) == ("", True)

        def bodies() -> list[str]:
            kept = [json.loads(item["body"]) for item in world.messages(room_id)]
            return [body["text"] for body in kept]

        await asyncio.to_thread(until, lambda: bodies() == ["new", ""])


async def test_a_removed_member_has_no_access(world: World) -> None:
    """A removed user gets no event, finds nothing, and may be added again."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with world.js(alice) as a, world.js(bob) as b, world.js(carol) as c:
        key = {"type": "group", "client_room_id": "g", "members": [bob, carol]}
        room_id = (await ok(a, "room.create", key))["room"]["room_id"]
        await b.wait_for(lambda e: bool(e["type"] == "room.added"))
        one = {"room_id": room_id, "user_ids": [carol]}
        assert await refused(b, "member.remove", one) == "forbidden"
        removed = await ok(a, "member.remove", one)
        assert (removed["removed"], removed["status"]) == ([carol], "stored")
        assert (await ok(a, "member.remove", one))["removed"] == []
        alone = {"room_id": room_id, "user_ids": [alice]}
        assert await refused(a, "member.remove", alone) == "conflict"
        await c.wait_for(lambda e: bool(e["type"] == "room.removed"))
        send = {"room_id": room_id, "client_msg_id": "m1", "text": "without carol"}
        await ok(a, "message.send", send)
        await b.wait_for(lambda e: e["type"] == "message.new" and e["data"]["message"]["text"])
        assert await refused(c, "message.list", {"room_id": room_id}) == "not_found"
        assert (await ok(c, "room.list", {}))["rooms"] == []
        texts = [e["data"]["message"]["text"] for e in c.of_type("message.new")]
        assert "without carol" not in texts
        await ok(a, "member.add", one)
        await c.until(lambda: len(c.of_type("room.added")) == 2)
        assert c.of_type("room.added")[1]["data"]["room"]["unread"] == 0
        await ok(a, "message.send", send | {"client_msg_id": "m2"})
        await c.wait_for(
            lambda e: e["type"] == "message.new" and e["data"]["message"]["client_msg_id"] == "m2"
        )
