"""Appends that Redis lost are replayed in their first order, before anything newer (D2, D3)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from rts_server.auth import Identity
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.roomlog.request import AppendRequest
from rts_server.roomlog.script import AppendReply
from rts_server.services import Services
from rts_server.types.commands import RoomCreatePayload
from tests.helpers.deployed import Deployed

PATIENCE = 30.0


async def ends(*dones: PendingWrite) -> set[str]:
    """The durabilities of some writes."""
    async with asyncio.timeout(PATIENCE):
        return {await done.durability for done in dones}


async def until_replayed(deployed: Deployed, count: int) -> None:
    """Wait until so many appends are in the outbox again; only barriers leave it meanwhile."""
    async with asyncio.timeout(PATIENCE):
        while True:
            waiting = await deployed.outbox()
            barriers = [one for one in waiting if b'"barrier"' in one[2][b"d"]]
            deployed.deliver(fields for _, _, fields in barriers)
            for stream, entry, _ in barriers:
                await deployed.redis.xdel(stream, entry)
            if len(waiting) - len(barriers) >= count:
                return
            await asyncio.sleep(0.01)


async def texts(deployed: Deployed, room_id: str) -> list[str]:
    """The texts of the archive's history, oldest first."""
    page = await deployed.parts.archive.page(room_id, limit=100)
    return [one["text"] for one in page if one["type"] == "text"]


async def test_lost_messages_are_replayed_in_their_first_order(deployed: Deployed) -> None:
    """However long each has been pending, so that some are polled later than others."""
    room_id = await deployed.group("alice", "bob")
    sent = [await deployed.send(room_id, "alice", f"m{n}", f"{n}") for n in range(8)]
    for pending in deployed.parts.durability._pending.values():
        pending.next_poll += 0.2 * (8 - pending.result.seq)
    await deployed.redis.flushall()
    async with deployed.relaying():
        assert await ends(*sent) == {"queued"}
    assert await texts(deployed, room_id) == [f"{n}" for n in range(8)]


async def test_a_message_does_not_overtake_one_that_was_lost(deployed: Deployed) -> None:
    """Sent before anybody noticed the loss, it waits until the earlier ones are replayed."""
    room_id = await deployed.group("alice", "bob")
    first = await deployed.send(room_id, "alice", "first", "first")
    second = await deployed.send(room_id, "alice", "second", "second")
    for pending in deployed.parts.durability._pending.values():
        pending.next_poll += 3.0
    await deployed.redis.flushall()
    async with deployed.relaying():
        third = await deployed.send(room_id, "alice", "third", "third")
        assert await ends(first, second, third) == {"queued"}
    assert await texts(deployed, room_id) == ["first", "second", "third"]


async def test_messages_in_the_outbox_hold_no_later_message_up(deployed: Deployed) -> None:
    """The room is loaded anew by the same Redis: they are before its barrier."""
    room_id = await deployed.group("alice", "bob")
    first = await deployed.send(room_id, "alice", "first", "first")
    waiting = await deployed.outbox()
    await deployed.redis.flushall()
    for stream, entry, fields in waiting:
        await deployed.redis.xadd(stream, dict(fields), id=entry)  # type: ignore[arg-type]
    async with deployed.relaying():
        second = await deployed.send(room_id, "alice", "second", "second")
        assert await ends(first, second) == {"queued"}
    assert await texts(deployed, room_id) == ["first", "second"]


async def test_a_changed_message_is_acked_as_history_shows_it(deployed: Deployed) -> None:
    """Lost edits are rebuilt on the present state, so their versions may differ."""
    room_id = await deployed.group("alice", "bob")
    sent = await deployed.send(room_id, "alice", "m")
    await deployed.store()
    _, react = await deployed.parts.messages.react(room_id, "bob", sent.request_id, "👍", on=True)
    _, edit = await deployed.parts.messages.edit(room_id, "alice", sent.request_id, {"text": "new"})
    await deployed.redis.flushall()
    async with deployed.relaying():
        newer = await deployed.send(room_id, "alice", "n")
        assert await ends(react, edit, newer) == {"queued"}
    stored = await deployed.parts.archive.message(room_id, sent.request_id)
    assert stored is not None
    assert edit.ack_message() == {"message": stored.message}


@pytest.mark.parametrize("losses", [1, 2])
async def test_an_ack_has_the_position_that_history_shows(deployed: Deployed, losses: int) -> None:
    """A message lost before it was queued has another position after its replay."""
    room_id = await deployed.group("alice", "bob")
    sent = await deployed.send(room_id, "alice", "m")
    edit = await deployed.send(room_id, "alice", "n")
    for _ in range(losses - 1):
        await deployed.redis.flushall()
        await until_replayed(deployed, 2)
    await deployed.redis.flushall()
    async with deployed.relaying():
        assert await ends(sent, edit) == {"queued"}
    stored = await deployed.parts.archive.message(room_id, sent.request_id)
    assert stored is not None
    newest = sent.latest
    assert newest is not None
    assert (newest.epoch, newest.seq, newest.offset) == (stored.epoch, stored.seq, stored.offset)
    assert newest.epoch == 1 + losses
    assert newest.ts == stored.message["created_at"]


async def test_a_command_whose_reply_was_lost_is_no_duplicate_and_a_repeated_send_is(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command repeats its call below the client; only another command is a duplicate (D7)."""
    room_id = await deployed.group("alice")
    script = deployed.parts.append_script
    append = script.append
    broken: list[None] = []

    async def breaking(request: AppendRequest, **more: Any) -> AppendReply:
        reply = await append(request, **more)
        if broken:
            broken.pop()
            raise ConnectionError
        return reply

    monkeypatch.setattr(script, "append", breaking)
    told = []
    for _ in range(2):
        broken.append(None)
        done = await deployed.send(room_id, "alice", "m")
        told.append(done.ack_position())
    assert [one.get("duplicate") for one in told] == [None, True]
    assert told[0] | {"duplicate": True} == told[1]
    await deployed.store()


@pytest.mark.parametrize("again", [1, 2, 4])
async def test_changes_lost_twice_are_replayed_in_their_first_order(
    deployed: Deployed, again: int
) -> None:
    """The second loss comes after some of the four were replayed."""
    room_id = await deployed.group("alice", "bob")
    messages = deployed.parts.messages
    sent = await deployed.send(room_id, "alice", "m", "zero")
    _, older = await messages.edit(room_id, "alice", sent.request_id, {"text": "one"})
    _, react = await messages.react(room_id, "bob", sent.request_id, "👍", on=True)
    _, newer = await messages.edit(room_id, "alice", sent.request_id, {"text": "two"})
    await deployed.redis.flushall()
    await until_replayed(deployed, again)
    await deployed.redis.flushall()
    async with deployed.relaying():
        assert await ends(sent, older, react, newer) == {"queued"}
    stored = await deployed.parts.archive.message(room_id, sent.request_id)
    assert stored is not None
    assert stored.message["text"] == "two"
    assert list(stored.message["reactions"]) == ["👍"]


async def test_a_change_waits_for_a_message_that_another_instance_lost(deployed: Deployed) -> None:
    """Replayed before its message is there, it does not fail."""
    room_id = await deployed.group("alice", "bob")
    async with Services(deployed.settings) as other:
        sent = await deployed.send(room_id, "alice", "m", "one")
        _, edit = await other.messages.edit(room_id, "alice", sent.request_id, {"text": "two"})
        for pending in deployed.parts.durability._pending.values():
            pending.next_poll += 1.5
        await deployed.redis.flushall()
        async with deployed.relaying():
            assert await ends(sent, edit) == {"queued"}
    assert await texts(deployed, room_id) == ["two"]


async def test_appends_to_a_lost_room_wait_for_the_instance_that_created_it(
    deployed: Deployed,
) -> None:
    """Its messages keep their order, and no command is answered `not_found`."""
    command: RoomCreatePayload = {
        "type": "group",
        "client_room_id": "made elsewhere",
        "members": ["bob"],
    }
    async with Services(deployed.settings) as other:
        room_id, _, made = await deployed.parts.rooms.create(Identity("alice", 0), command)
        sent = [
            await other.messages.send(room_id, "alice", {"client_msg_id": text, "text": text})
            for text in ("one", "two")
        ]
        added = await other.memberships.add(room_id, "alice", ["eve"], "member")
        named = await other.rooms.update(room_id, "alice", {"name": "Z"})
        for pending in deployed.parts.durability._pending.values():
            pending.next_poll += 1.5
        await deployed.redis.flushall()
        async with deployed.relaying():
            assert await ends(*sent) == {"queued"}
            assert await ends(made, added, named) == {"stored"}
    assert await texts(deployed, room_id) == ["one", "two"]
    stored = await deployed.parts.archive.room(room_id)
    assert stored is not None
    assert stored.room is not None
    assert stored.room["name"] == "Z"


@pytest.mark.parametrize("queued", [b'"type":"member.removed"', b'"type":"message.new"'])
async def test_a_removal_and_its_system_message_are_both_stored_if_one_was_queued(
    deployed: Deployed, queued: bytes
) -> None:
    """Redis died when only one of the two records was queued (D2)."""
    room_id = await deployed.group("alice", "bob")
    removed = await deployed.parts.memberships.remove(room_id, "alice", ["bob"])
    waiting = [fields for _, _, fields in await deployed.outbox()]
    deployed.deliver(fields for fields in waiting if queued in fields[b"d"])
    await deployed.redis.flushall()
    async with deployed.relaying():
        assert await ends(removed) == {"stored"}
        assert await ends(await deployed.send(room_id, "alice", "m")) == {"queued"}
    page = await deployed.parts.archive.page(room_id, limit=100)
    assert [(one["seq"], one["type"]) for one in page] == [(1, "system"), (2, "text")]
    assert page[0]["metadata"] == {"event": "member.removed", "user_ids": ["bob"]}
    bob = await deployed.parts.archive.member(room_id, "bob")
    assert bob is not None
    assert bob.state == "out"


async def test_an_edit_is_replayed_although_its_author_has_left(deployed: Deployed) -> None:
    """Neither roles nor the expected version are checked again."""
    room_id = await deployed.group("alice", "bob")
    sent = await deployed.send(room_id, "bob", "m", "one")
    await deployed.store()
    edited = deployed.parts.messages.edit
    _, edit = await edited(room_id, "bob", sent.request_id, {"text": "two"}, version=1)
    await deployed.parts.memberships.remove(room_id, "alice", ["bob"])
    waiting = [fields for _, _, fields in await deployed.outbox()]
    deployed.deliver(fields for fields in waiting if b'"member.removed"' in fields[b"d"])
    await deployed.redis.flushall()
    async with deployed.relaying():
        assert await ends(edit) == {"queued"}
    assert await texts(deployed, room_id) == ["two"]


async def test_a_room_is_acked_at_its_position_after_a_loss(deployed: Deployed) -> None:
    """A replayed creation or change of a room has another position when it is acked."""
    command: RoomCreatePayload = {"type": "group", "client_room_id": "acked", "members": ["bob"]}
    made_in = deployed.parts.rooms
    for lost in ("created", "updated"):
        if lost == "created":
            room_id, _, done = await made_in.create(Identity("alice", 0), command)
        else:
            done = await made_in.update(room_id, "alice", {"name": "Z"})
        shown = await made_in.public(room_id)
        assert done.ack_room(shown) == shown
        await deployed.redis.flushall()
        async with deployed.relaying():
            assert await ends(done) == {"stored"}
        now = await made_in.public(room_id)
        told = done.ack_room(shown)
        assert (told["epoch"], told["offset"]) > (shown["epoch"], shown["offset"])
        assert {name: told[name] for name in ("epoch", "offset", "seq", "version")} == {
            name: now[name] for name in ("epoch", "offset", "seq", "version")
        }


Command = Callable[[Services, str], Awaitable[PendingWrite]]
HALVES: dict[str, tuple[Command, dict[str, str], str, list[str]]] = {
    "add": (
        lambda parts, room: parts.memberships.add(room, "alice", ["eve", "zoe"], "member"),
        {"alice": "in", "bob": "in", "eve": "in", "zoe": "in"},
        "member.added",
        ["eve", "zoe"],
    ),
    "leave": (
        lambda parts, room: parts.memberships.leave(room, "alice", "bob"),
        {"alice": "out", "bob": "in"},
        "member.removed",
        ["alice"],
    ),
}


async def store_only(deployed: Deployed, which: int) -> None:
    """Store one record of the outbox; Redis then loses everything."""
    waiting = [fields for _, _, fields in await deployed.outbox()]
    deployed.deliver(waiting[which : which + 1])
    await deployed.redis.flushall()


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("command", HALVES)
async def test_a_change_of_members_is_completed_whichever_part_was_stored(
    deployed: Deployed, command: str, which: int
) -> None:
    """A leave has three records: the owner's role, the removal, and the system message."""
    run, wanted, event, named = HALVES[command]
    room_id = await deployed.group("alice", "bob")
    done = await run(deployed.parts, room_id)
    await store_only(deployed, which)
    async with deployed.relaying():
        assert await ends(done) == {"stored"}
        assert await ends(await deployed.send(room_id, "bob", "m")) == {"queued"}
    page = await deployed.parts.archive.page(room_id, limit=100)
    assert [(one["seq"], one["type"]) for one in page] == [(1, "system"), (2, "text")]
    assert page[0]["metadata"] == {"event": event, "user_ids": named}
    for user, state in wanted.items():
        member = await deployed.parts.archive.member(room_id, user)
        assert member is not None
        assert member.state == state


async def test_a_system_message_replayed_alone_is_in_the_history_once(
    deployed: Deployed,
) -> None:
    """At the second loss it was stored, and only its origin did not know."""
    room_id = await deployed.group("alice", "bob")
    removed = await deployed.parts.memberships.remove(room_id, "alice", ["bob"])
    await store_only(deployed, 0)
    await until_replayed(deployed, 1)
    deployed.deliver([fields for _, _, fields in await deployed.outbox()])
    await deployed.redis.flushall()
    async with deployed.relaying():
        assert await ends(removed) == {"stored"}
        assert await ends(await deployed.send(room_id, "alice", "m")) == {"queued"}
    page = await deployed.parts.archive.page(room_id, limit=100)
    assert [(one["seq"], one["type"]) for one in page] == [(1, "system"), (2, "text")]


async def test_a_replayed_system_message_names_the_users_it_named(deployed: Deployed) -> None:
    """A later command about one of them does not change what was published (D2)."""
    room_id = await deployed.group("alice", "bob", "eve")
    removed = await deployed.parts.memberships.remove(room_id, "alice", ["bob", "eve"])
    await deployed.redis.flushall()
    async with Services(deployed.settings) as other, deployed.relaying():
        kept = await other.memberships.remove(room_id, "alice", ["eve"])
        assert await ends(removed, kept) == {"stored"}
    page = await deployed.parts.archive.page(room_id, limit=100)
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
    room_id, _, made = await deployed.parts.rooms.create(Identity("alice", 0), command)
    await store_only(deployed, which)
    async with deployed.relaying():
        assert await ends(made) == {"stored"}
        assert await ends(await deployed.send(room_id, "bob", "m")) == {"queued"}
    stored = await deployed.parts.archive.room(room_id)
    assert stored is not None
    assert stored.room is not None
    for user in ("alice", "bob"):
        member = await deployed.parts.archive.member(room_id, user)
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
    deleted = await deployed.parts.rooms.delete(room_id, "alice")
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
    stored = await deployed.parts.archive.room(room_id)
    assert stored is not None
    assert stored.room is not None
    assert "deleted_at" in stored.room
    for user in ("alice", "bob"):
        member = await deployed.parts.archive.member(room_id, user)
        assert member is not None
        assert member.state == "out"
    assert which == 2 or any(b'"expires' in one or b'"expire' in one for one in seen)
