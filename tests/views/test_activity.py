"""The time by which lists are ordered."""

from __future__ import annotations

import orjson

from rts_server import keys
from rts_server.roomlog.rehydrate import milliseconds
from rts_server.views.activity import last_activity
from tests.helpers.bench import Bench, message


async def test_it_is_that_of_the_last_message_else_of_the_creation(bench: Bench) -> None:
    """A room without a head, and one whose head is of another type, are left out."""
    room_id = await bench.group("alice", "bob", room="busy")
    silent = await bench.group("alice", "bob", room="silent")
    broken = await bench.group("alice", "bob", room="broken")
    await bench.append(message(room_id, "alice"))
    await bench.redis.delete(keys.room(broken).head)
    await bench.redis.set(keys.room(broken).head, "x")
    head = await bench.head(silent)
    found = await last_activity(bench.redis, [room_id, silent, broken, "nowhere"])
    assert found == {
        room_id: int((await bench.head(room_id))[b"last_ms"]),
        silent: milliseconds(orjson.loads(head[b"room"])["created_at"]),
    }
    assert await last_activity(bench.redis, []) == {}
