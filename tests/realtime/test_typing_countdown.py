"""Typing users: the complete list, at a bounded rate, each name for a limited time."""

from __future__ import annotations

import asyncio

from rts_server.realtime.typing_countdown import TypingCountdown
from tests.helpers.waiting import eventually


async def test_each_typing_user_expires_at_their_own_time() -> None:
    """Each name expires at its own time, and the list is reported each time."""
    told: list[list[str]] = []
    typing = TypingCountdown(told.append, 0.01)
    typing.update({"carol": 200, "bob": 60})
    assert told == [["bob", "carol"]]
    await eventually(lambda: told[1:] == [["carol"], []])


async def test_changes_within_the_interval_are_published_as_their_result() -> None:
    """Changes within the interval are reported as their result."""
    told: list[list[str]] = []
    typing = TypingCountdown(told.append, 0.2)
    loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
    for names in (["bob"], ["bob", "carol"], ["dave"]):
        typing.update(dict.fromkeys(names, 60_000))
    typing.remove(["dave"])
    assert told == [["bob"]]
    await eventually(lambda: told == [["bob"], []])
    assert round(loop.time() - began, 3) >= 0.2  # uvloop counts whole milliseconds
    typing.close()


async def test_the_end_is_told_once_another_change_may_be_reported() -> None:
    """Until then the countdown knows when it reported last; a change at any time is kept."""
    told: list[list[str]] = []
    ends: list[int] = []
    typing = TypingCountdown(told.append, 0.02, on_end=lambda: ends.append(len(told)))
    typing.update({"bob": 60_000})
    typing.update({})
    assert ends == []
    await eventually(lambda: ends)
    assert told == [["bob"], []]
    assert ends == [2]
