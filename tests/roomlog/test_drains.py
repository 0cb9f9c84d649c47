"""Cold rooms: their queue is drained before they are read from the archive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from rts_server import errors, keys
from rts_server.config import Settings
from rts_server.domain.message import MessageDraft
from rts_server.views import inbox as chatlist
from rts_server.views.history import AS_OPERATOR, SeqRange
from tests.helpers.bench import Bench
from tests.helpers.deployed import Deployed
from tests.helpers.waiting import PATIENCE

PAGE = SeqRange(0, None, 10, "newest")
Queued = list[dict[bytes, bytes]]


async def lost(deployed: Deployed) -> tuple[str, Queued]:
    """A room that Redis lost, and the record of its second message, which is in the queue."""
    room_id = await deployed.group("alice", "bob")
    await deployed.send(room_id, "alice", "m1", "one")
    await deployed.store()
    await deployed.send(room_id, "alice", "m2", "two")
    waiting = await queued(deployed)
    await deployed.redis.flushall()
    return room_id, waiting


async def queued(deployed: Deployed) -> Queued:
    """Move the outbox into the queue, with notices to the origin; nothing is stored."""
    waiting = await deployed.outbox()
    for stream, entry, fields in waiting:
        await deployed.redis.xdel(stream, entry)
        notice = (fields[b"r"].decode(), fields[b"k"].decode(), entry.decode())
        deployed.services.durability.mark_queued([notice])
    return [fields for _, _, fields in waiting]


async def barriers(deployed: Deployed) -> int:
    """The number of barriers in the outbox."""
    return sum(b"b" in fields for _, _, fields in await deployed.outbox())


async def until_barrier(deployed: Deployed, waits: asyncio.Future[Any] | None = None) -> None:
    """Return when a barrier is in the outbox; `waits` must not be done before."""
    while not await barriers(deployed):
        assert waits is None or not waits.done(), waits


READS: dict[str, Callable[[Deployed, str], Awaitable[Any]]] = {
    "a page": lambda d, r: d.services.history.page(r, "alice", PAGE),
    "a message": lambda d, r: d.services.history.message(
        r, "alice", keys.message_id(r, "alice", "m2")
    ),
    "the list": lambda d, r: d.services.inboxes.read_rooms("alice", [r]),
    "the members": lambda d, r: d.services.members.all(r, "alice"),
    "an operator's room": lambda d, r: d.services.system_rooms.public(r),
    "an operator's page": lambda d, r: d.services.history.page(r, AS_OPERATOR, PAGE),
    "sync": lambda d, r: d.services.sync.events_since("alice", {r: (1, 4)}),
    "verify": lambda d, r: d.services.verifier.verify(r, repair=False),
}


@pytest.mark.parametrize("read", READS)
async def test_a_cold_room_is_read_after_its_queue_was_drained(
    deployed: Deployed, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer comes once everything queued is stored, and contains it."""
    patient = replace(deployed.settings, redis_deadline=PATIENCE)
    monkeypatch.setattr(deployed.services.drains, "_settings", patient)
    room_id, waiting = await lost(deployed)
    reading = asyncio.ensure_future(READS[read](deployed, room_id))
    await until_barrier(deployed, reading)
    deployed.deliver(waiting)  # then, in its turn, the barrier
    await deployed.store()
    told = orjson.dumps(await reading, default=str).decode()
    for two in {"a page": ['"two"'], "a message": ['"two"'], "the list": ['"two"', '"unread"']}.get(
        read, []
    ):
        assert two in told
    if read in ("the list", "an operator's room"):
        assert '"offset":4' in told
    if read == "sync":
        assert '"recovered":true' in told
    assert await barriers(deployed) == 0


@pytest.mark.parametrize("read", READS)
async def test_a_queue_that_stands_still_is_unavailable(
    deployed: Deployed, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is retryable, and the next read waits for the same barrier."""
    monkeypatch.setattr(chatlist, "DRAIN_WAIT_SECONDS", 0.1)
    room_id, _ = await lost(deployed)
    deployed.services.drains._settings = replace(deployed.settings, redis_deadline=0.1)
    for _ in range(2):
        with pytest.raises(errors.Unavailable) as refused:
            await READS[read](deployed, room_id)
        assert refused.value.retryable
        assert await barriers(deployed) == 1


async def test_a_room_is_drained_once(deployed: Deployed) -> None:
    """Two readers share a barrier; later readers send none until Redis loses the room again."""
    room_id, waiting = await lost(deployed)
    history = deployed.services.history
    reads = [asyncio.create_task(history.page(room_id, u, PAGE)) for u in ("alice", "bob")]
    await until_barrier(deployed)
    deployed.deliver(waiting)
    async with deployed.relaying():
        pages = await asyncio.gather(*reads)
    assert [[m["text"] for m in page] for page, _ in pages] == [["one", "two"]] * 2
    await deployed.services.history.page(room_id, "alice", PAGE)
    await deployed.services.members.all(room_id, "alice")
    assert await deployed.outbox() == []
    assert await deployed.services.archive.room(room_id) is not None
    await deployed.redis.flushall()
    async with deployed.relaying():
        await deployed.services.history.page(room_id, "alice", PAGE)
    kept = await deployed.redis.get(keys.room(room_id).settled)
    assert kept == await deployed.redis.get(keys.generation(keys.partition(room_id)))


async def test_a_load_deletes_the_settled_key(deployed: Deployed) -> None:
    """Records written after it may be queued when the room is lost again: it is drained again."""
    room_id, waiting = await lost(deployed)
    deployed.deliver(waiting)
    async with deployed.relaying():
        await deployed.services.history.page(room_id, "alice", PAGE)
        await deployed.send(room_id, "bob", "m3", "three")
    await deployed.send(room_id, "bob", "m4", "four")
    waiting = await queued(deployed)
    await deployed.redis.delete(keys.room(room_id).members)
    reading = asyncio.create_task(deployed.services.history.page(room_id, "alice", PAGE))
    await until_barrier(deployed)
    deployed.deliver(waiting)
    await deployed.store()
    page, _ = await reading
    assert [m["text"] for m in page] == ["one", "two", "three", "four"]


async def test_a_room_that_expired_needs_no_barrier(deployed: Deployed) -> None:
    """Its keys expired long after its last record, so the archive is read at once."""
    room_id = await deployed.group("alice", "bob")
    await deployed.send(room_id, "alice", "m1", "one")
    await deployed.store()
    await deployed.expire(room_id)
    page, _ = await deployed.services.history.page(room_id, "alice", PAGE)
    assert [m["text"] for m in page] == ["one"]
    assert await deployed.outbox() == []


async def test_a_room_that_does_not_exist_needs_no_barrier(deployed: Deployed) -> None:
    """A read of an unknown id by an operator writes nothing."""
    with pytest.raises(errors.NotFound):
        await deployed.services.system_rooms.public("nowhere")
    assert await deployed.outbox() == []
    assert await deployed.services.archive.room("nowhere") is None


async def test_a_read_sends_no_barrier_while_the_room_is_loaded(deployed: Deployed) -> None:
    """The room's item shows its last barrier only, so a second one would hide the loader's."""
    room_id, waiting = await lost(deployed)
    sending = asyncio.create_task(deployed.send(room_id, "bob", "m3", "three"))
    await until_barrier(deployed)
    reading = asyncio.create_task(deployed.services.history.page(room_id, "alice", PAGE))
    for _ in range(10):
        await asyncio.sleep(0.01)
    assert await barriers(deployed) == 1
    deployed.deliver(waiting)
    async with deployed.relaying():
        await sending
        page, _ = await reading
    assert [m["text"] for m in page][:2] == ["one", "two"]


CHANGES: dict[str, Callable[[Deployed, str, str], Awaitable[Any]]] = {
    "edit": lambda d, r, m: d.services.messages.edit(r, "alice", m, {"text": "better"}),
    "delete": lambda d, r, m: d.services.messages.delete(r, "alice", m),
    "react": lambda d, r, m: d.services.messages.react(r, "bob", m, "👍", on=True),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_message_that_is_queued_can_be_changed(deployed: Deployed, change: str) -> None:
    """Its sender was answered `queued`, so after a loss it must not be `not_found`."""
    room_id, waiting = await lost(deployed)
    message_id = keys.message_id(room_id, "alice", "m2")
    changing = asyncio.ensure_future(CHANGES[change](deployed, room_id, message_id))
    await until_barrier(deployed, changing)
    deployed.deliver(waiting)
    async with deployed.relaying():
        message, done = await changing
        assert message["version"] == 2 or message["reactions"]
        assert await done.durability == "queued"


async def test_changes_that_are_queued_can_be_undone(deployed: Deployed) -> None:
    """After a loss a queued reaction is removed and a queued edit replaced: neither is a no-op."""
    room_id = await deployed.group("alice", "bob")
    done = await deployed.send(room_id, "alice", "m1", "one")
    message_id = done.request_id
    await deployed.store()
    messages = deployed.services.messages
    await messages.react(room_id, "bob", message_id, "👍", on=True)
    await messages.edit(room_id, "alice", message_id, {"text": "other"})
    waiting = await queued(deployed)
    await deployed.redis.flushall()
    taking = asyncio.gather(
        messages.react(room_id, "bob", message_id, "👍", on=False),
        messages.edit(room_id, "alice", message_id, {"text": "one"}),
    )
    await until_barrier(deployed, taking)
    deployed.deliver(waiting)
    async with deployed.relaying():
        for _, one in await taking:
            assert await one.durability == "queued"
    stored = await deployed.services.archive.message(room_id, message_id)
    assert stored is not None
    assert (stored.message["text"], stored.message["reactions"]) == ("one", {})


async def test_the_position_of_a_cold_room_counts_changes_of_all_members(
    deployed: Deployed,
) -> None:
    """A client that missed a change of another member has not recovered."""
    room_id = await deployed.group("alice", "bob", "carol")
    done = await deployed.services.memberships.set_role(room_id, "alice", "carol", "admin")
    await deployed.store()
    await deployed.redis.flushall()
    assert done.result is not None
    head = (done.result.epoch, done.result.offset)
    async with deployed.relaying():
        told = await deployed.services.sync.events_since("bob", {room_id: (1, 2)})
        assert (told[room_id]["recovered"], told[room_id]["offset"]) == (False, head[1])
        told = await deployed.services.sync.events_since("bob", {room_id: head})
        assert told[room_id]["recovered"]
        await deployed.send(room_id, "alice", "m")
    opened, _ = await Bench(deployed.redis).events(room_id)
    assert opened["data"] == {"prev": list(head)}


async def test_cursors_never_go_back(redis: Redis, valkey_url: str, tables: None) -> None:
    """Cursors in a Redis whose room is cold may be ahead of the archive, and are kept (D8)."""
    async with Deployed(Settings(redis_url=valkey_url), redis) as deployed:
        room_id = await deployed.group("alice", "bob")
        for n in range(3):
            await deployed.send(room_id, "alice", f"m{n}")
        await deployed.store()
        await deployed.services.receipts.move("bob", {room_id: (2, 3)})
        await redis.hset(keys.room(room_id).head, "fence", "another:one")
        async with deployed.relaying():
            moved = await deployed.services.receipts.move("bob", {room_id: (1, 0)})
        assert (moved[room_id].read_seq, moved[room_id].delivered_seq) == (2, 3)
        members = {m["user_id"]: m for m in await deployed.services.members.all(room_id, "alice")}
        assert (members["alice"]["read_seq"], members["alice"]["delivered_seq"]) == (3, 3)


async def test_a_message_moves_both_cursors_of_its_sender(deployed: Deployed) -> None:
    """The read cursor of the sender is never above the delivered one (D8)."""
    room_id = await deployed.group("alice", "bob")
    for n in range(2):
        await deployed.send(room_id, "alice", f"m{n}")
    await deployed.store()
    stored = await deployed.services.archive.member(room_id, "alice")
    assert stored is not None
    assert (stored.read_seq, stored.delivered_seq) == (2, 2)


async def test_a_loaded_room_is_at_a_later_position_than_everything_lost(
    deployed: Deployed,
) -> None:
    """A message lost with Redis and its origin leaves no position that is issued again (D6)."""
    room_id = await deployed.group("alice", "bob")
    async with Deployed(deployed.settings, deployed.redis) as other:
        done = await other.send(room_id, "alice", "m1")
    assert done.result is not None
    await deployed.redis.flushall()
    async with deployed.relaying():
        (row,) = (
            await deployed.services.inboxes.read_room(
                "bob", room_id, deployed.services.rooms.load_if_cold
            )
        ).rows
    assert (row.room["epoch"], row.room["offset"]) == (2, 1)
    assert (row.room["epoch"], row.room["offset"]) > (done.result.epoch, done.result.offset)


async def test_a_room_loaded_while_it_is_drained_is_read_from_redis(deployed: Deployed) -> None:
    """Listeners received its new epoch: an answer from the archive would be older."""
    room_id, waiting = await lost(deployed)
    listing = asyncio.create_task(deployed.services.inboxes.read_rooms("alice", [room_id]))
    await until_barrier(deployed, listing)
    sending = asyncio.create_task(deployed.send(room_id, "bob", "m3", "three"))
    while await barriers(deployed) < 2:  # that of the load is behind the first
        assert not listing.done()
    deployed.deliver(waiting)
    await deployed.store()
    done = await sending
    (row,) = (await listing).rows
    assert done.result is not None
    assert row.room["epoch"] == done.result.epoch == 2


async def test_a_message_that_is_queued_can_be_replied_to(deployed: Deployed) -> None:
    """The replied message is in the queue only."""
    room_id, waiting = await lost(deployed)
    reply: MessageDraft = {
        "client_msg_id": "m3",
        "text": "yes",
        "reply_to": keys.message_id(room_id, "alice", "m2"),
    }
    sending = asyncio.create_task(deployed.services.messages.send(room_id, "bob", reply))
    await until_barrier(deployed, sending)
    assert await barriers(deployed) == 1
    deployed.deliver(waiting)
    async with deployed.relaying():
        assert await (await sending).durability == "queued"
