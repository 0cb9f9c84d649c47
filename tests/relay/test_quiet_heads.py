"""Heads of quiet rooms, published by the relay on a real Valkey."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.persistence import outbox
from rts_server.relay import quiet_heads
from rts_server.relay.quiet_heads import QuietHeads
from rts_server.runtime.tasks import cancelled
from tests.helpers.waiting import PATIENCE


def entry(room_id: str, position: str) -> outbox.Entry:
    """An outbox entry at a position."""
    fields: Any = {b"q": b"m", b"r": room_id.encode(), b"e": position.encode(), b"d": b"{}"}
    return outbox.parse(0, b"1-0", fields)


async def test_a_room_in_which_nothing_follows_is_published_once_with_its_highest_position(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries that are read again are older; records of cursors are at no position."""
    monkeypatch.setattr(quiet_heads, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(quiet_heads, "PUBLISH_SECONDS", 0.01)
    heads = QuietHeads(redis)
    async with redis.pubsub() as channel:
        await channel.subscribe(keys.room_channel("r"), keys.room_channel("cursors"))
        publishing = asyncio.create_task(heads.run_forever())
        for position in ("1:3", "2:1", "1:2"):
            heads.note(entry("r", position))
        heads.note(entry("cursors", "0:0"))
        told: list[bytes] = []
        async with asyncio.timeout(PATIENCE):
            while not told:
                word = await channel.get_message(ignore_subscribe_messages=True, timeout=PATIENCE)
                told += [word["data"]] if word else []
        assert await channel.get_message(ignore_subscribe_messages=True, timeout=0.2) is None
        await cancelled(publishing)
    assert told == [b"2 1 ~head@- {}"]
