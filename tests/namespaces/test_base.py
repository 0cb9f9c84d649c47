"""Commands of a connection are executed in order, and each is answered once and in time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.namespaces.line import line

SLOW = '["unread.get",{}]'


def add(room_id: str) -> str:
    """A command that returns at once."""
    return f'["member.add",{{"room_id":"{room_id}","user_ids":["bob"]}}]'


async def test_a_command_late_at_its_turn_is_answered_and_not_executed() -> None:
    """A command behind one that used up the time is answered `timeout`."""
    async with line(command_deadline=0.3) as one:
        one.ask(SLOW, add("a"), add("b"), add("c"))
        assert await one.answered(4) == ["timeout"] * 4
        assert one.began == []
        one.ask(add("d"))
        assert await one.answered(5) == ["timeout"] * 4 + ["ok"]
        assert one.began == ["d"]


async def test_a_handler_that_swallows_a_cancellation_is_cancelled_again() -> None:
    """redis-py does before Python 3.12; the command is answered all the same."""
    async with line(command_deadline=0.3) as one:
        one.deaf_to = 3
        one.ask(SLOW, SLOW)
        assert await one.answered(2) == ["timeout", "timeout"]
        assert one.deaf_to == -1


MANY = 20_000
WRONG = {
    "items": {"room_id": "r", "user_ids": [5] * MANY},
    "lists": {"room_id": "r", "user_ids": [[]] * MANY},
    "fields": {"room_id": "r", "user_ids": ["a b"] * 100, "role": 5},
    "keys": {"cursors": {f"a b{n}": n for n in range(MANY // 10)}},
    "keys as long as a frame": {"cursors": {"k" * 60_000: 1}},
    "values": {"cursors": {"r": [[]] * MANY}},
    "metadata of lists": {"room_id": "r", "client_msg_id": "m", "metadata": {"a": [{}] * MANY}},
    "metadata of keys": {
        "room_id": "r",
        "client_msg_id": "m",
        "metadata": {f"{n}": n for n in range(MANY // 4)},
    },
}


@pytest.mark.parametrize("payload", WRONG.values(), ids=WRONG.keys())
async def test_a_frame_full_of_mistakes_has_a_short_answer(payload: dict[str, Any]) -> None:
    """`details` has at most ten entries of 200 characters."""
    name = "sync" if "cursors" in payload else "message.send"
    name = "member.add" if "user_ids" in payload else name
    async with line() as one:
        one.ask(json.dumps([name, payload]))
        (code,) = await one.answered(1)
        assert code in ("invalid_param", "message_too_large")
        details = one.acks[0]["error"]["details"]
        assert 1 <= len(details) <= 10
        assert all(len(text) <= 200 for texts in details.values() for text in (*texts,))
        assert one.out.bytes_of[0] < 4_096


async def test_a_command_is_charged_before_it_is_read() -> None:
    """Invalid commands use up the rate like valid ones."""
    wrong = json.dumps(["member.add", {"room_id": "r", "user_ids": [5]}])
    async with line(rate_limits="standard", rates="commands=0.001/5") as one:
        one.ask(*[wrong] * 4, '["no.such",{}]', wrong, '["no.such",{}]')
        codes = await one.answered(7)
        assert codes == ["invalid_param"] * 4 + ["bad_request"] + ["rate_limited"] * 2


async def test_refused_commands_yield_to_other_clients() -> None:
    """A queue of refused commands does not block the loop."""
    wrong = json.dumps(["member.add", {"room_id": "r", "user_ids": [5]}])
    async with line() as one:
        one.ask(*[wrong] * 200)
        before, most = 0, 0
        while len(one.acks) < 200:
            await asyncio.sleep(0)
            before, most = len(one.acks), max(most, len(one.acks) - before)
        assert most <= 2
