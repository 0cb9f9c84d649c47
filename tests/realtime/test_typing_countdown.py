"""Typing users: the complete list, at a bounded rate, each name for a limited time."""

from __future__ import annotations

import asyncio

from rts_server.realtime.typing_countdown import TypingCountdown
from tests.helpers.waiting import eventually


async def test_a_name_ends_by_itself_and_no_later_than_it_should() -> None:
    """Each name expires at its own time, and the list is reported each time."""
    told: list[list[str]] = []
    typing = TypingCountdown(told.append, 0.01)
    typing.update({"carol": 200, "bob": 60})
    assert told == [["bob", "carol"]]
    await eventually(lambda: told[1:] == [["carol"], []])


async def test_what_changes_too_fast_is_told_as_it_is_in_the_end() -> None:
    """Changes within the interval are reported as their result."""
    told: list[list[str]] = []
    typing = TypingCountdown(told.append, 0.2)
    loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
    for names in (["bob"], ["bob", "carol"], ["dave"]):
        typing.update(dict.fromkeys(names, 60_000))
    typing.remove(["dave"])
    assert told == [["bob"]]
    await eventually(lambda: told == [["bob"], []])
    assert loop.time() - began >= 0.2
    typing.close()
