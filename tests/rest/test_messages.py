"""Messages sent by operators, as themselves or on behalf of members."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tests.helpers.commands import ok
from tests.helpers.rest import Rest, group, member
from tests.helpers.waiting import until
from tests.helpers.world import World, name


async def test_a_key_makes_one_message(world: World, operator: Rest) -> None:
    """The same Idempotency-Key is the same message; another text under it is a conflict."""
    alice = name("alice")
    room_id = await group(operator, member(alice, "owner"))
    path, headers = f"/v1/rooms/{room_id}/messages", {"Idempotency-Key": "key-1"}
    async with world.js(alice) as a:
        first = await operator.ok("POST", path, {"text": "hello"}, headers=headers)
        assert first["status"] == "queued"
        again = await operator.ok("POST", path, {"text": "hello"}, headers=headers)
        assert again == first | {"duplicate": True}
        assert await operator.refused("POST", path, {"text": "x"}, headers=headers) == "conflict"
        heard = await a.wait_for(lambda e: bool(e["type"] == "message.new"))
        assert heard["actor_id"] == heard["data"]["message"]["sender_id"] == "ops"
        room = (await ok(a, "room.get", {"room_id": room_id}))["room"]
        assert (room["unread"], room["last_message"]["preview"]) == (1, "hello")
    until(lambda: len(world.messages(room_id)) == 1)


async def test_a_key_may_be_quoted(operator: Rest) -> None:
    """As a structured field it is a string in quotes, and the same key as without them."""
    room_id = await group(operator, member(name("alice")))
    path = f"/v1/rooms/{room_id}/messages"
    sent = [
        await operator.ok("POST", path, {"text": "hello"}, headers={"Idempotency-Key": key})
        for key in (
            '"8e03978e-40d5-43dd-bc93-6894a57f9324"',
            "8e03978e-40d5-43dd-bc93-6894a57f9324",
        )
    ]
    assert sent[1] == sent[0] | {"duplicate": True}
    assert sent[0]["client_msg_id"] == "8e03978e-40d5-43dd-bc93-6894a57f9324"
    for wrong in ('"', '"a', 'a"', '""', '"a b"', '""a""', '"' + "x" * 65 + '"'):
        headers = {"Idempotency-Key": wrong}
        answer = await operator.ask("POST", path, {"text": "x"}, headers=headers)
        assert set(answer["error"]["details"]) == {"Idempotency-Key"}, wrong
        assert operator.status == 400


async def test_a_message_is_read_edited_and_deleted(world: World, operator: Rest) -> None:
    """By its id, as the operator who sent it; its room hears each change once."""
    alice = name("alice")
    room_id = await group(operator, member(alice, "owner"))
    path = f"/v1/rooms/{room_id}/messages"
    async with world.js(alice) as a:
        sent = await operator.ok("POST", path, {"text": "helo"})
        one = f"{path}/{sent['message_id']}"
        assert (await operator.ok("GET", one))["message"]["text"] == "helo"
        change = {"text": "hello", "mentions": [alice], "version": 1}
        edited = await operator.ok("PATCH", one, change)
        changed = edited["message"]
        assert (changed["text"], changed["mentions"], changed["version"]) == ("hello", [alice], 2)
        assert (await operator.ok("PATCH", one, change))["message"] == edited["message"]
        late = {"text": "hallo", "version": 1}
        assert await operator.refused("PATCH", one, late) == "conflict"
        heard = await a.wait_for(lambda e: bool(e["type"] == "message.updated"))
        assert heard["data"]["message"] == edited["message"]
        deleted = await operator.ok("DELETE", one)
        assert deleted["message"]["deleted_by"] == heard["actor_id"] == "ops"
        assert (await operator.ok("DELETE", one))["message"] == deleted["message"]
        assert (await operator.ok("GET", one))["message"] == deleted["message"]
        assert await operator.refused("PATCH", one, {"text": "x"}) == "gone"
        await a.wait_for(lambda e: bool(e["type"] == "message.deleted"))
        assert len(a.of_type("message.updated", "message.deleted")) == 2
    for method, body in (("GET", None), ("PATCH", {"text": "x"}), ("DELETE", None)):
        assert await operator.refused(method, f"{path}/nowhere", body) == "not_found"


async def test_a_members_message_is_theirs(operator: Rest) -> None:
    """An operator deletes any message; to edit one or act under its role, they name the member."""
    alice, bob, eve = name("alice"), name("bob"), name("eve")
    room_id = await group(operator, member(alice, "owner"), member(bob))
    path = f"/v1/rooms/{room_id}/messages"
    ids = [
        (await operator.ok("POST", path, {"text": "hi", "on_behalf_of": who}))["message_id"]
        for who in (alice, bob, bob)
    ]
    hers, his, other = (f"{path}/{message_id}" for message_id in ids)
    answer = await operator.ask("PATCH", his, {"text": "x"})
    assert answer["error"]["message"] == "Only its sender may edit a message."
    edited = await operator.ok("PATCH", his, {"text": "x", "on_behalf_of": bob})
    assert (edited["message"]["sender_id"], edited["message"]["text"]) == (bob, "x")
    for actor, refused in ((alice, "forbidden"), (eve, "not_found")):
        body = {"text": "y", "on_behalf_of": actor}
        assert await operator.refused("PATCH", his, body) == refused
    for actor, refused in ((bob, "forbidden"), (eve, "not_found")):
        acting = {"on_behalf_of": actor}
        assert await operator.refused("DELETE", hers, params=acting) == refused
    gone = await operator.ok("DELETE", his, params={"on_behalf_of": alice})
    assert gone["message"]["deleted_by"] == alice
    assert (await operator.ok("DELETE", other))["message"]["deleted_by"] == "ops"


async def test_a_reaction_is_of_the_operator_or_of_a_member(world: World, operator: Rest) -> None:
    """PUT adds and DELETE removes it, both safe to repeat; members hear each change once."""
    alice, bob = name("alice"), name("bob")
    room_id = await group(operator, member(alice), member(bob, "readonly"))
    sent = await operator.ok("POST", f"/v1/rooms/{room_id}/messages", {"text": "hello"})
    one = f"/v1/rooms/{room_id}/messages/{sent['message_id']}"
    heart, thumb, short = (f"{one}/reactions/{quote(it, safe='')}" for it in ("❤️", "👍", "a/b:c"))
    as_alice = {"params": {"on_behalf_of": alice}}
    async with world.js(alice) as a:
        for _ in range(2):
            done = await operator.ok("PUT", heart, **as_alice)
            assert done["message"]["reactions"] == {"❤": {"count": 1, "user_ids": [alice]}}
        await operator.ok("PUT", heart)
        await operator.ok("PUT", thumb)
        await operator.ok("PUT", short)
        for _ in range(2):
            done = await operator.ok("DELETE", heart, **as_alice)
        await operator.ok("DELETE", short)
        mine = {"count": 1, "user_ids": ["ops"]}
        assert done["message"]["reactions"] == {"❤": mine, "👍": mine, "a/b:c": mine}
        read = await operator.ok("GET", one)
        assert read["message"]["reactions"] == {"❤": mine, "👍": mine}
        await a.until(lambda: len(a.of_type("message.updated")) == 6)
        heard = [one["data"]["reaction"] for one in a.of_type("message.updated")]
        assert [(one["emoji"], one["user_id"], one["on"]) for one in heard] == [
            ("❤", alice, True),
            ("❤", "ops", True),
            ("👍", "ops", True),
            ("a/b:c", "ops", True),
            ("❤", alice, False),
            ("a/b:c", "ops", False),
        ]
    for user, code in ((bob, "forbidden"), (name("eve"), "not_found")):
        answer = {"on_behalf_of": user}
        assert await operator.refused("PUT", thumb, params=answer) == code
    assert await operator.refused("PUT", f"{one}/reactions/two%20words") == "invalid_param"
    assert await operator.refused("PUT", heart, params={"on": "1"}) == "invalid_param"
    await operator.ok("DELETE", one)
    assert await operator.refused("PUT", thumb) == "gone"


async def test_on_behalf_of_a_member(world: World, operator: Rest) -> None:
    """The message is the member's, under their rights; a non-member has none."""
    alice, bob, eve = name("alice"), name("bob"), name("eve")
    room_id = await group(operator, member(alice, "owner"), member(bob, "readonly"))
    path = f"/v1/rooms/{room_id}/messages"
    async with world.js(alice) as a:
        sent = await operator.ok("POST", path, {"text": "hi", "on_behalf_of": alice})
        heard = await a.wait_for(lambda e: bool(e["type"] == "message.new"))
        assert heard["data"]["message"]["sender_id"] == alice
        assert heard["data"]["message"]["message_id"] == sent["message_id"]
        room = (await ok(a, "room.get", {"room_id": room_id}))["room"]
        assert (room["unread"], room["read_seq"]) == (0, sent["seq"])
    quiet = {"text": "hi", "on_behalf_of": bob}
    assert await operator.refused("POST", path, quiet) == "forbidden"
    strange = {"text": "hi", "on_behalf_of": eve}
    assert await operator.refused("POST", path, strange) == "not_found"


async def test_operators_write_in_frozen_rooms(operator: Rest) -> None:
    """A frozen room accepts messages of operators and refuses those of plain members."""
    bob = name("bob")
    room_id = await group(operator, member(bob))
    await operator.ok("PATCH", f"/v1/rooms/{room_id}", {"frozen": True})
    path = f"/v1/rooms/{room_id}/messages"
    await operator.ok("POST", path, {"text": "notice"})
    assert await operator.refused("POST", path, {"text": "x", "on_behalf_of": bob}) == "forbidden"


async def test_history_is_read_by_bounds(operator: Rest) -> None:
    """Operators read pages of history, ascending by seq, without being members."""
    room_id = await group(operator, member(name("alice")))
    path = f"/v1/rooms/{room_id}/messages"
    for n in range(5):
        await operator.ok("POST", path, {"text": f"m{n}"})
    newest = await operator.ok("GET", path, params={"limit": "2"})
    assert [one["text"] for one in newest["messages"]] == ["m3", "m4"]
    assert newest["has_more"]
    older = await operator.ok("GET", path, params={"before_seq": "4", "limit": "10"})
    assert [one["text"] for one in older["messages"]] == ["m0", "m1", "m2"]
    both = {"before_seq": "4", "after_seq": "1"}
    assert await operator.refused("GET", path, params=both) == "invalid_param"
    assert await operator.refused("GET", path, params={"limit": "x"}) == "invalid_param"


async def test_a_room_is_verified(operator: Rest) -> None:
    """Through the whole deployment: the archive equals what was delivered."""
    room_id = await group(operator, member(name("alice")))
    for n in range(3):
        await operator.ok("POST", f"/v1/rooms/{room_id}/messages", {"text": f"m{n}"})
    found = await operator.ok("POST", f"/v1/rooms/{room_id}:verify", params={"repair": "1"})
    empty: dict[str, Any] = {key: [] for key in ("gaps", "duplicates", "orphans", "changed")}
    assert found == empty | {"messages": 3, "warm": True, "repaired": []}
