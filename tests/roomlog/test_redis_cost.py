"""What a message costs Redis, in commands: counts, no times."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from rts_server import keys
from rts_server.roomlog.room_events import settings_changed
from rts_server.roomlog.script import APPEND
from tests.helpers.bench import Bench, append, failed, message

MESSAGES = 100
SCRIPTS = ("evalsha", "fcall")
MOST_PER_HIDER = 6.5


async def counted(bench: Bench) -> Counter[str]:
    """Calls of each command so far, those inside scripts included."""
    stats: Any = await bench.redis.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()})


@pytest.mark.parametrize(
    ("state", "most"), [("plain", 20.1), ("with a failed message", 22.1), ("with typing", 21.1)]
)
async def test_a_message_is_one_script_and_at_most_20_commands(
    bench: Bench, state: str, most: float
) -> None:
    """Also when its sender has unread messages, and with the trimming of a full log. What a room
    seldom has costs a command each."""
    room_id = await bench.group("alice", "bob")
    for n in range(40):
        await bench.append(message(room_id, "alice", f"warm{n}"))
    if state == "with a failed message":
        first = message(room_id, "alice", "warm0").request_id
        assert await bench.outcome(failed(room_id, first, 1)) == "ok"
    if state == "with typing":
        await bench.redis.zadd(keys.room(room_id).typing, {"carol": 2**52})
    before = await counted(bench)
    for n in range(MESSAGES):
        sent = message(room_id, ("alice", "bob")[n % 2], f"m{n}")
        assert await bench.outcome(sent) == "ok"
    calls = await counted(bench) - before
    calls.pop("info")
    inside = MESSAGES  # the fence asks INFO once a message, or less often
    assert sum(calls[name] for name in SCRIPTS) == MESSAGES
    assert (calls.total() + inside) / MESSAGES <= most


async def test_messages_of_one_millisecond_ask_once_which_redis_this_is(bench: Bench) -> None:
    """Of a hundred in one transaction at least two are in the same millisecond."""
    room_id = await bench.group("alice")
    sent = [append(message(room_id, "alice", f"m{n}"), bench.settings) for n in range(MESSAGES)]
    before = await counted(bench)
    async with bench.redis.pipeline() as pipe:
        for call in sent:
            pipe.execute_command(*APPEND.command(*call))
        answers = await pipe.execute()
    calls = await counted(bench) - before
    assert [answer[0] for answer in answers] == [b"ok"] * MESSAGES
    assert calls["info"] - 1 < MESSAGES  # one is ours


async def test_a_message_that_brings_a_room_back_costs_for_each_who_hid_it(bench: Bench) -> None:
    """Their setting, its record and its event; the next message costs nothing more."""
    users = [f"user{n}" for n in range(50)]
    room_id = await bench.group("alice", *users)
    cost = list[int]()
    for hiders in ([], users[:10], users, []):
        for user in hiders:
            assert await bench.outcome(settings_changed(room_id, user, {"hidden": True})) == "ok"
        before = await counted(bench)
        assert await bench.outcome(message(room_id, "alice", f"m{len(cost)}")) == "ok"
        calls = await counted(bench) - before
        calls.pop("info")
        cost.append(calls.total())
    print(cost)
    plain, ten, fifty, again = cost
    assert ten - plain <= 10 * MOST_PER_HIDER
    assert fifty - plain <= 50 * MOST_PER_HIDER
    assert again <= plain + 1
