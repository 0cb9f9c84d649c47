"""The durability of appends, from the log to the archive: queued, stored, failed, or replayed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from rts_server import errors, keys
from rts_server.auth import Identity
from rts_server.roomlog.late_appends import APPEND_MEMORY_BYTES
from rts_server.roomlog.message_events import message_failed
from rts_server.roomlog.notices import parse_notice
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.roomlog.request import AppendResult
from rts_server.types.commands import RoomCreatePayload
from rts_server.types.events import MessageFailedData
from tests.helpers.bench import Bench, message
from tests.helpers.deployed import Deployed, end
from tests.helpers.waiting import eventually


def notice(done: PendingWrite, room_id: str, request_id: str) -> list[tuple[str, str, str]]:
    """The relay's notices of all entries of an append."""
    assert done.result is not None
    told = [[room_id, request_id, entry] for entry in sorted(done.result.entries)]
    return parse_notice(orjson.dumps({"queued": told}))


async def test_a_message_is_queued_once_all_its_entries_are(deployed: Deployed) -> None:
    """Notices of other requests and other entries do not count."""
    room_id = await deployed.group("alice")
    done = await deployed.send(room_id, "alice", "m")
    message_id = keys.message_id(room_id, "alice", "m")
    deployed.services.durability.mark_queued(
        [(room_id, message_id, "0-1"), (room_id, "other", "0-2")]
    )
    assert not done.durability.done()
    deployed.services.durability.mark_queued(notice(done, room_id, message_id))
    assert done.durability.result() == "queued"


async def test_a_notice_may_come_before_the_reply(deployed: Deployed) -> None:
    """It is kept until its append is tracked, and may come twice."""
    room_id = await deployed.group("alice")
    request = message(room_id, "alice")
    appended = await deployed.services.appender.append(request)
    assert isinstance(appended, AppendResult)
    early = notice(PendingWrite(appended, asyncio.Future()), room_id, request.request_id)
    deployed.services.durability.mark_queued(early)
    deployed.services.durability.mark_queued(early)
    assert deployed.services.durability.track(request, appended).durability.result() == "queued"


async def test_a_notice_of_another_room_does_not_count(deployed: Deployed) -> None:
    """Entries of two partitions may have the same id, if appended in the same millisecond."""
    one, other = await deployed.group("alice"), await deployed.group("alice")
    request = message(one, "alice")
    appended = await deployed.services.appender.append(request)
    assert isinstance(appended, AppendResult)
    early = [(other, "some request", entry) for entry in appended.entries]
    deployed.services.durability.mark_queued(early)
    fate = deployed.services.durability.track(request, appended).durability
    assert not fate.done()
    deployed.services.durability.mark_queued(
        [(one, request.request_id, entry) for _, _, entry in early]
    )
    assert fate.result() == "queued"


async def test_a_missing_notice_is_replaced_by_a_poll(deployed: Deployed) -> None:
    """Redis is asked for the durability of the append."""
    room_id = await deployed.group("alice")
    done = await deployed.send(room_id, "alice", "m")
    await deployed.store(notify=False)
    assert await end(done) == "queued"


async def test_a_repeated_send_shares_the_durability_of_the_first(deployed: Deployed) -> None:
    """The second result is a duplicate, and both are queued together."""
    room_id = await deployed.group("alice")
    first, second = [await deployed.send(room_id, "alice", "m") for _ in range(2)]
    assert first.result is not None
    assert second.result is not None
    assert (first.result.duplicate, second.result.duplicate) == (False, True)
    assert first.result.offset == second.result.offset
    await deployed.store()
    assert {await end(first), await end(second)} == {"queued"}
    assert [second.claim_status_event(), first.claim_status_event()] == [
        True,
        False,
    ]  # whoever was acked accepted, once


async def test_a_message_that_can_never_be_stored_fails(deployed: Deployed) -> None:
    """`message.failed` resolves its durability, and a later repetition fails at once."""
    room_id = await deployed.group("alice")
    done = await deployed.send(room_id, "alice", "m")
    assert done.result is not None
    await deployed.redis.delete(keys.room(room_id).outbox)
    failure: MessageFailedData = {
        "message_id": keys.message_id(room_id, "alice", "m"),
        "client_msg_id": "m",
        "seq": done.result.seq,
        "reason": "poison",
    }
    assert await deployed.services.appender.append(message_failed(failure, room_id)) is not None
    assert await end(done) in ("failed", "queued")  # the record was in the queue in between
    again = await deployed.send(room_id, "alice", "m")
    assert again.result is not None
    assert again.result.status == "failed"
    assert await end(again) == "failed"


async def test_lost_messages_are_appended_again_under_their_ids(deployed: Deployed) -> None:
    """Each is in the history once, and none is answered `queued` before (D1)."""
    room_id = await deployed.group("alice", "bob")
    sent = [await deployed.send(room_id, "alice", f"m{n}", str(n)) for n in range(4)]
    await deployed.redis.flushall()
    async with deployed.relaying():
        assert {await end(done) for done in sent} == {"queued"}
    stored = await deployed.services.archive.page(room_id, limit=10)
    assert sorted(one["text"] for one in stored) == ["0", "1", "2", "3"]
    assert {one["epoch"] for one in stored} == {2}
    assert len({one["message_id"] for one in stored}) == 4


async def test_a_lost_creation_is_replayed(deployed: Deployed) -> None:
    """The room exists in the end, with all its members."""
    command: RoomCreatePayload = {"type": "group", "client_room_id": "lost", "members": ["bob"]}
    room_id, _, done = await deployed.services.rooms.create(Identity("alice", 0), command)
    await deployed.redis.flushall()
    async with deployed.relaying():
        assert await end(done) == "stored"
    members = await deployed.services.archive.members(room_id)
    assert {one.user_id: one.role for one in members} == {"alice": "owner", "bob": "member"}


async def test_a_membership_is_stored_once_the_archive_shows_it(deployed: Deployed) -> None:
    """That its record is queued is not enough."""
    room_id = await deployed.group("alice")
    done = await deployed.services.memberships.add(room_id, "alice", ["bob"], "member")
    waiting = await deployed.outbox()
    await deployed.redis.delete(keys.room(room_id).outbox)
    add = next(fields for _, _, fields in waiting if b"u" in fields)
    deployed.services.durability.mark_queued(notice(done, room_id, add[b"k"].decode()))
    assert not done.durability.done()
    assert await deployed.services.archive.member(room_id, "bob") is None
    deployed.deliver(fields for _, _, fields in waiting)
    assert await end(done) == "stored"


async def test_an_addition_of_an_older_epoch_is_replayed_in_the_newer(deployed: Deployed) -> None:
    """The Lambda refuses it, as a cold load may not have read it; its origin replays it (A2)."""
    room_id = await deployed.group("alice")
    done = await deployed.services.memberships.add(room_id, "alice", ["bob"], "member")
    late = await deployed.outbox()
    await deployed.redis.flushall()
    async with deployed.relaying():
        await deployed.send(room_id, "alice", "m")
        deployed.deliver(fields for _, _, fields in late)
        assert await end(done) == "stored"
    member = await deployed.services.archive.member(room_id, "bob")
    assert member is not None
    assert (member.state, member.epoch) == ("in", 2)


async def test_a_member_stored_before_the_epoch_was_read_is_not_replayed(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read found no member and a later epoch: the member is looked up once more."""
    room_id = await deployed.group("alice")
    archive = deployed.services.archive

    async def torn(room_id: str, checks: Any) -> tuple[int, bool]:
        return 2, False

    async def never(*given: Any) -> None:
        raise AssertionError("repeated")

    monkeypatch.setattr(archive, "read_epoch_and_check", torn)
    monkeypatch.setattr(deployed.services.durability, "_replay_one", never)
    done = await deployed.services.memberships.add(room_id, "alice", ["bob"], "member")
    await deployed.store()
    assert await end(done) == "stored"


async def test_appends_beyond_the_cap_are_refused_before_they_are_appended(
    deployed: Deployed,
) -> None:
    """Beyond `pending_bytes` sends are unavailable, and the log does not change (Q5)."""
    room_id = await deployed.group("alice")
    tracker = deployed.services.durability
    tracker.settings = replace(tracker.settings, pending_bytes=2 * APPEND_MEMORY_BYTES)
    for n in range(2):
        await deployed.send(room_id, "alice", f"m{n}")
    tracker.poll_soon()
    await eventually(lambda: tracker._late.held_bytes >= 2 * APPEND_MEMORY_BYTES)
    with pytest.raises(errors.Unavailable) as caught:
        await deployed.send(room_id, "alice", "m2")
    assert caught.value.retry_after_ms == 1000
    assert len(await Bench(deployed.redis).events(room_id)) == 4
    await deployed.store()
