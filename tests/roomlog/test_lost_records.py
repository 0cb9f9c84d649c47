"""Appends of several records, some of which Redis loses: all are stored in the end, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from rts_server.auth import Identity
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.services import Services
from rts_server.types.commands import RoomCreatePayload
from rts_server.types.objects import Message
from tests.helpers.deployed import Deployed
from tests.roomlog.losses import ends, until_replayed

Command = Callable[[Services, str], Awaitable[PendingWrite]]
OWNER = {"event": "member.updated", "user_ids": ["bob"], "role": "owner"}
HALVES: dict[str, tuple[Command, dict[str, str], list[dict[str, Any]]]] = {
    "add": (
        lambda services, room: services.memberships.add(room, "alice", ["eve", "zoe"], "member"),
        {"alice": "in", "bob": "in", "eve": "in", "zoe": "in"},
        [{"event": "member.added", "user_ids": ["eve", "zoe"]}],
    ),
    "leave": (
        lambda services, room: services.memberships.leave(room, "alice", "bob"),
        {"alice": "out", "bob": "in"},
        [OWNER, {"event": "member.removed", "user_ids": ["alice"]}],
    ),
    "role": (
        lambda services, room: services.memberships.set_role(room, "alice", "bob", "owner"),
        {"alice": "in", "bob": "in"},
        [OWNER],
    ),
    "rename": (
        lambda services, room: services.rooms.update(room, "alice", {"name": "New"}),
        {"alice": "in", "bob": "in"},
        [{"event": "room.updated", "user_ids": [], "name": "New"}],
    ),
}


async def after_a_loss(deployed: Deployed, room_id: str, removed: PendingWrite) -> list[Message]:
    """Lose Redis after a removal; return the history: its system message, and a message."""
    await deployed.redis.flushall()
    async with deployed.relaying():
        assert await ends(removed) == {"stored"}
        assert await ends(await deployed.send(room_id, "alice", "m")) == {"queued"}
    page = await deployed.services.archive.page(room_id, limit=100)
    assert [(one["seq"], one["type"]) for one in page] == [(1, "system"), (2, "text")]
    return page


@pytest.mark.parametrize("queued", [b'"type":"member.removed"', b'"type":"message.new"'])
async def test_a_removal_and_its_system_message_are_both_stored_if_one_was_queued(
    deployed: Deployed, queued: bytes
) -> None:
    """Redis died when only one of the two records was queued (D2)."""
    room_id = await deployed.group("alice", "bob")
    removed = await deployed.services.memberships.remove(room_id, "alice", ["bob"])
    waiting = [fields for _, _, fields in await deployed.outbox()]
    deployed.deliver(fields for fields in waiting if queued in fields[b"d"])
    page = await after_a_loss(deployed, room_id, removed)
    assert page[0]["metadata"] == {"event": "member.removed", "user_ids": ["bob"]}
    bob = await deployed.services.archive.member(room_id, "bob")
    assert bob is not None
    assert bob.state == "out"


async def store_only(deployed: Deployed, which: int) -> None:
    """Store one record of the outbox; Redis then loses everything."""
    waiting = [fields for _, _, fields in await deployed.outbox()]
    deployed.deliver(waiting[which : which + 1])
    await deployed.redis.flushall()


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("command", HALVES)
async def test_a_change_is_completed_whichever_part_was_stored(
    deployed: Deployed, command: str, which: int
) -> None:
    """A leave has four records: the owner's role, the removal, and a system message of each."""
    run, wanted, lines = HALVES[command]
    room_id = await deployed.group("alice", "bob")
    done = await run(deployed.services, room_id)
    await store_only(deployed, which)
    async with deployed.relaying():
        assert await ends(done) == {"stored"}
        assert await ends(await deployed.send(room_id, "bob", "m")) == {"queued"}
    page = await deployed.services.archive.page(room_id, limit=100)
    assert [one["seq"] for one in page] == list(range(1, len(lines) + 2))
    assert [one["metadata"] for one in page[:-1]] == lines
    for user, state in wanted.items():
        member = await deployed.services.archive.member(room_id, user)
        assert member is not None
        assert member.state == state


async def test_a_system_message_replayed_alone_is_in_the_history_once(
    deployed: Deployed,
) -> None:
    """At the second loss it was stored, and only its origin did not know."""
    room_id = await deployed.group("alice", "bob")
    removed = await deployed.services.memberships.remove(room_id, "alice", ["bob"])
    await store_only(deployed, 0)
    await until_replayed(deployed, 1)
    deployed.deliver([fields for _, _, fields in await deployed.outbox()])
    await after_a_loss(deployed, room_id, removed)


async def test_a_replayed_system_message_names_the_users_it_named(deployed: Deployed) -> None:
    """A later command about one of them does not change what was published (D2)."""
    room_id = await deployed.group("alice", "bob", "eve")
    removed = await deployed.services.memberships.remove(room_id, "alice", ["bob", "eve"])
    await deployed.redis.flushall()
    async with Services(deployed.settings) as other, deployed.relaying():
        kept = await other.memberships.remove(room_id, "alice", ["eve"])
        assert await ends(removed, kept) == {"stored"}
    page = await deployed.services.archive.page(room_id, limit=100)
    assert ["bob", "eve"] in [one["metadata"]["user_ids"] for one in page]


@pytest.mark.parametrize("which", [0, 1])
async def test_a_creation_is_completed_whichever_part_was_stored(
    deployed: Deployed, which: int
) -> None:
    """Only the room was stored, or only its members."""
    command: RoomCreatePayload = {
        "type": "group",
        "client_room_id": f"half {which}",
        "members": ["bob"],
    }
    room_id, _, made = await deployed.services.rooms.create(Identity("alice", 0), command)
    await store_only(deployed, which)
    async with deployed.relaying():
        assert await ends(made) == {"stored"}
        assert await ends(await deployed.send(room_id, "bob", "m")) == {"queued"}
    stored = await deployed.services.archive.room(room_id)
    assert stored is not None
    assert stored.room is not None
    for user in ("alice", "bob"):
        member = await deployed.services.archive.member(room_id, user)
        assert member is not None
        assert member.state == "in"


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_a_deletion_is_completed_whichever_part_was_stored(
    deployed: Deployed, which: int
) -> None:
    """Only the removals were stored, the tombstone, or the expiry of the messages."""
    room_id = await deployed.group("alice", "bob")
    await deployed.send(room_id, "alice", "m")
    await deployed.store()
    deleted = await deployed.services.rooms.delete(room_id, "alice")
    await store_only(deployed, which)
    seen: list[bytes] = []
    deliver = deployed.deliver

    def watched(waiting: Iterable[dict[bytes, bytes]]) -> None:
        records = list(waiting)
        seen.extend(one[b"d"] for one in records)
        deliver(records)

    deployed.deliver = watched  # type: ignore[method-assign]
    async with deployed.relaying():
        assert await ends(deleted) == {"stored"}
    stored = await deployed.services.archive.room(room_id)
    assert stored is not None
    assert stored.room is not None
    assert "deleted_at" in stored.room
    for user in ("alice", "bob"):
        member = await deployed.services.archive.member(room_id, user)
        assert member is not None
        assert member.state == "out"
    assert which == 2 or any(b'"expires' in one or b'"expire' in one for one in seen)
