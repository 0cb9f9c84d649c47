"""Redis loses everything while acked messages are queued: clients still get all that was acked."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rts_server import keys
from rts_server.roomlog.message_events import message_new
from rts_server.roomlog.script import APPEND
from rts_server.services import Services
from rts_server.tools.dev import deploy
from tests.helpers.bench import append
from tests.helpers.commands import ok, wait_for_text
from tests.helpers.js_client import JsClient
from tests.helpers.scripts import changed_script
from tests.helpers.sender import Sender
from tests.helpers.waiting import PATIENCE, until
from tests.helpers.world import World, name, placed
from tests.helpers.world_redis import client_of, restart, saved, wipe


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, primaries: int) -> Iterator[World]:
    """A world for this module, whose instances check for lost publishes each second."""
    running = World(tmp_path_factory.mktemp("cold"), primaries, RTS_LOSS_CHECK="1")
    try:
        running.start()
        yield running
    finally:
        running.stop()


@asynccontextmanager
async def stored_nothing(world: World) -> AsyncIterator[None]:
    """Stop the Lambda function: messages stay in the queue."""
    settings = world.stack.settings
    await asyncio.to_thread(deploy.set_queue_enabled, settings, "chat-message-to-db", enabled=False)
    try:
        yield
    finally:
        await asyncio.to_thread(
            deploy.set_queue_enabled, settings, "chat-message-to-db", enabled=True
        )


def is_there(world: World, key: str) -> bool:
    """Return whether Redis has a key."""
    with client_of(world, key) as client:
        return bool(client.exists(key))


def waiting(world: World, outbox: str) -> int:
    """Return the number of outbox entries."""
    with client_of(world, outbox) as client:
        return int(client.xlen(outbox))


async def group(client: JsClient, *members: str) -> str:
    """A group that is stored in the archive."""
    asked = {"type": "group", "client_room_id": secrets.token_hex(8), "members": list(members)}
    while (made := await ok(client, "room.create", asked))["status"] != "stored":
        continue
    return str(made["room"]["room_id"])


async def until_placed(world: World, room_id: str, count: int) -> None:
    """Return when so many messages have a position in the archive."""
    await asyncio.to_thread(until, lambda: placed(world, room_id) >= count)


async def patiently(client: JsClient, command: str, asked: dict[str, Any]) -> Any:
    """Return the answer of a client that repeats retryable commands."""
    async with asyncio.timeout(PATIENCE):
        while not (answer := await client.emit(command, asked))["ok"]:
            assert answer["error"]["retryable"], answer
        return answer["data"]


async def texts(client: JsClient, room_id: str) -> list[str]:
    """The texts of a page."""
    page = await patiently(client, "message.list", {"room_id": room_id})
    return [message["text"] for message in page["messages"]]


def ready(client: JsClient) -> dict[str, Any]:
    """The data of `session.ready`."""
    (told,) = client.of_type("session.ready")
    data: dict[str, Any] = told["data"]
    return data


@pytest.mark.on_both
async def test_a_connect_loads_the_rooms_that_it_finds_cold(world: World) -> None:
    """Nobody writes in them; the next connect finds them in Redis."""
    bob = name("bob")
    async with world.js(name("alice")) as a:
        room_ids = [await group(a, bob) for _ in range(3)]
    wipe(world)
    heads = [keys.room(one).head for one in room_ids]
    async with world.js(bob) as b:
        assert ready(b)["unread"] == {"total": 0, "rooms": 0}
        await asyncio.to_thread(until, lambda: all(is_there(world, head) for head in heads))


async def test_a_client_that_missed_queued_events_is_not_recovered(world: World) -> None:
    """A cursor equal to the archived position proves nothing while the queue is ahead of it."""
    bob = name("bob")
    async with world.js(name("alice")) as a:
        room_id = await group(a, bob)
        sender = Sender(a, room_id)
        first = await sender.send("one")
        await until_placed(world, room_id, 1)
        cursors = {room_id: [first["epoch"], first["offset"]]}
        async with stored_nothing(world):
            assert (await sender.send("two"))["status"] == "queued"
            wipe(world)
            async with world.js(bob, cursors=cursors) as b:
                assert ready(b)["recovered"] == {room_id: False}
                for command in ("message.list", "room.get"):
                    answer = await b.emit(command, {"room_id": room_id})
                    assert answer["error"]["code"] == "unavailable", (command, answer)
                    assert answer["error"]["retryable"]
        async with world.js(bob, cursors=cursors) as b:
            assert ready(b)["recovered"] == {room_id: False}
            assert await texts(b, room_id) == ["one", "two"]


@pytest.mark.on_both
async def test_a_client_that_read_a_cold_room_gets_its_events_when_it_is_loaded(
    world: World,
) -> None:
    """A client that read history while the queue was behind gets sync.reset."""
    bob = name("bob")
    async with world.js(name("alice")) as a:
        room_id = await group(a, bob)
        sender = Sender(a, room_id)
        await sender.send("one")
        await until_placed(world, room_id, 1)
        async with stored_nothing(world):
            await sender.send("two")
            last = await sender.send("three")
            wipe(world)
            cursors = {room_id: [last["epoch"], last["offset"]]}
            async with world.js(bob, cursors=cursors) as b:
                assert ready(b)["recovered"] == {room_id: False}
                reading = asyncio.create_task(texts(b, room_id))
                await asyncio.to_thread(
                    deploy.set_queue_enabled,
                    world.stack.settings,
                    "chat-message-to-db",
                    enabled=True,
                )
                assert await reading == ["one", "two", "three"]
                await sender.send("four")
                await wait_for_text(b, "four")
                assert len(b.of_type("sync.reset")) == 1
                assert await texts(b, room_id) == ["one", "two", "three", "four"]


async def test_a_queued_message_can_be_edited(world: World) -> None:
    """An edit of a queued message succeeds or is retryable, never not_found."""
    async with world.js(name("alice")) as a:
        room_id = await group(a)
        async with stored_nothing(world):
            sent = await Sender(a, room_id).send("one")
            assert sent["status"] == "queued"
            wipe(world)
            edit = {"room_id": room_id, "message_id": sent["message_id"], "text": "better"}
            answer = await a.emit("message.edit", edit)
            assert answer["error"]["code"] == "unavailable", answer
        await patiently(a, "message.edit", edit)
        assert await texts(a, room_id) == ["better"]


@pytest.mark.on_both
async def test_just_acked_messages_are_there_after_every_loss(world: World) -> None:
    """Repeated losses right after acks, with the Lambda running normally."""
    async with world.js(name("alice")) as a:
        for _ in range(8):
            room_id = await group(a)
            sent = await Sender(a, room_id).send("one")
            wipe(world)
            assert await texts(a, room_id) == ["one"]
            wipe(world)
            edit = {"room_id": room_id, "message_id": sent["message_id"], "text": "better"}
            await patiently(a, "message.edit", edit)
            assert await texts(a, room_id) == ["better"]


@pytest.mark.on_both
async def test_connected_clients_get_a_message_whose_publish_was_lost_with_redis(
    world: World,
) -> None:
    """A publish is lost, then Redis; the client learns of it although nobody writes."""
    alice, bob = name("alice"), name("bob")
    async with world.js(alice) as a, world.js(bob) as b:
        room_id = await group(a, bob)
        await b.wait_for(lambda e: bool(e["type"] == "room.added"))
        await Sender(a, room_id).send("one")
        await wait_for_text(b, "one")
        async with Services(world.stack.settings) as services:
            await append_without_publish(services, room_id, alice)
            outbox = keys.room(room_id).outbox
            await asyncio.to_thread(until, lambda: waiting(world, outbox) == 0)
        wipe(world)
        await b.until(lambda: bool(b.of_type("sync.reset")) or has_text(b, "unheard"))
        assert await texts(b, room_id) == ["one", "unheard"]


def has_text(client: JsClient, text: str) -> bool:
    """Return whether a message with this text arrived."""
    return any(e["data"]["message"]["text"] == text for e in client.of_type("message.new"))


async def append_without_publish(services: Services, room_id: str, sender: str) -> None:
    """Append a message whose publish is lost."""
    script = changed_script(APPEND, "redis.call(PUBLISH, req.channel, ", "tostring(")
    request = message_new(room_id, sender, {"client_msg_id": "u", "text": "unheard"})
    answer = await script.evaluate(
        services.redis, *append(request, services.settings, origin="test")
    )
    assert answer[0] == b"ok", answer


@pytest.mark.on_both
async def test_cursors_do_not_go_back_with_a_redis_that_comes_back(world: World) -> None:
    """Cursors that were not stored yet survive a restart of Redis with its data."""
    bob = name("bob")
    async with world.js(name("alice")) as a, world.js(bob) as b:
        for client in (a, b):
            await client.join("/receipts")
        room_id = await group(a, bob)
        sender = Sender(a, room_id)
        for text in ("one", "two"):
            await sender.send(text)
        read = await ok(b, "receipt.read", {"room_id": room_id, "up_to_seq": 2})
        assert (read["read_seq"], read["delivered_seq"]) == (2, 2)
        restart(world, saved(world))
        await sender.send("three")
        told = await patiently(a, "receipt.list", {"room_id": room_id})
        cursors = {
            one["user_id"]: (one["read_seq"], one["delivered_seq"]) for one in told["receipts"]
        }
        assert cursors[bob] >= (2, 2)
        assert all(read <= delivered for read, delivered in cursors.values())
