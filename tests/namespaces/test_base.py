"""Commands of a connection: one at a time, in order, each answered once and in time."""

from __future__ import annotations

from tests.namespaces.line import line

SLOW = '["unread.get",{}]'


def add(room_id: str) -> str:
    """A command that is done at once."""
    return f'["member.add",{{"room_id":"{room_id}","user_ids":["bob"]}}]'


async def test_what_is_late_when_its_turn_comes_is_answered_and_not_begun() -> None:
    """Behind one that took all the time of those in the line with it."""
    async with line(command_deadline=0.3) as one:
        one.ask(SLOW, add("a"), add("b"), add("c"))
        assert await one.answered(4) == ["timeout"] * 4
        assert one.began == []
        one.ask(add("d"))
        assert await one.answered(5) == ["timeout"] * 4 + ["ok"]
        assert one.began == ["d"]


async def test_who_swallows_a_cancellation_is_cancelled_until_it_ends() -> None:
    """As redis-py does before Python 3.12: the command is answered all the same."""
    async with line(command_deadline=0.3) as one:
        one.deaf_to = 3
        one.ask(SLOW, SLOW)
        assert await one.answered(2) == ["timeout", "timeout"]
        assert one.deaf_to == -1
