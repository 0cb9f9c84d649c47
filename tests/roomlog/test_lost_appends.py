"""Appends that Redis lost are replayed in their first order, before anything newer (D2, D3)."""

from __future__ import annotations

from typing import Any

import pytest

from rts_server.auth import Identity
from rts_server.roomlog.request import AppendRequest
from rts_server.roomlog.script import AppendReply
from rts_server.services import Services
from rts_server.types.commands import RoomCreatePayload
from tests.helpers.deployed import Deployed
from tests.roomlog.losses import ends, texts, until_replayed


async def test_lost_messages_are_replayed_in_their_first_order(deployed: Deployed) -> None:
    """However long each has been pending, so that some are polled later than others."""
    room_id = await deployed.group("alice", "bob")
    sent = [await deployed.send(room_id, "alice", f"m{n}", f"{n}") for n in range(8)]
    for pending in deployed.services.durability._pending.values():
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
    for pending in deployed.services.durability._pending.values():
        pending.next_poll += 3.0
    await deployed.redis.flushall()
    async with deployed.relaying():
        third = await deployed.send(room_id, "alice", "third", "third")
        assert await ends(first, second, third) == {"queued"}
    assert await texts(deployed, room_id) == ["first", "second", "third"]


async def test_messages_in_the_outbox_do_not_delay_later_messages(deployed: Deployed) -> None:
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
    _, react = await deployed.services.messages.react(
        room_id, "bob", sent.request_id, "👍", on=True
    )
    _, edit = await deployed.services.messages.edit(
        room_id, "alice", sent.request_id, {"text": "new"}
    )
    await deployed.redis.flushall()
    async with deployed.relaying():
        newer = await deployed.send(room_id, "alice", "n")
        assert await ends(react, edit, newer) == {"queued"}
    stored = await deployed.services.archive.message(room_id, sent.request_id)
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
    stored = await deployed.services.archive.message(room_id, sent.request_id)
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
    script = deployed.services.append_script
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
    messages = deployed.services.messages
    sent = await deployed.send(room_id, "alice", "m", "zero")
    _, older = await messages.edit(room_id, "alice", sent.request_id, {"text": "one"})
    _, react = await messages.react(room_id, "bob", sent.request_id, "👍", on=True)
    _, newer = await messages.edit(room_id, "alice", sent.request_id, {"text": "two"})
    await deployed.redis.flushall()
    await until_replayed(deployed, again)
    await deployed.redis.flushall()
    async with deployed.relaying():
        assert await ends(sent, older, react, newer) == {"queued"}
    stored = await deployed.services.archive.message(room_id, sent.request_id)
    assert stored is not None
    assert stored.message["text"] == "two"
    assert list(stored.message["reactions"]) == ["👍"]


async def test_a_change_waits_for_a_message_that_another_instance_lost(deployed: Deployed) -> None:
    """Replayed before its message is there, it does not fail."""
    room_id = await deployed.group("alice", "bob")
    async with Services(deployed.settings) as other:
        sent = await deployed.send(room_id, "alice", "m", "one")
        _, edit = await other.messages.edit(room_id, "alice", sent.request_id, {"text": "two"})
        for pending in deployed.services.durability._pending.values():
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
        room_id, _, made = await deployed.services.rooms.create(Identity("alice", 0), command)
        sent = [
            await other.messages.send(room_id, "alice", {"client_msg_id": text, "text": text})
            for text in ("one", "two")
        ]
        added = await other.memberships.add(room_id, "alice", ["eve"], "member")
        named = await other.rooms.update(room_id, "alice", {"name": "Z"})
        for pending in deployed.services.durability._pending.values():
            pending.next_poll += 1.5
        await deployed.redis.flushall()
        async with deployed.relaying():
            assert await ends(*sent) == {"queued"}
            assert await ends(made, added, named) == {"stored"}
    assert await texts(deployed, room_id) == ["one", "two"]
    stored = await deployed.services.archive.room(room_id)
    assert stored is not None
    assert stored.room is not None
    assert stored.room["name"] == "Z"


async def test_an_edit_is_replayed_although_its_author_has_left(deployed: Deployed) -> None:
    """Neither roles nor the expected version are checked again."""
    room_id = await deployed.group("alice", "bob")
    sent = await deployed.send(room_id, "bob", "m", "one")
    await deployed.store()
    edited = deployed.services.messages.edit
    _, edit = await edited(room_id, "bob", sent.request_id, {"text": "two"}, version=1)
    await deployed.services.memberships.remove(room_id, "alice", ["bob"])
    waiting = [fields for _, _, fields in await deployed.outbox()]
    deployed.deliver(fields for fields in waiting if b'"member.removed"' in fields[b"d"])
    await deployed.redis.flushall()
    async with deployed.relaying():
        assert await ends(edit) == {"queued"}
    assert await texts(deployed, room_id) == ["two"]


async def test_a_room_is_acked_at_its_position_after_a_loss(deployed: Deployed) -> None:
    """A replayed creation or change of a room has another position when it is acked."""
    command: RoomCreatePayload = {"type": "group", "client_room_id": "acked", "members": ["bob"]}
    made_in = deployed.services.rooms
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
