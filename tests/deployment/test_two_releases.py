"""A rolling deployment from the release before: its processes and ours share rooms and outbox."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.helpers import previous_release
from tests.helpers.commands import direct, ok
from tests.helpers.js_client import JsClient
from tests.helpers.rooms import group, positions
from tests.helpers.sender import Sender, agrees, order_is_kept, positions_are_unique
from tests.helpers.waiting import until
from tests.helpers.world import Process, World, name, placed

EACH = 15


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which the processes of the release before run."""
    return previous_release.environment(tmp_path_factory.mktemp("release"))


@asynccontextmanager
async def relays(world: World, previous: dict[str, str], folder: Path) -> AsyncIterator[Process]:
    """Run the previous release's relay instead of this one's, which returns at the end."""
    old = Process("relay", world.stack.environment() | previous, folder / "relay.log")
    await asyncio.to_thread(world.relay.stop)
    old.start()
    try:
        yield old
    finally:
        await asyncio.to_thread(old.stop)
        if world.relay.ended:
            world.relay.start()


@asynccontextmanager
async def user(url: str, world: World, user_id: str) -> AsyncIterator[JsClient]:
    """A client of all namespaces on an instance."""
    async with JsClient() as client:
        await client.connect(url, world.token(user_id))
        await client.wait_for(lambda event: bool(event["type"] == "session.ready"))
        await client.join("/receipts")
        yield client


def test_the_release_before_is_another_one(previous: dict[str, str]) -> None:
    """Its processes run its own sources."""
    where = subprocess.run(
        [sys.executable, "-c", "import rts_server; print(rts_server.__file__)"],
        env=os.environ | previous,
        check=True,
        capture_output=True,
        text=True,
    )
    assert where.stdout.startswith(previous["PYTHONPATH"])


async def test_instances_of_both_releases_share_rooms(
    world: World, previous: dict[str, str], tmp_path: Path
) -> None:
    """Messages, edits, reactions, members and receipts of either reach the other in one order, and
    either loads what Redis lost (R6, D1, D3)."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with AsyncExitStack() as stack:
        _, old_url = await stack.enter_async_context(world.instance(tmp_path, **previous))
        a = await stack.enter_async_context(user(world.urls[0], world, alice))
        b = await stack.enter_async_context(user(old_url, world, bob))
        rooms = [await group(a, [bob]), await group(b, [alice]), await direct(a, bob)]
        for room_id in rooms:
            senders = [Sender(a, room_id), Sender(b, room_id)]
            await asyncio.gather(*(write(sender, "first") for sender in senders))
            first, second = [await sender.send("to be changed") for sender in senders]
            await changed(a, b, room_id, first["message_id"], second["message_id"])
        for client, room_id in zip((a, b), rooms[:2], strict=True):
            await ok(client, "member.add", {"room_id": room_id, "user_ids": [carol]})
            await ok(client, "member.remove", {"room_id": room_id, "user_ids": [carol]})
        with Redis.from_url(world.stack.settings.redis_url) as redis:
            redis.flushall()
        for room_id, order in zip(rooms, ((a, b), (b, a), (a, b)), strict=True):
            for client in order:
                await write(Sender(client, room_id), "after")
        for room_id in rooms:
            last = max(positions(a, room_id))
            await b.until(lambda: max(positions(b, room_id)) == last)  # noqa: B023
            assert positions(a, room_id) == positions(b, room_id)
            order_is_kept(a, room_id)
            histories = [await Sender(client, room_id).history() for client in (a, b)]
            assert histories[0] == histories[1]
            await asyncio.to_thread(until, lambda: placed(world, room_id) >= len(histories[0]))  # noqa: B023
            await agrees(Sender(a, room_id), world.messages(room_id))
            await read_by_both(a, b, room_id)
        positions_are_unique(a, b)


async def write(sender: Sender, text: str) -> None:
    """Send messages one after the other; each is queued, as its ack or a status after it says."""
    for n in range(EACH):
        sent = await sender.send(f"{text} {n}")
        if sent["status"] != "queued":
            await sender.client.wait_for(partial(says_queued, sent["message_id"]))


def says_queued(message_id: str, event: dict[str, Any]) -> bool:
    """Whether an event is the status of a message whose ack came before it was queued."""
    data = event["data"]
    return event["type"] == "message.status" and (data["message_id"], data["status"]) == (
        message_id,
        "queued",
    )


async def changed(a: JsClient, b: JsClient, room_id: str, first: str, second: str) -> None:
    """Each edits their own message and reacts to the other's; the first one is deleted."""
    for client, own, other in ((a, first, second), (b, second, first)):
        named = {"room_id": room_id, "message_id": own}
        await ok(client, "message.edit", named | {"text": "changed"})
        await ok(client, "message.react", named | {"message_id": other, "emoji": "👍", "on": True})
    await ok(a, "message.delete", {"room_id": room_id, "message_id": first})


async def read_by_both(a: JsClient, b: JsClient, room_id: str) -> None:
    """What one reads the other hears, and nothing is unread to either at the end."""
    seq = (await ok(a, "room.get", {"room_id": room_id}))["room"]["seq"]
    for client in (a, b):
        await ok(client, "receipt.read", {"room_id": room_id, "up_to_seq": seq})
        shown = (await ok(client, "room.get", {"room_id": room_id}))["room"]
        assert (shown["unread"], shown["read_seq"]) == (0, seq)


@pytest.mark.parametrize("web_is_old", [False, True], ids=["older relay", "newer relay"])
async def test_either_relay_empties_the_outbox_of_the_other_release(
    world: World, previous: dict[str, str], tmp_path: Path, web_is_old: bool
) -> None:
    """A relay older than the web, and one that is newer, queue each record once and tell its
    origin; relays of both take over from each other while messages come (R6)."""
    alice, bob = name("alice"), name("bob")
    async with AsyncExitStack() as stack:
        url = world.urls[0]
        if web_is_old:
            _, url = await stack.enter_async_context(world.instance(tmp_path, **previous))
        a = await stack.enter_async_context(user(url, world, alice))
        room_id = await group(a, [bob])
        sender = Sender(a, room_id)
        async with relays(world, previous, tmp_path):
            await write(sender, "old relay")
            world.relay.start()  # beside the old one: they share the partitions
            await write(sender, "both")
        await write(sender, "new relay")
        total = len(await sender.history())
        await asyncio.to_thread(until, lambda: placed(world, room_id) >= total)
        await agrees(sender, world.messages(room_id))
