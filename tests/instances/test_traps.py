"""The traps T1–T8, T10 and T12 of docs/guarantees.md: each broke an earlier draft of the log."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from itertools import cycle
from typing import Any

import orjson
import pytest
from redis import Redis

from rts_server import keys
from rts_server.domain.message import MessageDraft
from rts_server.roomlog.message_events import message_new
from rts_server.roomlog.script import APPEND
from rts_server.services import Services
from rts_server.tools.dev import aws, deploy
from tests.helpers.bench import append
from tests.helpers.commands import ok
from tests.helpers.js_client import JsClient
from tests.helpers.pair import deployed
from tests.helpers.rooms import burst, durable, group, positions, send
from tests.helpers.scripts import changed_script
from tests.helpers.sender import Sender, positions_are_unique
from tests.helpers.waiting import NO_ACK, until
from tests.helpers.world import World, name, placed, ready
from tests.helpers.world_redis import client_of, home_of, restart, saved, wipe
from tests.instances.removal import bounds, nothing_behind_a_removal, removal_loop


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
    full: bool,
    primaries: int,
) -> Iterator[World]:
    """Two instances of this module's own: their Redis loses its memory again and again."""
    off = pytestconfig.getoption("--without")
    yield from deployed(tmp_path_factory, "die_before_index", off, full=full, shards=primaries)


async def texts(client: JsClient, room_id: str) -> list[str]:
    """The texts of the history."""
    return [m["text"] for m in await Sender(client, room_id).history() if m["type"] == "text"]


async def until_placed(world: World, room_id: str, count: int) -> None:
    """So many messages have their place in the archive."""
    await asyncio.to_thread(until, lambda: placed(world, room_id) >= count)


async def created(client: JsClient, member: str, number: int) -> str:
    """A new group with a member."""
    asked = {"type": "group", "client_room_id": f"g{number}", "members": [member]}
    while True:  # a client repeats what had no ack, and what is refused as retryable
        with suppress(TimeoutError):
            answer = await client.emit("room.create", asked, timeout=NO_ACK)
            if answer["ok"]:
                return str(answer["data"]["room"]["room_id"])
            assert answer["error"]["retryable"], answer


def members_stored(world: World, room_id: str) -> int:
    """Return the number of archived members of a room."""
    client = aws.client(world.stack.settings, "dynamodb")
    answer = client.query(
        TableName=world.stack.settings.rooms_table,
        KeyConditionExpression="room_id = :r AND begins_with(sk, :m)",
        ExpressionAttributeValues={":r": {"S": room_id}, ":m": {"S": "MEMBER#"}},
        ConsistentRead=True,
    )
    return int(answer["Count"])


async def two_instances_flushall(world: World, rooms: int) -> tuple[JsClient, JsClient]:
    """T1: FLUSHALL, then so many rooms touched by both instances at once."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a, world.js(bob, instance=1) as b:
        room_ids: list[str] = []
        for i in range(0, rooms, 20):
            made = await asyncio.gather(*(created(a, bob, n) for n in range(i, i + 20)))
            room_ids += made
        await asyncio.gather(*(Sender(a, room_id).send("before") for room_id in room_ids))
        wipe(world)
        async with AsyncExitStack() as stack:
            senders = []
            for instance, user in enumerate((alice, bob)):
                # The commands of a connection go one by one: five of them touch five rooms at once.
                five = [await stack.enter_async_context(world.js(user, instance)) for _ in range(5)]
                senders += [Sender(one, room_id) for one, room_id in zip(cycle(five), room_ids)]
            await asyncio.gather(*(sender.send("after", 150) for sender in senders))
        positions_are_unique(a, b)
        for room_id in room_ids:
            history = await Sender(a, room_id).history()
            assert [m["text"] for m in history] == ["before", "after", "after"]
            assert [m["epoch"] for m in history] == [1, 2, 2]
        return a, b


@pytest.mark.on_both
async def test_1_flushall_with_two_instances(pair: World, full: bool) -> None:
    """After FLUSHALL each of 40 rooms (`--full`: 100) is loaded once, and no position is issued
    twice (T1)."""
    await two_instances_flushall(pair, 100 if full else 40)


@pytest.mark.on_both
async def test_2_removed_member_stays_removed(pair: World) -> None:
    """A removal, edit and send survive Redis dying with its data while the Lambda sleeps (T2)."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with pair.js(alice) as a, pair.js(bob, instance=1) as b, pair.js(carol) as c:
        room_id = await group(a, [bob, carol])
        await b.wait_for(lambda e: bool(e["type"] == "room.added"))
        first = await Sender(a, room_id).send("first")
        settings = pair.stack.settings
        await asyncio.to_thread(
            deploy.set_queue_enabled, settings, "chat-message-to-db", enabled=False
        )
        removed = await ok(a, "member.remove", {"room_id": room_id, "user_ids": [carol]})
        assert removed["status"] == "stored"
        edit = {"room_id": room_id, "message_id": first["message_id"], "text": "edited"}
        assert (await ok(a, "message.edit", edit))["status"] == "queued"
        assert (await Sender(a, room_id).send("second"))["status"] == "queued"
        restart(pair, {})
        await asyncio.sleep(2)  # the pause of the Lambda is what is tested
        await asyncio.to_thread(
            deploy.set_queue_enabled, settings, "chat-message-to-db", enabled=True
        )
        await Sender(b, room_id).send("third")
        assert await texts(b, room_id) == ["edited", "second", "third"]
        answer = await c.emit("message.list", {"room_id": room_id})
        assert answer["error"]["code"] == "not_found"
        heard = [e["data"].get("message", {}).get("text") for e in c.events]
        assert "second" not in heard
        assert "third" not in heard


async def test_3_six_hundred_messages_with_persistence_paused(pair: World) -> None:
    """With 600 messages not stored yet, list, sync and an edit of the 50th are right (T3)."""
    alice, bob = name("alice"), name("bob")
    settings = pair.stack.settings
    async with pair.js(alice) as a, pair.raw(bob, instance=1) as b:
        room_id = await group(a, [bob])
        await b.until(lambda: any(e["type"] == "room.added" for e in b.events))
        await asyncio.to_thread(
            deploy.set_queue_enabled, settings, "chat-message-to-db", enabled=False
        )
        try:
            await burst(b, room_id, 600)
            wanted = [f"m{n}" for n in range(600)]
            assert await texts(a, room_id) == wanted
            page = await ok(a, "message.list", {"room_id": room_id, "before_seq": 51, "limit": 1})
            (fiftieth,) = page["messages"]
            mine = {"room_id": room_id, "message_id": fiftieth["message_id"]}
            answer = await b.ask(10_000, json.dumps(["message.edit", mine | {"text": "edited"}]))
            assert answer["ok"], answer
            wanted[49] = "edited"
            assert await texts(a, room_id) == wanted
            cursor, events = [1, 2], []
            while True:
                told = (await ok(a, "sync", {"cursors": {room_id: cursor}}))["rooms"][room_id]
                assert told["recovered"]
                assert len(told["events"]) <= 300
                events += told["events"]
                cursor = [told["epoch"], told["offset"]]
                if not told["has_more"]:
                    break
            assert [e["offset"] for e in events] == list(range(3, 604))
        finally:
            await asyncio.to_thread(
                deploy.set_queue_enabled, settings, "chat-message-to-db", enabled=True
            )
        await until_placed(pair, room_id, 600)
        assert await texts(a, room_id) == wanted


@pytest.mark.on_both
async def test_4_index_survives_its_writer(pair: World) -> None:
    """If the origin died, the relay writes the index; no room is missing after FLUSHALL (T4)."""
    alice, bob = name("alice"), name("bob")
    doomed = name("doomed")  # whoever appends a change of this user dies before the index
    second = keys.client_room_id(alice, "h")
    async with pair.js(alice, instance=1) as a:
        first = await group(a, [bob])
        async with pair.js(alice) as dying:
            pair.relay.signal(signal.SIGSTOP)
            asked = {"type": "group", "client_room_id": "h", "members": [bob, doomed]}
            creating = asyncio.create_task(dying.emit("room.create", asked))
            await asyncio.to_thread(until, lambda: pair.webs[0].ended)
            creating.cancel()
            with client_of(pair, keys.user_rooms(bob)) as client:
                assert not client.hexists(keys.user_rooms(bob), second)
                pair.relay.signal(signal.SIGCONT)
                await asyncio.to_thread(
                    until, lambda: client.hexists(keys.user_rooms(bob), second), 15
                )
        pair.webs[0].start()
        await asyncio.to_thread(until, lambda: members_stored(pair, second) == 3)
        wipe(pair)
        third = {"room_id": first, "user_ids": [name("carol")]}
        for _ in range(20):
            if (await a.emit("member.add", third))["ok"]:
                break
        async with pair.js(bob, instance=1) as b:
            rooms = (await ok(b, "room.list", {}))["rooms"]
            assert {room["room_id"] for room in rooms} == {first, second}
            await Sender(a, second).send("heard")
            await b.wait_for(lambda e: bool(e["type"] == "message.new"))
    await asyncio.to_thread(until, lambda: ready(pair.urls[0]))


@pytest.mark.on_both
async def test_5_removal_in_a_loop_against_reconnects(pair: World) -> None:
    """However removal and reconnect race, a removed member receives nothing after it (T5)."""
    owner, room_id, devices = await removal_loop(pair, 8)
    assert len(bounds(owner, room_id)) == 8
    nothing_behind_a_removal(owner, room_id, devices)


@pytest.mark.on_both
async def test_6_redis_dies_right_after_a_publish(pair: World) -> None:
    """A delivered message is appended again by its origin if Redis and the sender are gone (T6)."""
    alice, bob = name("alice"), name("bob")
    async with pair.js(bob, instance=1) as b:
        async with pair.js(alice) as a:
            room_id = await group(a, [bob])
            await b.wait_for(lambda e: bool(e["type"] == "room.added"))
            await Sender(a, room_id).send("before")
            pair.relay.kill()  # a sleeping one might have read the entry already
            sending = asyncio.create_task(send(a, room_id, "last words"))
            await b.wait_for(
                lambda e: (
                    e["type"] == "message.new" and e["data"]["message"]["text"] == "last words"
                )
            )
            restart(pair, {})
            sending.cancel()
        pair.relay.start()
        await Sender(b, room_id).send("later")
        await until_placed(pair, room_id, 3)
        assert sorted(await texts(b, room_id)) == ["before", "last words", "later"]


@pytest.mark.on_both
async def test_7_fail_back_with_an_idle_room(pair: World) -> None:
    """After a fail-back A→B→A, what was written on the second Redis is not overwritten (T7)."""
    alice, bob = name("alice"), name("bob")
    async with pair.js(alice) as a, pair.js(bob, instance=1) as b:
        room_id = await group(a, [bob])
        await Sender(a, room_id).send("on A")
        with Redis.from_url(home_of(pair, room_id).url) as client:
            names = keys.room(room_id)
            old = {key: client.dump(key) for key in names[:8] if client.exists(key)}
        wipe(pair)
        await Sender(a, room_id).send("on B")
        await until_placed(pair, room_id, 2)
        return_to(pair, room_id, old)
        await Sender(b, room_id).send("on A again")
        positions_are_unique(a, b)
        assert await texts(a, room_id) == ["on A", "on B", "on A again"]


def return_to(world: World, room_id: str, old: dict[str, Any]) -> None:
    """The memory of A is there again; on one server under A's own run id, so that only the
    replication id tells that it was away."""
    home = home_of(world, room_id)
    with Redis.from_url(home.url) as client:
        client.flushall()
        for key, value in old.items():
            client.restore(key, 0, value)
        if world.stack.cluster is None:
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
            client.execute_command("REPLICAOF", "NO", "ONE")
    if world.stack.cluster is not None:  # whose primaries are nobody's replica by command
        restart(world, saved(world), home)


async def test_8_queued_is_acked_only_after_sqs_accepted(pair: World) -> None:
    """With SQS away and origin and Redis killed, no ack says queued; one message remains (T8)."""
    aws = pair.stack.aws
    assert aws is not None
    alice, bob = name("alice"), name("bob")
    message = {"client_msg_id": "m1", "text": "only once"}
    async with pair.js(alice) as a, pair.js(alice, instance=1) as other:
        room_id = await group(a, [bob])
        await Sender(a, room_id).send("before")
        await until_placed(pair, room_id, 1)
        aws.signal(signal.SIGSTOP)
        try:
            sending = asyncio.create_task(a.emit("message.send", {"room_id": room_id, **message}))
            await other.wait_for(
                lambda e: e["type"] == "message.new" and e["data"]["message"]["text"] == "only once"
            )
            pair.webs[0].kill()
            sending.cancel()
            again = await other.emit("message.send", {"room_id": room_id, **message})
            assert again["data"]["status"] == "accepted"
            restart(pair, {})
        finally:
            aws.signal(signal.SIGCONT)
            pair.webs[0].start()
        await until_placed(pair, room_id, 2)
        assert await texts(other, room_id) == ["before", "only once"]


@pytest.mark.on_both
async def test_10_many_rooms_with_many_missed_events_converge(pair: World, full: bool) -> None:
    """If one answer cannot hold what was missed, connect says so once and sync ends (T10)."""
    alice, bob = name("alice"), name("bob")
    rooms, events = (500, 300) if full else (40, 60)
    async with pair.js(bob) as b:
        room_ids = []
        for at in range(0, rooms, 20):
            part = range(at, min(at + 20, rooms))
            room_ids += await asyncio.gather(*(created(b, alice, n) for n in part))
        async with Services(pair.stack.settings) as services:
            await unqueued(services, room_ids[0], alice, 310)  # more than one replay may hold
            for room_id in room_ids[1:]:
                await unqueued(services, room_id, alice, events)
        cursors = {room_id: [1, 2] for room_id in room_ids}
        long = {room_ids[0]: [1, 2]}  # alone, so that only its number of events is too large
        async with pair.js(bob, instance=1, cursors=long) as late:
            assert late.events[0]["data"]["recovered"] == {room_ids[0]: False}
        async with pair.js(bob, instance=1, cursors=cursors) as late:
            recovered = late.events[0]["data"]["recovered"]
            assert set(recovered) == set(room_ids)
            assert set(recovered.values()) == {True, False}
            await ok(late, "room.list", {"limit": 1})
            assert not recovered[room_ids[0]]
            for room_id in room_ids:
                count = events if recovered[room_id] else 0
                assert len(durable(late, room_id)) == count
            calls, size = await synced(late, cursors, {room_ids[0]: 310}, events)
            print(f"{rooms} rooms x {events} events: {calls} calls, largest answer {size} bytes")
            assert size <= 256 * 1024


async def unqueued(services: Services, room_id: str, sender: str, count: int) -> None:
    """Messages in the hot log by the real script, except that the queue is spared them."""
    script = changed_script(APPEND, "redis.call(PUBLISH, req.channel, ", "tostring(")
    script = changed_script(script, "to_outbox(event, text, epoch .. ':' .. at)", "'0-1'")
    for n in range(count):
        draft: MessageDraft = {"client_msg_id": f"m{n}", "text": f"m{n}"}
        request = message_new(room_id, sender, draft)
        call = append(request, services.settings, origin="test")
        answer = await script.evaluate(services.redis, *call)
        assert answer[0] == b"ok", answer


async def synced(
    client: JsClient, missing: dict[str, list[int]], more: dict[str, int], events: int
) -> tuple[int, int]:
    """Ask until nothing is missing: calls made, and bytes of the largest answer."""
    calls, size = 0, 0
    seen: dict[str, int] = dict.fromkeys(missing, 0)
    while missing:
        calls += 1
        assert calls <= 2 * len(seen)
        answer = (await ok(client, "sync", {"cursors": missing}))["rooms"]
        size = max(size, len(orjson.dumps(answer)))
        missing = {}
        for room_id, told in answer.items():
            assert told["recovered"]
            seen[room_id] += len(told["events"])
            if told["has_more"]:
                missing[room_id] = [told["epoch"], told["offset"]]
    assert seen == dict.fromkeys(seen, events) | more
    return calls, size


@pytest.mark.on_both
@pytest.mark.parametrize("part", ["head", "members", "cursors", "log", "seqs", "uncounted"])
@pytest.mark.parametrize("harm", ["deleted", "wrong type"])
async def test_12_each_key_of_a_room(pair: World, part: str, harm: str) -> None:
    """A key of a room that is lost or of another type makes the whole room cold (T12)."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with pair.js(alice) as a, pair.js(bob, instance=1) as b:
        room_id = await group(a, [bob])
        await ok(a, "member.add", {"room_id": room_id, "user_ids": [carol]})
        await Sender(a, room_id).send("before")
        key = getattr(keys.room(room_id), part)
        with client_of(pair, key) as client:
            assert client.delete(key) == 1
            if harm == "wrong type":
                client.set(key, "nonsense")
        await Sender(b, room_id).send("after")
        assert await texts(a, room_id) == ["before", "after"]
        members = (await ok(a, "member.list", {"room_id": room_id}))["members"]
        assert [m["user_id"] for m in members] == sorted([alice, bob, carol])
        assert (await ok(b, "room.get", {"room_id": room_id}))["room"]["unread"] == 0
        assert (await ok(a, "room.get", {"room_id": room_id}))["room"]["unread"] == 1
        positions_are_unique(a, b)
        assert positions(a, room_id)[-1][0] == 2
