"""Rooms and members declared by operators, as members see them."""

from __future__ import annotations

import io
from typing import Any

from tests.helpers.commands import ok
from tests.helpers.rest import Rest, group, member
from tests.helpers.world import World, name


async def test_a_business_key_is_one_room(world: World, operator: Rest) -> None:
    """PUT creates the room once; its members get room.added with roles and names."""
    alice, bob, key = name("alice"), name("bob"), name("order/17:x")
    wished = {
        "name": "Order 17",
        "metadata": {"order": 17},
        "members": [member(alice, "owner"), member(bob) | {"name": "Bob"}],
    }
    path = f"/v1/external-rooms/{key.replace('/', '%2F')}"
    async with world.js(bob) as b:
        made = await operator.ok("PUT", path, wished)
        assert made["created"]
        assert made["status"] == "stored"
        assert made["room"]["external_id"] == key
        assert made["room"]["created_by"] == "ops"
        room_id = made["room"]["room_id"]
        told = await b.wait_for(lambda e: bool(e["type"] == "room.added"))
        assert told["data"]["room"]["room_id"] == room_id
        again = await operator.ok("PUT", path, {"name": "another"})
        assert not again["created"]
        assert again["room"]["name"] == "Order 17"
        listed = await ok(b, "member.list", {"room_id": room_id})
    roles = {one["user_id"]: one["role"] for one in listed["members"]}
    assert roles == {alice: "owner", bob: "member"}
    assert [one.get("name") for one in listed["members"] if one["user_id"] == bob] == ["Bob"]
    shown = await operator.ok("GET", f"/v1/rooms/{room_id}")
    assert shown["room"]["member_count"] == 2
    assert "role" not in shown["room"]


async def test_a_room_is_found_by_its_business_key(world: World, operator: Rest) -> None:
    """GET reads the room of a key, by whatever characters the key has; an unknown one is absent."""
    key = name("order/18:y")
    path = f"/v1/external-rooms/{key.replace('/', '%2F')}"
    assert await operator.refused("GET", path) == "not_found"
    made = await operator.ok("PUT", path, {"name": "Order 18"})
    assert (await operator.ok("GET", path))["room"] == made["room"]
    await operator.ok("DELETE", f"/v1/rooms/{made['room']['room_id']}")
    assert await operator.refused("GET", path) == "gone"


async def test_members_are_strings_or_objects(operator: Rest) -> None:
    """A string is the id of a member, as in commands; an object adds role and name."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    path = f"/v1/external-rooms/{name('mixed')}"
    made = await operator.ok("PUT", path, {"members": [alice, member(bob, "owner")]})
    members = f"/v1/rooms/{made['room']['room_id']}/members"
    shown = (await operator.ok("GET", members))["members"]
    assert [(one["user_id"], one["role"]) for one in shown] == sorted(
        [(alice, "member"), (bob, "owner")]
    )
    added = await operator.ok("POST", f"{members}:batch", {"add": [carol]})
    assert added["added"] == [carol]
    kept = await operator.ok("PUT", members, {"members": [alice, member(bob, "owner")]})
    assert (kept["removed"], kept["updated"]) == ([carol], [])
    twice = {"members": [alice, member(alice)]}
    assert await operator.refused("PUT", members, twice) == "invalid_param"
    answer = await operator.ask("PUT", members, {"members": ["a b", 5]})
    assert set(answer["error"]["details"]) == {"members.0.user_id", "members.1._schema"}


async def test_a_direct_room_is_declared(world: World, operator: Rest) -> None:
    """The same room from either side, and the one that its members make; names are shown."""
    alice, bob = name("alice"), name("b/b:1")
    names = {alice: "Alice", bob: "Bob"}
    path, other = (
        f"/v1/direct-rooms/{one.replace('/', '%2F')}/{two.replace('/', '%2F')}"
        for one, two in ((alice, bob), (bob, alice))
    )
    assert await operator.refused("GET", path) == "not_found"
    async with world.js(alice) as a:
        made = await operator.ok("PUT", path, {"names": names, "metadata": {"from": "crm"}})
        room = made["room"]
        assert (made["created"], room["type"]) == (True, "direct")
        assert (room["created_by"], room["metadata"]) == ("ops", {"from": "crm"})
        await a.wait_for(lambda e: bool(e["type"] == "room.added"))
        own = await ok(a, "room.create", {"type": "direct", "members": [bob]})
        assert (own["room"]["room_id"], own["created"]) == (room["room_id"], False)
    again = await operator.ok("PUT", other)
    assert (again["created"], again["room"]["room_id"]) == (False, room["room_id"])
    assert (await operator.ok("GET", other))["room"] == room
    members = (await operator.ok("GET", f"/v1/rooms/{room['room_id']}/members"))["members"]
    assert {one["user_id"]: (one["name"], one["role"]) for one in members} == {
        alice: ("Alice", "member"),
        bob: ("Bob", "member"),
    }


async def test_a_direct_room_has_two_members(operator: Rest) -> None:
    """Nobody talks to themselves, and no third user is named."""
    alice, bob = name("alice"), name("bob")
    answer = await operator.ask("PUT", f"/v1/direct-rooms/{alice}/{alice}")
    assert answer["error"]["details"] == {"other_id": ["Must be another user."]}
    third = {"names": {"carol": "Carol"}}
    answer = await operator.ask("PUT", f"/v1/direct-rooms/{alice}/{bob}", third)
    assert answer["error"]["details"] == {"names.carol": ["Not a member of the room."]}
    assert operator.status == 400


async def test_a_field_that_is_not_known_is_refused_by_name(operator: Rest) -> None:
    """In a body, in an object of it and in a query: it may be misspelt."""
    room_id = await group(operator, member(name("alice")))
    path, key = f"/v1/rooms/{room_id}", f"/v1/external-rooms/{name('case')}"
    unknown = ["Unknown field."]
    mistakes: list[tuple[str, str, Any, dict[str, Any], str]] = [
        ("PUT", key, {"nmae": "x"}, {}, "nmae"),
        ("PUT", key, {"members": [{"user_id": "a", "rôle": "owner"}]}, {}, "members.0.rôle"),
        ("PATCH", path, {"name": "x", "topic": "y"}, {}, "topic"),
        ("POST", f"{path}/messages", {"text": "x", "attachments": []}, {}, "attachments"),
        ("POST", f"{path}/members:batch", {"remove": ["a"], "delete": ["b"]}, {}, "delete"),
        ("GET", f"{path}/messages", None, {"params": {"befor_seq": "4"}}, "befor_seq"),
        ("GET", f"{path}/members", None, {"params": {"offset": "4"}}, "offset"),
    ]
    for method, where, body, more, field in mistakes:
        answer = await operator.ask(method, where, body, **more)
        assert operator.status == 400
        assert (answer["error"]["code"], answer["error"]["details"]) == (
            "invalid_param",
            {field: unknown},
        )
    assert await operator.refused("GET", key) == "not_found"


async def test_a_group_may_begin_without_members(operator: Rest) -> None:
    """Members can be added later."""
    made = await operator.ok("PUT", f"/v1/external-rooms/{name('case')}", {})
    room_id = made["room"]["room_id"]
    assert made["room"]["member_count"] == 0
    came = await operator.ok("PUT", f"/v1/rooms/{room_id}/members", {"members": [member("a")]})
    assert came == {"added": ["a"], "removed": [], "updated": [], "status": "stored"}


async def test_an_operators_change_reaches_connected_members(world: World, operator: Rest) -> None:
    """PATCH reaches the members; an older version is a conflict."""
    alice = name("alice")
    room_id = await group(operator, member(alice, "owner"))
    async with world.js(alice) as a:
        path = f"/v1/rooms/{room_id}"
        changed = await operator.ok("PATCH", path, {"name": "New", "frozen": True, "version": 1})
        assert (changed["room"]["name"], changed["room"]["version"]) == ("New", 2)
        told = await a.wait_for(lambda e: bool(e["type"] == "room.updated"))
        assert told["actor_id"] == "ops"
        assert told["data"]["room"]["frozen"]
        assert await operator.refused("PATCH", path, {"name": "Old", "version": 1}) == "conflict"
        assert operator.status == 409


async def test_put_members_replaces_the_whole_set(world: World, operator: Rest) -> None:
    """PUT members adds the named users and removes the others, in one event each."""
    alice, bob, carol, dave = (name(who) for who in ("alice", "bob", "carol", "dave"))
    room_id = await group(operator, member(alice, "owner"), member(bob), member(dave))
    path = f"/v1/rooms/{room_id}/members"
    async with world.js(alice) as a, world.js(bob) as b:
        wanted = {"members": [member(alice, "admin"), member(carol, "readonly"), member(dave)]}
        changed = await operator.ok("PUT", path, wanted)
        assert changed == {
            "added": [carol],
            "removed": [bob],
            "updated": [alice],
            "status": "stored",
        }
        await b.wait_for(lambda e: bool(e["type"] == "room.removed"))
        await a.wait_for(lambda e: bool(e["type"] == "member.updated"))
        kinds = [e["type"] for e in a.of_type("member.added", "member.removed", "member.updated")]
        assert kinds == ["member.removed", "member.added", "member.updated"]
        again = await operator.ok("PUT", path, wanted)
        assert again == {"added": [], "removed": [], "updated": [], "status": "stored"}
    first = await operator.ok("GET", path, params={"limit": "2"})
    rest = await operator.ok("GET", path, params={"cursor": first["next_cursor"]})
    assert [(m["user_id"], m["role"]) for m in first["members"] + rest["members"]] == sorted(
        [(alice, "admin"), (carol, "readonly"), (dave, "member")]
    )
    assert rest["next_cursor"] is None


async def test_a_batch_is_all_or_none(operator: Rest) -> None:
    """members:batch adds, removes and changes; one invalid change refuses all."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    room_id = await group(operator, member(alice, "owner"), member(bob))
    path = f"/v1/rooms/{room_id}/members:batch"
    wrong = {"add": [member(carol)], "update": [member(name("eve"), "admin")]}
    assert await operator.refused("POST", path, wrong) == "not_found"
    shown = await operator.ok("GET", f"/v1/rooms/{room_id}/members")
    assert [one["user_id"] for one in shown["members"]] == sorted([alice, bob])
    right = {"add": [member(carol)], "remove": [bob], "update": [member(alice, "admin")]}
    changed = await operator.ok("POST", path, right)
    assert (changed["added"], changed["removed"], changed["updated"]) == ([carol], [bob], [alice])
    twice = {"add": [member(carol)], "remove": [carol]}
    assert await operator.refused("POST", path, twice) == "invalid_param"


async def test_a_large_declared_set_takes_several_events(world: World, operator: Rest) -> None:
    """A set of 250 is applied in parts of 100; one of 1,001 is refused."""
    alice = name("alice")
    room_id = await group(operator, member(alice, "owner"))
    many = [member(alice, "owner"), *(member(f"{alice}-{n}") for n in range(250))]
    path = f"/v1/rooms/{room_id}/members"
    async with world.js(alice) as a:
        changed = await operator.ok("PUT", path, {"members": many})
        assert len(changed["added"]) == 250
        await a.until(lambda: len(a.of_type("member.added")) == 3)
        assert [len(e["data"]["members"]) for e in a.of_type("member.added")] == [100, 100, 50]
    assert (await operator.ok("GET", f"/v1/rooms/{room_id}"))["room"]["member_count"] == 251
    too_many = {"members": [member(f"{alice}-{n}") for n in range(1001)]}
    assert await operator.refused("PUT", path, too_many) == "invalid_param"


async def test_a_direct_room_takes_no_other_members(world: World, operator: Rest) -> None:
    """Operators cannot change the members of a direct room."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a:
        room_id = (await ok(a, "room.create", {"type": "direct", "members": [bob]}))["room"][
            "room_id"
        ]
    path = f"/v1/rooms/{room_id}/members"
    assert await operator.refused("PUT", path, {"members": [member(alice)]}) == "conflict"
    batch = {"add": [member("x")]}
    assert await operator.refused("POST", f"{path}:batch", batch) == "conflict"


async def test_deleting_a_room_removes_all_members(world: World, operator: Rest) -> None:
    """Members are removed, find nothing, and nobody can be added by any way."""
    alice, key = name("alice"), name("case")
    members = [member(alice, "owner"), *(member(f"{alice}-{n}") for n in range(150))]
    room_id = (await operator.ok("PUT", f"/v1/external-rooms/{key}", {}))["room"]["room_id"]
    path = f"/v1/rooms/{room_id}"
    await operator.ok("PUT", f"{path}/members", {"members": members})
    async with world.js(alice) as a:
        deleted = await operator.ok("DELETE", path)
        assert sorted(deleted["removed"]) == sorted(one["user_id"] for one in members)
        assert deleted["status"] == "stored"
        await a.wait_for(lambda e: bool(e["type"] == "room.removed"))
        assert (await a.emit("room.get", {"room_id": room_id}))["error"]["code"] == "not_found"
    assert await operator.ok("DELETE", path) == {"removed": [], "status": "stored"}
    again = {"members": [member(alice)]}
    for method, where, body in (
        ("GET", path, None),
        ("PATCH", path, {"name": "x"}),
        ("PUT", f"/v1/external-rooms/{key}", again),
        ("PUT", f"{path}/members", again),
        ("POST", f"{path}/members:batch", {"add": [member(alice)]}),
        ("POST", f"{path}/messages", {"text": "x"}),
        ("GET", f"{path}/messages", None),
    ):
        assert await operator.refused(method, where, body) == "gone", (method, where)
    assert await operator.refused("DELETE", "/v1/rooms/nowhere") == "not_found"


async def test_a_direct_room_is_deleted_too(world: World, operator: Rest) -> None:
    """Both members are removed, and neither can create it again."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a:
        asked = {"type": "direct", "members": [bob]}
        room_id = (await ok(a, "room.create", asked))["room"]["room_id"]
        deleted = await operator.ok("DELETE", f"/v1/rooms/{room_id}")
        assert sorted(deleted["removed"]) == sorted([alice, bob])
        assert (await a.emit("room.create", asked))["error"]["code"] == "not_found"


async def test_invalid_input_is_refused_by_field(operator: Rest) -> None:
    """The error names the invalid fields, or the room that does not exist."""
    answer = await operator.ask("PUT", "/v1/external-rooms/x", {"members": [{"role": "king"}]})
    assert operator.status == 400
    assert answer["error"]["code"] == "invalid_param"
    assert set(answer["error"]["details"]) == {"members.0.user_id", "members.0.role"}
    assert await operator.refused("GET", "/v1/rooms/nowhere") == "not_found"
    assert operator.status == 404
    assert await operator.refused("PUT", "/v1/external-rooms/x", [1]) == "bad_request"
    json = {"Content-Type": "application/json"}
    broken = {"data": b"{", "headers": json}
    assert await operator.refused("PUT", "/v1/external-rooms/x", **broken) == "bad_request"
    junk = {"data": b"{}", "headers": json | {"Content-Encoding": "junk"}}
    assert await operator.refused("PUT", "/v1/external-rooms/x", **junk) == "unsupported_type"
    for encoding in ("gzip", "deflate", "br"):  # of some not even the library makes a body
        headers = json | {"Content-Encoding": encoding, "Connection": "close"}
        address = "/v1/external-rooms/x"
        async with operator.request("PUT", address, data=b"{}", headers=headers) as refused:
            assert refused.status in (400, 415)
    form = {"data": {"name": "x"}}
    assert await operator.refused("PUT", "/v1/external-rooms/x", **form) == "unsupported_type"
    assert operator.status == 415
    large = {"metadata": {"x": "x" * 5_000}}
    assert await operator.refused("PUT", "/v1/external-rooms/x", large) == "message_too_large"
    huge = {"data": io.BytesIO(b'"' + b"x" * 2_000_000), "headers": json}
    assert await operator.refused("PUT", "/v1/external-rooms/x", **huge) == "message_too_large"
    assert operator.status == 413
    assert await operator.refused("POST", "/v1/rooms/nowhere") == "bad_request"
    assert operator.status == 405
    assert operator.headers["Allow"] == "DELETE, GET, PATCH"
    assert await operator.refused("PATCH", "/v1/users/alice:erase") == "bad_request"
    assert operator.headers["Allow"] == "POST"
    assert await operator.refused("GET", "/v1/elsewhere") == "not_found"


async def test_a_query_may_repeat_a_parameter(operator: Rest) -> None:
    """The first value counts, however many follow; it is checked as if it were alone."""
    room = await operator.ok("PUT", f"/v1/external-rooms/{name('case')}", {"name": "Room"})
    path = f"/v1/rooms/{room['room']['room_id']}/members?limit="
    again = "&limit=x" * 30
    assert (await operator.ok("GET", path + "1" + again))["members"] == []
    assert await operator.refused("GET", path + "x" + again) == "invalid_param"


async def test_a_body_full_of_mistakes_has_a_short_answer(operator: Rest) -> None:
    """The number of reported errors is bounded; a set of the largest size is accepted."""
    path = f"/v1/external-rooms/{name('case')}"
    bodies: list[list[Any]] = [
        [{}] * 250_000,
        [{}] * 100,
        [{"user_id": "a b", "role": [], "name": 5}] * 100,
        [{f"field {n}": n for n in range(20_000)}],
    ]
    for members in bodies:
        answer = await operator.ask("PUT", path, {"members": members})
        assert (operator.status, answer["error"]["code"]) == (400, "invalid_param")
        assert len(answer["error"]["details"]) <= 10
        assert int(operator.headers["Content-Length"]) < 4_096
    await operator.ok("PUT", path, {"members": [member(name("m")) for _ in range(100)]})
