"""A member's settings of a room: muted, hidden, and the message that unhides it."""

from __future__ import annotations

from typing import Any, cast

import orjson

from rts_server import keys
from rts_server.domain.room import RoomSettings
from rts_server.realtime.sequence import parse
from rts_server.roomlog.member_events import member_added, member_left, member_renamed
from rts_server.roomlog.room_events import settings_changed
from rts_server.views.snapshots import MemberView, SnapshotReader, for_member
from tests.helpers.bench import Bench, message
from tests.helpers.deployed import Deployed
from tests.helpers.waiting import PATIENCE


def settings(user: str, room_id: str, **changed: bool) -> Any:
    """A request to change settings."""
    return settings_changed(room_id, user, cast(RoomSettings, changed))


async def view(bench: Bench, room_id: str, user: str) -> MemberView:
    """A member's view of the room."""
    standing = await SnapshotReader(bench.redis).read(room_id, [user])
    assert standing is not None
    found = standing.members[user]
    assert found is not None
    return found


async def records(bench: Bench, room_id: str) -> list[dict[str, Any]]:
    """The records of settings in the outbox."""
    found = [orjson.loads(entry[b"d"]) for entry in await bench.outbox(room_id)]
    return [record["settings"] for record in found if "settings" in record]


async def test_settings_are_a_record_and_an_event_to_the_members_own_devices(bench: Bench) -> None:
    """The room gets no event; the next change has a higher rank."""
    weird = 'b"%o/b'
    room_id = await bench.group("alice", weird)
    head = await bench.head(room_id)
    async with bench.redis.pubsub() as channel:
        await channel.subscribe(keys.room_channel(room_id))
        assert await channel.get_message(timeout=PATIENCE) is not None
        assert await bench.outcome(settings(weird, room_id, muted=True)) == "ok"
        heard = await channel.get_message(timeout=PATIENCE)
    assert heard is not None
    told = parse(heard["data"])
    assert (told.position, told.type, told.durable, told.to) == ((1, 2), "room.state", False, weird)
    event = orjson.loads(told.text)
    assert event["data"] == {"muted": True, "hidden": False, "role": "member"}
    assert await bench.outcome(settings(weird, room_id, hidden=True)) == "ok"
    one, two = await records(bench, room_id)
    shared = {"room_id": room_id, "user_id": weird, "epoch": 1, "offset": 2, "muted": True}
    assert one == shared | {"rev": 1, "hidden": False}
    assert two == shared | {"rev": 2, "hidden": True}
    assert (await view(bench, room_id, weird)).muted
    after = await bench.head(room_id)
    assert (after[b"offset"], after[b"seq"]) == (head[b"offset"], head[b"seq"])


async def test_a_message_of_another_member_unhides_the_room(bench: Bench) -> None:
    """The member's own message does not, nor does a system message; nothing else is written."""
    room_id = await bench.group("alice", "bob", "carol")
    for user in ("bob", "carol"):
        await bench.append(settings(user, room_id, hidden=True))
    await bench.append(member_added(room_id, "alice", ["dave"], "member"))
    await bench.append(message(room_id, "bob", "m1"))
    assert (await view(bench, room_id, "bob")).hidden
    assert not (await view(bench, room_id, "carol")).hidden
    await bench.append(message(room_id, "alice", "m2"))
    assert not (await view(bench, room_id, "bob")).hidden
    assert (await bench.head(room_id))[b"hidden"] == b""
    told = [(one["user_id"], one["hidden"]) for one in await records(bench, room_id)]
    assert told == [("bob", True), ("carol", True), ("carol", False), ("bob", False)]


async def test_a_member_who_returns_has_no_settings(bench: Bench) -> None:
    """Leaving removes them."""
    room_id = await bench.group("alice", "bob")
    await bench.append(settings("bob", room_id, muted=True, hidden=True))
    await bench.append(member_left(room_id, "bob", None))
    await bench.append(member_added(room_id, "alice", ["bob"], "member"))
    mine = await view(bench, room_id, "bob")
    assert (mine.muted, mine.hidden) == (False, False)
    assert (await bench.head(room_id))[b"hidden"] == b""


async def test_settings_and_roles_survive_the_loss_of_redis(deployed: Deployed) -> None:
    """They and names are loaded from the archive; the next change still has a higher rank."""
    services = deployed.services
    room_id = await deployed.group("alice", "bob", "carol")
    await services.rooms.change_settings(room_id, "bob", {"muted": True})
    await services.rooms.change_settings(room_id, "bob", {"hidden": True})
    await services.memberships.set_role(room_id, "alice", "bob", "admin")
    await services.system_log.append(member_renamed(room_id, "ops", "bob", 'Bob "B."'))
    await services.rooms.update(room_id, "alice", {"name": "New", "frozen": True})
    await deployed.store()
    await deployed.redis.flushall()
    async with deployed.relaying():
        (cold,) = (await services.inboxes.read("bob")).rows
    await services.user_rooms.rebuild("bob", [])
    async with deployed.relaying():
        await services.rooms.change_settings(room_id, "carol", {"muted": True})
        standing = await services.snapshots.read(room_id, ["alice", "bob", "carol"])
    assert standing is not None
    kept = ("muted", "hidden", "role", "name", "frozen", "version")
    view = standing.members["bob"]
    assert view is not None
    warm, stored = dict(for_member(standing.public(), view)), dict(cold.room)
    assert {name: warm[name] for name in kept} == {name: stored[name] for name in kept}
    assert [warm[name] for name in kept] == [True, True, "admin", "New", True, 2]
    assert not cold.in_totals
    await services.rooms.change_settings(room_id, "bob", {"muted": False})
    await deployed.store()
    member = await services.archive.member(room_id, "bob")
    assert member is not None
    assert (member.muted, member.hidden, member.role) == (False, True, "admin")
    listed = await services.members.all(room_id)
    assert member.name == listed[1].get("name") == 'Bob "B."'
    outcome = await Bench(deployed.redis).outcome(message(room_id, "carol"))
    assert outcome == "frozen"
