"""Messages sent by operators, as themselves or on behalf of members."""

from __future__ import annotations

from typing import Any

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
