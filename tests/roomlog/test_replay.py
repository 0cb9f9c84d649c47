"""What Redis lost comes back in the order it was heard in, before anything newer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rts_server.roomlog.pending_write import PendingWrite
from rts_server.roomlog.request import AppendRequest
from rts_server.roomlog.script import AppendReply
from tests.helpers.deployed import Deployed

PATIENCE = 30.0


async def ends(*dones: PendingWrite) -> set[str]:
    """The fates, in reasonable time."""
    async with asyncio.timeout(PATIENCE):
        return {await done.durability for done in dones}


async def texts(deployed: Deployed, room_id: str) -> list[str]:
    """The archive's history, ascending."""
    page = await deployed.parts.archive.page(room_id, limit=100)
    return [one["text"] for one in page if one["type"] == "text"]


async def test_lost_messages_come_back_in_the_order_they_were_heard_in(deployed: Deployed) -> None:
    """However long each was waited for: some are asked for seldom by now, some at once."""
    room_id = await deployed.group("alice", "bob")
    sent = [await deployed.send(room_id, "alice", f"m{n}", f"{n}") for n in range(8)]
    for pending in deployed.parts.durability._pending.values():
        pending.next_poll += 0.2 * (8 - pending.result.seq)
    await deployed.redis.flushall()
    async with deployed.relaying():
        assert await ends(*sent) == {"queued"}
    assert await texts(deployed, room_id) == [f"{n}" for n in range(8)]


async def test_a_message_does_not_overtake_one_that_was_lost(deployed: Deployed) -> None:
    """Sent before anybody noticed the loss, it waits until what was heard before is in again."""
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


async def test_what_waits_in_the_outbox_holds_no_later_message_up(deployed: Deployed) -> None:
    """A room loaded anew by the same Redis: what was heard before is behind its barrier."""
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
    """Two edits were lost and made again on what was there: their versions may be others."""
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
    assert edit.ack_message()["message"] == stored.message
    assert stored.message["edited_at"] == edit.ack_message()["message"]["edited_at"]


@pytest.mark.parametrize("losses", [1, 2])
async def test_an_ack_has_the_place_that_history_shows(deployed: Deployed, losses: int) -> None:
    """Lost before it was queued, a message is elsewhere than it was first: what is told moves."""
    room_id = await deployed.group("alice", "bob")
    sent = await deployed.send(room_id, "alice", "m")
    edit = await deployed.send(room_id, "alice", "n")
    for _ in range(losses):
        await deployed.redis.flushall()
    async with deployed.relaying():
        assert await ends(sent, edit) == {"queued"}
    stored = await deployed.parts.archive.message(room_id, sent.request_id)
    assert stored is not None
    newest = sent.latest
    assert newest is not None
    assert (newest.epoch, newest.seq, newest.offset) == (stored.epoch, stored.seq, stored.offset)
    assert newest.epoch == 2
    assert newest.ts == stored.message["created_at"]


async def test_whose_answer_is_lost_meets_himself_and_a_repeated_send_its_first(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link breaks behind the append: the command goes on, and only a second one is told so."""
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
