"""An operator's day, as one story on a deployment of its own."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rts_server.keys import external_room_id
from rts_server.tools.cli.notice import notice
from rts_server.tools.cli.queues import queues
from rts_server.tools.cli.rooms import rooms
from rts_server.tools.cli.verify import verify
from rts_server.tools.dev import zips
from rts_server.tools.dev.deploy import deploy
from tests.helpers.commands import ok
from tests.helpers.operator import Operator, manifest
from tests.helpers.waiting import PATIENCE
from tests.helpers.world import World

HANDLER = "lambdas/chat_message_to_db/handler.py"
BROKEN = b"def lambda_handler(event, context):\n    raise RuntimeError('a bad deploy')\n"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    """A deployment that gives records up after two attempts, a second apart."""
    running = World(tmp_path)
    running.stack.parameters |= {"VisibilityTimeout": "1", "MaxReceiveCount": "2"}
    try:
        running.start()
        yield running
    finally:
        running.stop()


def broken(packed: bytes) -> bytes:
    """The zip of the function with a handler that always fails."""
    whole = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as old, zipfile.ZipFile(whole, "w") as new:
        for entry in old.infolist():
            new.writestr(entry, BROKEN if entry.filename == HANDLER else old.read(entry))
    return whole.getvalue()


async def deployed(world: World, packed: dict[str, bytes]) -> None:
    """Deploy these zips by the template."""
    stack = world.stack
    done = await asyncio.to_thread(deploy, stack.settings, packed, parameters=stack.parameters)
    assert done == "updated"


async def given_up(ops: Operator, wanted: set[str]) -> list[dict[str, Any]]:
    """The DLQ of messages, once it has records of these rooms."""
    async with asyncio.timeout(PATIENCE):
        while True:
            rows = await ops.rows(queues, "show", "messages")
            if {row["room_id"] for row in rows} == wanted:
                return rows


async def replayed(ops: Operator, world: World, heard: list[dict[str, Any]]) -> None:
    """Replay the DLQ until it is empty and everything is in the archive: replayed records may
    still be on their way."""
    wanted = {event["data"]["message"]["message_id"] for event in heard}
    rooms = {event["data"]["message"]["room_id"] for event in heard}
    async with asyncio.timeout(PATIENCE):
        while await ops.rows(queues, "show", "messages") or not wanted <= {
            item["message_id"] for room_id in rooms for item in world.messages(room_id)
        }:
            await ops.run(queues, "redrive", "messages")


async def test_an_operators_day(town: World, tmp_path: Path) -> None:
    """Rooms from a manifest, seen live; a bad deployment, its records found, replayed, verified."""
    ops, path = Operator(town), tmp_path / "rooms.yaml"
    declared: list[dict[str, Any]] = [
        {"external_id": "order-1", "name": "Order 1", "members": ["bob"]},
        {"external_id": "order-2", "members": [{"user_id": "alice", "role": "owner"}, "bob"]},
    ]
    ids = [external_room_id(one["external_id"]) for one in declared]
    manifest(path, declared)
    async with town.js("bob") as bob, town.js("alice") as alice:
        assert (await ops.rows(rooms, "plan", path))[-1]["create"] == 2
        assert (await ok(bob, "room.list", {}))["rooms"] == []
        await ops.rows(rooms, "apply", path)
        await bob.until(lambda: len(bob.of_type("room.added")) == 2)

        declared[0] |= {"name": "Order 1, paid", "members": ["bob", "alice"]}
        manifest(path, declared)
        planned = await ops.run(rooms, "plan", path)
        assert "+ alice (member)" in planned.stdout
        assert (await ops.rows(rooms, "apply", path))[-1]["change"] == 1
        await bob.wait_for(lambda e: bool(e["type"] == "member.added"))
        await bob.wait_for(lambda e: bool(e["type"] == "room.updated"))
        await alice.until(lambda: len(alice.of_type("room.added")) == 2)
        assert (await ops.rows(rooms, "apply", path))[-1]["none"] == 2

        good = await asyncio.to_thread(zips.build)
        name = "chat-message-to-db"
        await deployed(town, good | {name: broken(good[name])})
        for n in range(3):
            sent = await ops.rows(notice, f"Notice {n}", "--rooms", path)
            assert sent[-1]["sent"] == 2
        await alice.until(lambda: len(alice.of_type("message.new")) == 6)
        found = await given_up(ops, set(ids))
        assert "Notice" not in str(found)

        await deployed(town, good)
        await replayed(ops, town, alice.of_type("message.new"))
        verified = await ops.rows(verify, "--rooms", path)
        assert verified[-1]["sound"] == 2
        heard = [e["data"]["message"] for e in alice.of_type("message.new")]
        for room_id in ids:
            history = (await ok(alice, "message.list", {"room_id": room_id}))["messages"]
            texts = [one["text"] for one in history if one["type"] == "text"]
            assert texts == ["Notice 0", "Notice 1", "Notice 2"]
            stored = [i["message_id"] for i in town.messages(room_id) if i.get("position")]
            assert {one["message_id"] for one in heard if one["room_id"] == room_id} <= {*stored}
