"""Two users who write as fast as acks come, with the real socket.io-client."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.helpers.node import ensure_modules, node
from tests.helpers.waiting import until
from tests.helpers.world import World, name


async def written(
    world: World, folder: Path, count: int, urls: list[str] | None = None
) -> dict[str, Any]:
    """Write `count` messages for each of two users; return what the Node script received."""
    modules = await asyncio.to_thread(ensure_modules)
    out = folder / "out.json"
    tokens = [world.token(name("alice")), world.token(name("bob"))]
    given = {"urls": urls or [world.urls[0]] * 2, "tokens": tokens, "count": count}
    process = await asyncio.create_subprocess_exec(
        node(), "two_thousand.mjs", json.dumps(given), str(out), cwd=modules
    )
    assert await process.wait() == 0
    seen: dict[str, Any] = json.loads(out.read_text())
    return seen


def check(seen: dict[str, Any], total: int) -> list[list[Any]]:
    """Assert one order for both, every ack `queued`, a complete history; return that history."""
    assert seen["acks"] == {"queued": total}
    assert seen["events_a"] == seen["events_b"]
    assert [event[1] for event in seen["events_a"]] == list(range(3, total + 3))
    history = [[epoch, seq, message_id] for epoch, seq, message_id, _ in seen["history"]]
    assert [[e, seq, message_id] for e, _, seq, message_id in seen["events_a"]] == history
    assert sorted(history) == history
    assert sorted(item[:3] for item in seen["acked"]) == history
    return history


async def stored(world: World, seen: dict[str, Any], history: list[list[Any]]) -> None:
    """Assert that DynamoDB has exactly these messages at these positions."""
    room_id = seen["room_id"]
    await asyncio.to_thread(until, lambda: len(world.messages(room_id)) >= len(history))
    items = world.messages(room_id)
    assert [[int(i["epoch"]), int(i["seq"]), i["message_id"]] for i in items] == history
