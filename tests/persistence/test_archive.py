"""Reads of the archive, and their errors while DynamoDB is slow, throttled or away."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdas import tables
from lambdas.chat_message_to_db.handler import lambda_handler as message_handler
from lambdas.chat_room_to_db.handler import lambda_handler as room_handler
from rts_server.config import Settings
from rts_server.errors import Unavailable
from rts_server.persistence import records
from rts_server.persistence.archive import Archive, between
from tests.helpers import aws
from tests.helpers.record_samples import (
    ROOM,
    TS,
    added,
    barrier,
    changed,
    failed,
    new,
    reacted,
    room,
)
from tests.helpers.waiting import promised


@pytest.fixture
async def archive(tables: None) -> AsyncIterator[Archive]:
    made = Archive(Settings())
    yield made
    await made.close()


def put(table: str, **item: Any) -> None:
    tables.client().put_item(TableName=table, Item=item)


async def test_a_room_is_read_as_stored(archive: Archive) -> None:
    """The item becomes the protocol's room, with epoch, seq, last message and barrier."""
    assert await archive.room("r1") is None
    message_handler(aws.event(new(1, 3, 7, room_id="r1"), barrier("n", room_id="r1")), None)
    early = await archive.room("r1")
    assert early is not None
    assert (early.room, early.seq, early.barrier, early.position) == (None, 7, "n", (1, 3))
    room_handler(aws.event(room(1, 1, room_id="r1", external_id="case-7")), None)
    stored = await archive.room("r1")
    assert stored is not None
    assert stored.room == {
        "room_id": "r1",
        "type": "group",
        "name": "Ärzte",
        "external_id": "case-7",
        "metadata": {"case": 7},
        "created_at": TS,
        "created_by": "alice",
        "version": 1,
        "frozen": False,
    }
    assert stored.last is not None
    assert (stored.last["message_id"], stored.last["preview"]) == ("m7", "text of m7")
    assert stored.last["deleted"] is False
    assert (stored.position, stored.epoch, stored.starts) == ((1, 3), 0, [])


async def test_the_last_message_of_a_room_that_was_deleted_says_so(archive: Archive) -> None:
    """Lists of a cold room show it as deleted, not as an empty text."""
    deleted = changed(
        "message.deleted", 1, 4, 7, "m7", 2, text="", deleted_at=TS, deleted_by="alice"
    )
    message_handler(aws.event(new(1, 3, 7), deleted), None)
    room_handler(aws.event(room(1, 1)), None)
    stored = await archive.room(ROOM)
    assert stored is not None
    assert stored.last is not None
    assert (stored.last["preview"], stored.last["deleted"]) == ("", True)


async def test_a_room_of_an_earlier_layout_is_no_empty_room(archive: Archive) -> None:
    """Its seq was in the room's own item: a load that missed it would give seqs out again."""
    put("chat-rooms", **records.room_key("old"), epoch=1, seq=7, head=records.position(1, 9))
    with pytest.raises(ValueError, match="earlier release"):
        await archive.room("old")


async def test_members_and_their_effective_cursors(archive: Archive) -> None:
    """Ended memberships count, a lone cursor does not; no cursor is below its minimum."""
    room_handler(aws.event(added(1, 2, "alice", "bob", seq=5, room_id="r2")), None)
    message_handler(
        aws.event(new(1, 3, 9, room_id="r2"), new(1, 4, 10, room_id="r2", sender="eve")), None
    )
    found = {one.user_id: one for one in await archive.members("r2")}
    assert set(found) == {"alice", "bob"}
    assert (found["alice"].read_seq, found["alice"].delivered_seq) == (9, 9)
    assert (found["bob"].read_seq, found["bob"].join_seq) == (5, 5)
    assert (found["bob"].state, found["bob"].epoch, found["bob"].offset) == ("in", 1, 2)
    assert await archive.member("r2", "alice") == found["alice"]
    assert await archive.member("r2", "eve") is None
    assert await archive.memberships("bob", ["r2", "nowhere"]) == {"r2": found["bob"]}
    assert await archive.members_of("bob") == [found["bob"]]
    assert await archive.rooms_of("bob") == [("r2", 1, 2, "in")]
    assert await archive.rooms_of("eve") == []


async def test_more_than_a_megabyte_of_members(archive: Archive) -> None:
    """All pages of a query are read."""
    for i in range(30):
        put(
            "chat-rooms",
            **records.member_key("wide", f"u{i:02d}"),
            user_id=f"u{i:02d}",
            state="in",
            name="n" * 50_000,
            pos=records.position(1, 1),
        )
    assert len(await archive.members("wide")) == 30


async def test_more_than_a_megabyte_of_rooms(archive: Archive) -> None:
    """All pages of a user's rooms are read, and nothing that is no membership."""
    for i in range(30):
        item: dict[str, Any] = {
            "state": "out",
            "name": "n" * 50_000,
            "pos": "0000000001#0000000002",
        }
        put(
            "chat-rooms",
            **records.member_key(f"far-{i:02d}", "traveller"),
            user_id="traveller",
            **(item if i else {"read_seq": 3}),
        )
    expected = [(f"far-{i:02d}", 1, 2, "out") for i in range(1, 30)]
    assert await archive.rooms_of("traveller") == expected


async def test_a_message_and_its_tombstone(archive: Archive) -> None:
    """Message, hash and position are read; a failed message is marked and has no text."""
    batch = aws.event(
        new(1, 1, 1, room_id="r3"), new(1, 2, 2, room_id="r3"), failed(1, 3, 2, "m2", "r3")
    )
    message_handler(batch, None)
    first, second = await archive.message("r3", "m1"), await archive.message("r3", "m2")
    assert first is not None
    assert second is not None
    assert (first.message["text"], first.hash, first.failed) == ("text of m1", "hash-m1", False)
    assert (second.failed, second.seq, second.hash) == (True, 2, "hash-m2")
    assert "text" not in second.message
    assert await archive.message("r3", "m3") is None
    assert await archive.uncounted("r3", 0) == [2]


async def test_reactions_are_read_with_their_message(archive: Archive) -> None:
    """Those that the body has and those since, in the order given, by id and in a page."""
    has = {"+": {"count": 2, "user_ids": ["alice", "bob"]}, "x": {"count": 1, "user_ids": ["eve"]}}
    edit = changed("message.updated", 1, 5, 1, "m1", 4, text="new", reactions=has)
    later = [reacted(1, 6, "m1", 5, "alice", on=False), reacted(1, 7, "m1", 6, "carol")]
    later += [reacted(1, 8, "m1", 7, "alice"), reacted(1, 4, "m1", 3, "dave", on=False)]
    bodies = [new(1, 2, 1), reacted(1, 3, "m1", 2, "dave"), edit, *later]
    message_handler(aws.event(*(body.replace(ROOM, "r9") for body in bodies)), None)
    stored = await archive.message("r9", "m1")
    assert stored is not None
    assert (stored.message["text"], stored.message["version"]) == ("new", 7)
    given = {"count": 3, "user_ids": ["bob", "carol", "alice"]}
    assert stored.message["reactions"] == {"+": given, "x": has["x"]}
    assert await archive.page("r9", limit=2) == [stored.message]
    assert await archive.ids("r9", None) == ([("m1", 1)], None)


async def test_uncounted_seqs_of_all_items_are_one_list(archive: Archive) -> None:
    """Items of 200 seqs each become one ascending list; those below the seq are not read."""
    batch = [new(1, i, seq, room_id="r4", kind="system") for i, seq in enumerate((2_500, 3, 999))]
    message_handler(aws.event(*batch), None)
    assert await archive.uncounted("r4", 0) == [3, 999, 2_500]
    assert await archive.uncounted("r4", 998) == [999, 2_500]
    sizes: list[int] = []

    def note(parsed: dict[str, Any], **_: Any) -> None:
        sizes.append(len(parsed["Items"]))

    archive._client.meta.events.register("after-call.dynamodb.Query", note)
    assert await archive.uncounted("r4", 1_000) == [2_500]
    assert sizes == [1]


async def test_pages_by_position(archive: Archive) -> None:
    """Bounds are exclusive, both directions work, failed messages are left out."""
    sends = [(1, 1), (1, 2), (1, 3), (2, 3), (2, 4), (3, 5)]
    batch = [new(e, i, s, f"m{e}-{s}", room_id="r5") for i, (e, s) in enumerate(sends)]
    message_handler(aws.event(*batch, failed(3, 9, 2, "m1-2", "r5")), None)

    async def page(**bounds: Any) -> list[tuple[int, int]]:
        found = await archive.page("r5", **{"limit": 10, **bounds})
        return [(one["epoch"], one["seq"]) for one in found]

    assert await page() == [(1, 1), (1, 3), (2, 3), (2, 4), (3, 5)]
    assert await page(newest_first=True, limit=2) == [(3, 5), (2, 4)]
    assert await page(low=(1, 1), high=(2, 4)) == [(1, 3), (2, 3)]
    assert await page(low=(2, 3), limit=1) == [(2, 4)]
    assert await page(high=(2, 0)) == [(1, 1), (1, 3)]
    assert await page(low=(3, 5)) == []
    assert await page(low=(2, 3), high=(2, 4)) == []
    assert await page(high=(0, 0)) == []


async def test_pages_over_many_blocks_of_ids(archive: Archive) -> None:
    """Any page holds each message of its range once, in order, whatever the blocks."""
    for at in range(1, 41, 10):
        batch = [new(1, seq, seq, room_id="long") for seq in range(at, at + 10)]
        message_handler(aws.event(*batch), None)

    async def page(**bounds: Any) -> list[int]:
        return [one["seq"] for one in await archive.page("long", **bounds)]

    for limit in (1, 11, 12, 25, 60):
        assert await page(limit=limit) == list(range(1, 41))[:limit]
        assert await page(limit=limit, newest_first=True) == list(range(40, 0, -1))[:limit]
        assert await page(limit=limit, low=(1, 11), high=(1, 26)) == list(range(12, 26))[:limit]
    assert await page(limit=9, high=(1, 37), newest_first=True) == list(range(36, 27, -1))


@pytest.mark.parametrize("newest_first", [True, False])
async def test_a_page_misses_no_block_that_is_filed_meanwhile(
    archive: Archive, newest_first: bool
) -> None:
    """New messages file the newest block between the two reads of the index."""
    name = f"filing-{newest_first}"
    message_handler(aws.event(*(new(1, seq, seq, room_id=name) for seq in range(1, 11))), None)
    later = [new(1, seq, seq, room_id=name) for seq in range(11, 15)]

    def file(**_: Any) -> None:
        if later:
            message_handler(aws.event(*(later.pop(0) for _ in range(4))), None)

    archive._client.meta.events.register_first("before-call.dynamodb.Query", file)
    found = [one["seq"] for one in await archive.page(name, limit=50, newest_first=newest_first)]
    assert not later
    assert sorted(found) == list(range(1, 11))
    assert found == sorted(found, reverse=newest_first)


def test_exclusive_bounds_as_text() -> None:
    """No position outside the bounds lies between the two texts."""
    low, high = between((1, 9), (2, 0))
    assert records.position(1, 9) < low <= records.position(1, 10)
    assert records.position(1, records.MAX_NUMBER) <= high < records.position(2, 0)
    assert between(None, None) == ("0", "~")


async def test_a_check_holds_at_its_position_or_later(archive: Archive) -> None:
    """More than 100 checks work at once; a single outdated item makes them false."""
    users = [f"user-{i}" for i in range(120)]
    room_handler(aws.event(added(1, 4, *users, room_id="r6")), None)
    keys = [records.member_key("r6", user)["sk"] for user in users]
    assert await archive.all_stored([("r6", key, "pos", records.position(1, 4)) for key in keys])
    assert await archive.all_stored([("r6", keys[0], "pos", records.position(1, 3))])
    assert not await archive.all_stored([("r6", keys[0], "pos", records.position(1, 5))])
    pair = [records.position(1, 4), records.position(1, 5)]
    assert not await archive.all_stored([("r6", keys[0], "pos", pos) for pos in pair])
    assert not await archive.all_stored([("r6", "MEMBER#nobody", "pos", records.position(1, 1))])
    assert await archive.all_stored([("r6", keys[0], "role_pos", records.position(1, 4))])
    assert not await archive.all_stored([("r6", keys[0], "settings_pos", records.position(1, 4))])
    assert await archive.all_stored([])


async def test_epoch_and_checks_are_read_in_one_request(archive: Archive) -> None:
    """Checks of the room itself are included; no room is epoch 0."""
    position = records.position(1, 1)
    room_check = ("look", records.room_key("look")["sk"], "pos", position)
    assert await archive.read_epoch_and_check("look", [room_check]) == (0, False)
    put("chat-rooms", **records.room_key("look"), epoch=3)
    assert await archive.read_epoch_and_check("look", [room_check]) == (3, False)
    room_handler(aws.event(added(3, 1, "alice", room_id="look")), None)
    member = ("look", records.member_key("look", "alice")["sk"], "pos", position)
    assert await archive.read_epoch_and_check("look", [member]) == (3, True)
    assert await archive.read_epoch_and_check("look", [member, room_check]) == (3, False)


async def test_several_rooms_at_once(archive: Archive) -> None:
    """More than 100 rooms are read; absent ones are left out, duplicates are read once."""
    for i in range(105):
        put("chat-rooms", **records.room_key(f"many-{i}"), epoch=i)
    names = [f"many-{i}" for i in range(106)]
    found = await archive.rooms([*names, "many-1"])
    assert len(found) == 105
    assert found["many-104"].epoch == 104


async def test_an_epoch_opens_once(archive: Archive) -> None:
    """Of two loaders with the same expectation one opens it, the other gets Unavailable."""
    assert await archive.open_epoch("r7", 0, 0) == 1
    with pytest.raises(Unavailable):
        await archive.open_epoch("r7", 0, 0)
    assert await archive.open_epoch("r7", 1, 42) == 2
    stored = await archive.room("r7")
    assert stored is not None
    assert (stored.epoch, stored.starts) == (2, [(1, 0), (2, 42)])


async def test_unprocessed_keys_are_requested_again(archive: Archive) -> None:
    """A throttled part of a batch is repeated, and finally reported as unavailable."""
    put("chat-rooms", **records.room_key("r8"), epoch=3)
    left = [2]

    def half(parsed: dict[str, Any], **_: Any) -> None:
        left[0] -= 1
        if left[0] >= 0:
            key = {"room_id": {"S": "r8"}, "sk": {"S": "ROOM"}}
            parsed["Responses"] = {"chat-rooms": []}
            parsed["UnprocessedKeys"] = {"chat-rooms": {"Keys": [key], "ConsistentRead": True}}

    archive._client.meta.events.register_first("after-call.dynamodb.BatchGetItem", half)
    assert (await archive.rooms(["r8"]))["r8"].epoch == 3
    left[0] = 100
    with pytest.raises(Unavailable):
        await archive.rooms(["r8"])


async def test_throttling_is_unavailable(archive: Archive) -> None:
    """Every refusal of DynamoDB becomes the same retryable error."""

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "GetItem")

    archive._client.meta.events.register_first("before-call.dynamodb.GetItem", refuse)
    with pytest.raises(Unavailable):
        await archive.member("r1", "alice")


@pytest.mark.parametrize("listens", [True, False])
async def test_dynamodb_away_is_unavailable_in_time(
    listens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed and a silent port both end within the deadline; the event loop goes on."""
    for name, value in aws.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        archive = Archive(Settings(aws_endpoint_url=address))
        with promised(4.5), pytest.raises(Unavailable) as caught:
            await archive.room("r1")
        assert json.dumps(caught.value.as_error())
        await archive.close()
