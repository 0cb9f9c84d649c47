"""Receipts and unread: two users with two devices on two instances."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rts_server.tools.dev import aws
from tests.helpers.commands import ok
from tests.helpers.js_client import JsClient
from tests.helpers.queue_depth import queue_depth
from tests.helpers.record_samples import cursors
from tests.helpers.rooms import group, send
from tests.helpers.waiting import until
from tests.helpers.world import World, name
from tests.helpers.world_redis import wipe
from tests.instances.badge import counted

CHANGES, FLOOD_BATCHES = 5, 60


@asynccontextmanager
async def device(world: World, user: str, instance: int, **more: Any) -> AsyncIterator[JsClient]:
    """A client in /chat and /receipts."""
    async with world.js(user, instance=instance, **more) as client:
        await client.join("/receipts")
        yield client


def unread(client: JsClient) -> list[dict[str, Any]]:
    """The data of `unread.changed`, in order."""
    return [event["data"] for event in client.of_type("unread.changed")]


async def room_of(client: JsClient, room_id: str) -> dict[str, Any]:
    """The room as the user sees it."""
    room: dict[str, Any] = (await ok(client, "room.get", {"room_id": room_id}))["room"]
    return room


def member(world: World, room_id: str, user: str) -> dict[str, Any]:
    """A member's item in the table."""
    settings = world.stack.settings
    answer = aws.client(settings, "dynamodb").get_item(
        TableName=settings.rooms_table,
        Key={"room_id": {"S": room_id}, "sk": {"S": f"MEMBER#{user}"}},
        ConsistentRead=True,
    )
    return {k: next(iter(v.values())) for k, v in answer.get("Item", {}).items()}


async def test_a_read_on_one_device_clears_the_others(pair: World) -> None:
    """The other device gets unread.changed, the room the receipt; unread.get and unread.explain
    agree."""
    alice, bob = name("alice"), name("bob")
    async with (
        device(pair, alice, 0) as a,
        device(pair, bob, 0) as b1,
        device(pair, bob, 1) as b2,
    ):
        room_id = await group(a, [bob])
        await b2.wait_for(lambda e: bool(e["type"] == "room.added"))
        for n in range(3):
            await send(a, room_id, f"m{n}")
        await b2.until(lambda: len(b2.of_type("message.new")) == 3)
        assert (await ok(b2, "unread.get", {}))["unread"] == {"total": 3, "rooms": 1}
        read = {"room_id": room_id, "up_to_seq": 2}
        for _ in range(2):
            answer = await ok(b1, "receipt.read", read)
            assert answer == {"read_seq": 2, "delivered_seq": 2, "unread": 1}
        for one in (b1, b2):
            await one.until(lambda c=one: len(unread(c)) == 2)  # type: ignore[misc]
            assert unread(one)[-1] == {"unread": 1, "read_seq": 2, "total": 1, "rooms": 1}
        updated = await a.wait_for(lambda e: bool(e["type"] == "receipt.updated"))
        assert updated["data"]["cursors"] == [{"user_id": bob, "read_seq": 2, "delivered_seq": 2}]
        await ok(b1, "receipt.read", {"room_id": room_id, "up_to_seq": 1})  # forward only
        beyond = await ok(b1, "receipt.read", {"room_id": room_id, "up_to_seq": 99})
        assert beyond == {"read_seq": 3, "delivered_seq": 3, "unread": 0}
        receipts = (await ok(a, "receipt.list", {"room_id": room_id}))["receipts"]
        assert {r["user_id"]: r["read_seq"] for r in receipts} == {alice: 3, bob: 3}
        assert len(unread(a)) == 1


@pytest.mark.on_both
async def test_what_was_read_elsewhere_meanwhile_is_told_at_a_reconnect(pair: World) -> None:
    """In rooms where another device read more than the cursor says, also to who joins /receipts
    later than /chat."""
    alice, bob = name("alice"), name("bob")
    async with device(pair, alice, 0) as a:
        rooms = [await group(a, [bob]) for _ in range(2)]
        for room_id in rooms:
            for n in range(3):
                await send(a, room_id, f"m{n}")
        async with device(pair, bob, 0) as b:
            await ok(b, "receipt.read", {"room_id": rooms[0], "up_to_seq": 2})
            cursors = {
                r: [room["epoch"], room["offset"], 0, 3]
                for r in rooms
                if (room := await room_of(b, r))
            }
        async with device(pair, bob, 1, cursors=cursors) as b:
            await b.until(lambda: bool(unread(b)))
            assert unread(b) == [{"unread": 1, "read_seq": 2, "total": 4, "rooms": 2}]
            assert b.of_type("unread.changed")[0]["room_id"] == rooms[0]


async def test_a_membership_that_begins_or_ends_is_announced_with_unread_totals(
    pair: World,
) -> None:
    """The room begins with nothing unread, and its unread messages leave the totals with it."""
    alice, bob = name("alice"), name("bob")
    async with device(pair, alice, 0) as a, device(pair, bob, 1) as b:
        first = await group(a, [bob])
        await b.until(lambda: len(unread(b)) == 1)
        await send(a, first, "one")
        await b.until(lambda: len(b.of_type("message.new")) == 1)
        second = await group(a, [])
        for n in range(2):
            await send(a, second, f"before {n}")
        await ok(a, "member.add", {"room_id": second, "user_ids": [bob]})
        await b.until(lambda: len(unread(b)) == 2)
        begun = {"unread": 0, "read_seq": 2, "total": 1, "rooms": 1}
        assert unread(b)[-1] == begun
        await ok(a, "member.remove", {"room_id": first, "user_ids": [bob]})
        await b.until(lambda: len(unread(b)) == 3)
        assert unread(b)[-1] == {"unread": 0, "read_seq": 0, "total": 0, "rooms": 0}


async def test_a_room_that_a_message_brings_back_counts_again(pair: World) -> None:
    """A hidden room is in no total until somebody else's message unhides it."""
    alice, bob = name("alice"), name("bob")
    async with device(pair, alice, 0) as a, device(pair, bob, 1) as b:
        at = {"room_id": await group(a, [bob])}
        await b.until(lambda: len(unread(b)) == 1)
        await send(a, at["room_id"], "one")
        await b.until(lambda: len(b.of_type("message.new")) == 1)
        await ok(b, "room.hide", at | {"hidden": True})
        await b.until(lambda: len(unread(b)) == 2)
        assert unread(b)[-1] == {"unread": 1, "read_seq": 0, "total": 0, "rooms": 0}
        await send(a, at["room_id"], "two")
        await b.until(lambda: len(unread(b)) == 3)
        assert unread(b)[-1] == {"unread": 2, "read_seq": 0, "total": 2, "rooms": 1}
        assert (await ok(b, "unread.get", {}))["unread"] == {"total": 2, "rooms": 1}


async def test_own_system_and_deleted_messages_do_not_count_as_unread(pair: World) -> None:
    """Own, system and deleted messages do not count; muted and hidden rooms are in no total."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with device(pair, alice, 0) as a, device(pair, bob, 1) as b:
        room_id = await group(a, [bob])
        at = {"room_id": room_id}
        await b.wait_for(lambda e: bool(e["type"] == "room.added"))
        sent = [(await send(a, room_id, f"m{n}"))["data"] for n in range(3)]
        await ok(a, "member.add", at | {"user_ids": [carol]})
        await ok(a, "message.delete", at | {"message_id": sent[1]["message_id"]})
        explained = await ok(b, "unread.explain", at)
        assert explained == {"seq": 4, "read_seq": 0, "uncounted": 2, "unread": 2}
        await ok(b, "room.mute", at | {"muted": True})
        await b.until(lambda: len(unread(b)) == 2)
        assert unread(b)[-1] == {"unread": 2, "read_seq": 0, "total": 0, "rooms": 0}
        await ok(b, "room.mute", at | {"muted": False})
        await b.until(lambda: len(unread(b)) == 3)
        assert unread(b)[-1]["total"] == 2
        await send(b, room_id, "mine")  # one's own message reads what was before it
        await b.until(lambda: len(unread(b)) == 4)
        assert unread(b)[-1] == {"unread": 0, "read_seq": 5, "total": 0, "rooms": 0}
        assert (await room_of(a, room_id))["unread"] == 1
        await ok(a, "member.remove", at | {"user_ids": [bob]})
        await b.until(lambda: len(unread(b)) == 5)
        for event in ("receipt.read", "receipt.list", "unread.explain"):
            answer = await b.emit(event, at | {"up_to_seq": 1})
            assert answer["error"]["code"] == "not_found"


async def test_receipts_are_published_together(pair: World) -> None:
    """At most one event in an interval, with the last state; delivered of many rooms at once."""
    alice, bob = name("alice"), name("bob")
    async with device(pair, alice, 0) as a, device(pair, bob, 1) as b:
        room_id = await group(a, [bob])
        await b.wait_for(lambda e: bool(e["type"] == "room.added"))
        for n in range(30):
            await send(a, room_id, f"m{n}")
        began = time.monotonic()
        for n in range(1, 31):
            await ok(b, "receipt.read", {"room_id": room_id, "up_to_seq": n})
        end = [{"user_id": bob, "read_seq": 30, "delivered_seq": 30}]
        await a.until(
            lambda: any(e["data"]["cursors"] == end for e in a.of_type("receipt.updated"))
        )
        # One for each interval (0.2 s) that began meanwhile, the first at once.
        at_most = max(14, (time.monotonic() - began) / 0.2 + 2)
        assert len(a.of_type("receipt.updated")) <= at_most
        rooms = {room_id: 7, "of-nobody": 3}
        assert await ok(a, "receipt.delivered", {"rooms": rooms}) == {}


async def test_cursors_survive_the_loss_of_redis(pair: World) -> None:
    """The relay stores them within the interval; newer ones are repeated by the client."""
    alice, bob = name("alice"), name("bob")
    async with device(pair, alice, 0) as a:
        async with device(pair, bob, 1) as b:
            room_id = await group(a, [bob])
            await b.wait_for(lambda e: bool(e["type"] == "room.added"))
            for n in range(4):
                await send(a, room_id, f"m{n}")
            await ok(b, "receipt.read", {"room_id": room_id, "up_to_seq": 2})
            await asyncio.to_thread(
                until, lambda: member(pair, room_id, bob).get("read_seq") == "2", 60
            )
            pair.relay.signal(signal.SIGSTOP)
            try:
                await ok(b, "receipt.read", {"room_id": room_id, "up_to_seq": 3})
                await ok(b, "receipt.delivered", {"rooms": {room_id: 4}})
                wipe(pair)
            finally:
                pair.relay.signal(signal.SIGCONT)
        async with device(pair, bob, 1) as b:
            room = await room_of(b, room_id)
            assert (room["read_seq"], room["unread"]) == (2, 2)
        async with device(pair, bob, 0, cursors={room_id: [1, 6, 3, 4]}) as b:
            assert b.events[0]["data"]["unread"] == {"total": 1, "rooms": 1}
            room = await room_of(b, room_id)
            assert (room["read_seq"], room["delivered_seq"], room["unread"]) == (3, 4, 1)


async def test_changes_of_members_do_not_wait_behind_cursors(pair: World) -> None:
    """Both loads side by side: the changes are stored while hundreds of records of cursors wait."""
    settings = pair.stack.settings
    alice, others = name("alice"), [name("member") for _ in range(CHANGES)]
    sqs = aws.client(settings, "sqs")
    url = sqs.get_queue_url(QueueName=settings.cursor_queue)["QueueUrl"]
    flood = cursors(*((f"user{n}", 1, 1) for n in range(25)))
    batch: Any = [{"Id": str(n), "MessageBody": flood} for n in range(10)]
    async with device(pair, alice, 0) as a:
        room_id = await group(a, [])
        try:
            for _ in range(FLOOD_BATCHES):
                await asyncio.to_thread(sqs.send_message_batch, QueueUrl=url, Entries=batch)
            for user in others:
                await ok(a, "member.add", {"room_id": room_id, "user_ids": [user]})
            await asyncio.to_thread(
                until,
                lambda: all(member(pair, room_id, one).get("state") == "in" for one in others),
            )
            left = await asyncio.to_thread(queue_depth, settings, [settings.cursor_queue])
            print(f"{left} records of cursors wait")
            assert left > 0
        finally:
            await asyncio.to_thread(sqs.purge_queue, QueueUrl=url)


async def test_counting_by_the_rules_is_exact(pair: World) -> None:
    """Snapshot plus events equals the server's count, whatever happens in between."""
    users = [name("alice"), name("bob")]
    async with (
        device(pair, users[0], 0) as a1,
        device(pair, users[0], 1) as a2,
        device(pair, users[1], 0) as b1,
        device(pair, users[1], 1) as b2,
    ):
        room_id = await group(a1, [users[1]])
        people = {users[0]: [a1, a2], users[1]: [b1, b2]}
        for one in (b1, b2):
            await one.wait_for(lambda e: bool(e["type"] == "room.added"))
        starts = [
            (user, one, await room_of(one, room_id)) for user in users for one in people[user]
        ]
        await walk(random.Random(5), people, room_id)
        for user, one, start in starts:
            now = await room_of(one, room_id)
            wanted = (now["unread"], (now["epoch"], now["offset"]))

            def agrees(
                user: str = user, one: JsClient = one, start: Any = start, wanted: Any = wanted
            ) -> bool:
                badge = counted(user, start, one.events)
                return bool((badge.unread, badge.at) == wanted)

            await one.until(agrees)


async def walk(chosen: random.Random, people: dict[str, list[JsClient]], room_id: str) -> None:
    """Send sixty random commands of any user from any device."""
    at = {"room_id": room_id}
    sent: dict[str, list[str]] = {user: [] for user in people}
    for n in range(60):
        user = chosen.choice(list(people))
        one = chosen.choice(people[user])
        what = chosen.choice(["send", "send", "read", "delete", "mute"])
        if what == "send":
            sent[user].append((await send(one, room_id, f"m{n}"))["data"]["message_id"])
        elif what == "read":
            await ok(one, "receipt.read", at | {"up_to_seq": chosen.randrange(n + 1)})
        elif what == "mute":
            await ok(one, "room.mute", at | {"muted": chosen.random() < 0.5})
        elif sent[user]:
            await ok(one, "message.delete", at | {"message_id": chosen.choice(sent[user])})
