"""Users, as operators see and manage them."""

from __future__ import annotations

import asyncio

import pytest
from redis import Redis

from rts_server import keys
from rts_server.rest.routes import USER_ACTIONS
from tests.helpers.commands import ok
from tests.helpers.js_client import ConnectRefused, JsClient
from tests.helpers.rest import ROUTES, Rest, group, member, presence_when_online
from tests.helpers.waiting import until
from tests.helpers.world import World, name


async def test_a_user_has_a_name_and_a_presence(world: World, operator: Rest) -> None:
    """The newest name, when they were last seen, and in how many rooms they are."""
    alice = name("al:ice")
    path = f"/v1/users/{alice}"
    nobody = await operator.ok("GET", path)
    assert (nobody["user"], nobody["rooms"]) == ({"user_id": alice}, 0)
    assert nobody["presence"]["last_active_at"] is None
    await group(operator, member(alice) | {"name": "Alice"})
    renamed = await group(operator, member(alice) | {"name": "Alice B."})
    await group(operator, member(alice))
    async with world.js(alice):
        await presence_when_online(operator, alice)
        told = await operator.ok("GET", path)
        assert (told["user"], told["rooms"]) == ({"user_id": alice, "name": "Alice B."}, 3)
        assert told["presence"]["state"] == "online"
        assert told["presence"]["last_active_at"] is not None
    await operator.ok("POST", f"/v1/rooms/{renamed}/members:batch", {"remove": [alice]})
    told = await operator.ok("GET", path)
    assert (told["user"]["name"], told["rooms"]) == ("Alice", 2)


async def test_a_rename_reaches_every_room_of_the_user(world: World, operator: Rest) -> None:
    """All members hear it, lists show it, and a repetition changes nothing."""
    alice, bob = name("alice"), name("bob")
    path = f"/v1/users/{alice}"
    rooms = [
        await group(operator, member(alice, "admin") | {"name": "Alice"}, member(bob)),
        await group(operator, member(bob), member(alice)),
    ]
    direct = await operator.ok("PUT", f"/v1/direct-rooms/{alice}/{bob}", {})
    rooms.append(direct["room"]["room_id"])
    await operator.ok("PATCH", f"/v1/rooms/{rooms[1]}", {"frozen": True})
    elsewhere = await group(operator, member(bob))
    for new in ('A "l\\ice", "name":"x', "Zoë 🙂"):
        async with world.js(bob) as b:
            done = await operator.ok("PATCH", path, {"name": new})
            assert (done["user"], done["rooms"]) == ({"user_id": alice, "name": new}, 3)
            await b.until(lambda: len(b.of_type("member.updated")) == 3)
            heard = {one["room_id"]: one for one in b.of_type("member.updated")}
            assert set(heard) == set(rooms)
            for room_id, event in heard.items():
                assert event["actor_id"] == "ops"
                listed = (await ok(b, "member.list", {"room_id": room_id}))["members"]
                assert event["data"]["members"] == [
                    one for one in listed if one["user_id"] == alice
                ]
                assert event["data"]["members"][0]["name"] == new
                members = await operator.ok("GET", f"/v1/rooms/{room_id}/members")
                assert members["members"] == listed
            assert heard[rooms[0]]["data"]["members"][0]["role"] == "admin"
            again = await operator.ok("PATCH", path, {"name": new})
            assert again["rooms"] == 0
            assert len(b.of_type("member.updated")) == 3
    events = await operator.ok("GET", f"/v1/rooms/{elsewhere}/events")
    assert [one["type"] for one in events["events"]] == ["room.created", "member.added"]
    assert (await operator.ok("PATCH", f"/v1/users/{name('nobody')}", {"name": "N"}))["rooms"] == 0
    for wrong in ({}, {"name": ""}, {"name": "a\nb"}, {"name": "x" * 129}, {"nmae": "Alice"}):
        assert await operator.refused("PATCH", path, wrong) == "invalid_param"


async def test_an_action_on_a_user_is_no_user(operator: Rest) -> None:
    """A path that ends in an action takes a POST only; other ids may have a colon."""
    actions = {route.path.rpartition(":")[2] for route in ROUTES if "{user_id}:" in route.path}
    assert actions == set(USER_ACTIONS)
    for action in actions:
        assert await operator.refused("GET", f"/v1/users/alice:{action}") == "bad_request"
        assert (operator.status, operator.headers["Allow"]) == (405, "POST")
    for user_id in ("auth0:alice", "alice:revoked", "revoke"):
        told = await operator.ok("GET", f"/v1/users/{user_id}")
        assert told["user"]["user_id"] == user_id


async def test_rooms_and_unread_are_explained(world: World, operator: Rest) -> None:
    """The list is the user's own; unread is given as totals and, with explain, by room."""
    alice, bob = name("alice"), name("bob")
    rooms = [await group(operator, member(alice), member(bob)) for _ in range(3)]
    for text in ("one", "two"):
        await operator.ok("POST", f"/v1/rooms/{rooms[0]}/messages", {"text": text})
    async with world.js(alice) as a:
        await ok(a, "room.mute", {"room_id": rooms[0], "muted": True})
    await operator.ok("POST", f"/v1/rooms/{rooms[1]}/messages", {"text": "three"})
    path = f"/v1/users/{alice}"
    first = await operator.ok("GET", f"{path}/rooms", params={"limit": "2"})
    assert [room["room_id"] for room in first["rooms"]] == [rooms[1], rooms[0]]
    assert first["unread"] == {"total": 1, "rooms": 1}
    rest = await operator.ok("GET", f"{path}/rooms", params={"cursor": first["next_cursor"]})
    assert [room["room_id"] for room in rest["rooms"]] == [rooms[2]]
    assert (await operator.ok("GET", f"{path}/unread")) == {"unread": {"total": 1, "rooms": 1}}
    told = await operator.ok("GET", f"{path}/unread", params={"explain": "1"})
    parts = {room["room_id"]: (room["unread"], room["counts"]) for room in told["rooms"]}
    assert parts == {rooms[0]: (2, False), rooms[1]: (1, True), rooms[2]: (0, True)}
    nobody = await operator.ok("GET", f"/v1/users/{name('nobody')}/rooms")
    assert (nobody["rooms"], nobody["next_cursor"]) == ([], None)
    assert await operator.refused("GET", f"{path}/rooms", params={"cursor": "x"}) == "invalid_param"


async def test_events_of_a_room_are_read_page_by_page(operator: Rest) -> None:
    """events?after= pages through the log; an unknown position is not recovered."""
    room_id = await group(operator, member(name("alice")))
    path = f"/v1/rooms/{room_id}/events"
    for n in range(5):
        await operator.ok("POST", f"/v1/rooms/{room_id}/messages", {"text": f"m{n}"})
    seen, after, more = [], None, True
    while more:
        asked = {"limit": "2"} | ({"after": after} if after else {})
        page = await operator.ok("GET", path, params=asked)
        seen += [(event["type"], event["offset"]) for event in page["events"]]
        after, more = page["after"], page["has_more"]
        assert page["recovered"]
    kinds = ["room.created", "member.added", *["message.new"] * 5]
    assert seen == list(zip(kinds, range(1, 8), strict=True))
    idle = await operator.ok("GET", path, params={"after": after})
    assert idle == {"events": [], "after": after, "has_more": False, "recovered": True}
    lost = await operator.ok("GET", path, params={"after": "7:1"})
    assert (lost["events"], lost["recovered"], lost["after"]) == ([], False, after)


async def test_disconnected_users_may_reconnect(world: World, operator: Rest) -> None:
    """For good (`banned`), or so that the client reconnects (`draining`)."""
    alice = name("alice")
    async with world.js(alice) as a:
        # The process and the instance in this process, which subscribes a moment after its start.
        with Redis.from_url(world.stack.settings.redis_url) as redis:
            await asyncio.to_thread(until, lambda: redis.pubsub_numsub(keys.INSTANCES)[0][1] == 2)
        told = await operator.ok("POST", f"/v1/users/{alice}:disconnect", {"reconnect": True})
        assert told == {"instances": 2}
        closing = await a.wait_for(lambda e: bool(e["type"] == "session.closing"))
        assert (closing["data"]["code"], closing["data"]["reconnect"]) == ("draining", True)
        await a.until(lambda: len(a.of_type("session.ready")) == 2)
        await operator.ok("POST", f"/v1/users/{alice}:disconnect")
        await a.until(lambda: len(a.of_type("session.closing")) == 2)
        last = a.of_type("session.closing")[-1]
        assert (last["data"]["code"], last["data"]["reconnect"]) == ("banned", False)


async def test_a_revoked_token_closes_its_connections_and_cannot_reconnect(
    world: World, operator: Rest
) -> None:
    """Connections close as `revoked`, the token is refused; a newer one is accepted."""
    alice = name("alice")
    token, other = world.token(alice), world.token(alice, scope="operator")
    async with JsClient() as a:
        await a.connect(world.urls[0], token)
        await a.wait_for(lambda e: bool(e["type"] == "session.ready"))
        revoked = await operator.ok("POST", f"/v1/users/{alice}:revoke")
        assert revoked["user_id"] == alice
        closing = await a.wait_for(lambda e: bool(e["type"] == "session.closing"))
        assert (closing["data"]["code"], closing["data"]["reconnect"]) == ("revoked", False)
    async with JsClient() as a:
        with pytest.raises(ConnectRefused) as refused:
            await a.connect(world.urls[0], token)
        assert refused.value.data == {"code": "unauthorized"}
    async with Rest(world.urls[0], other) as client:
        assert await client.refused("GET", "/v1/rooms/x") == "unauthorized"
    await asyncio.sleep(1.1)  # `iat` is in seconds: only a later one is newer
    async with world.js(alice) as a:
        answer = await a.emit("auth.refresh", {"token": token})
        assert answer["error"]["code"] == "unauthorized"
        assert (await ok(a, "auth.refresh", {"token": world.token(alice)}))["expires_at"]


async def test_presence_is_explained(world: World, operator: Rest) -> None:
    """The presence of a user, and the instances that count their connections."""
    alice = name("alice")
    path = f"/v1/users/{alice}/presence"
    assert (await operator.ok("GET", path))["presence"]["state"] == "offline"
    async with world.js(alice):
        told = await presence_when_online(operator, alice)
        (here,) = told["connections"]
        assert (here["connections"], here["alive"]) == (1, True)
        known = (await operator.ok("GET", "/v1/instances"))["instances"]
        assert here["instance_id"] in [one["instance_id"] for one in known]
