"""What a message costs Redis, in commands: counts, no times."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.helpers.bench import Bench, message

MESSAGES = 100
SCRIPTS = ("evalsha", "fcall")


async def counted(bench: Bench) -> Counter[str]:
    """Calls of each command so far, those inside scripts included."""
    stats: Any = await bench.redis.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()})


async def test_a_message_is_one_script_and_at_most_24_commands(bench: Bench) -> None:
    """Also when its sender has unread messages, and with the trimming of a full log."""
    room_id = await bench.group("alice", "bob")
    for n in range(40):
        await bench.append(message(room_id, "alice", f"warm{n}"))
    before = await counted(bench)
    for n in range(MESSAGES):
        sent = message(room_id, ("alice", "bob")[n % 2], f"m{n}")
        assert await bench.outcome(sent) == "ok"
    calls = await counted(bench) - before
    calls.pop("info")
    inside = MESSAGES  # the fence asks INFO once a message
    assert sum(calls[name] for name in SCRIPTS) == MESSAGES
    assert (calls.total() + inside) / MESSAGES <= 24.0
