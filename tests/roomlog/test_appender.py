"""The retries of an append, with a script that replies what a test says."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as Lost

from rts_server import errors
from rts_server.config import Settings
from rts_server.roomlog.appender import Appender
from rts_server.roomlog.refusals import EpochAdvanced, RoomExists, StaleVersion
from rts_server.roomlog.request import AppendRequest, AppendResult, NoOp
from rts_server.roomlog.script import AppendReply, parse_reply
from tests.helpers.waiting import PATIENCE

REQUEST = AppendRequest("room", "id", ())
OK = [b"ok", 5, 1, 2, 3, b"time", b"0-1 0-2", b"pending", 0, b'{"join":["bob"]}', 1]


class Replies:
    """A script that gives these replies in order, and keeps what it was called with."""

    def __init__(self, *replies: AppendReply | Exception) -> None:
        self.replies = list(replies)
        self.calls: list[dict[str, Any]] = []

    async def append(self, request: AppendRequest, **more: Any) -> AppendReply:
        """The next reply; the last one repeats."""
        self.calls.append(more)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply


class Loads:
    """A loader that keeps its arguments."""

    def __init__(self) -> None:
        self.loads: list[tuple[str, bool]] = []

    async def load(self, room_id: str, nonce: str, *, create: bool) -> None:
        """Note it."""
        self.loads.append((nonce, create))


def appender(script: Replies, loader: Any = None, seconds: float = 5.0) -> Appender:
    """An appender without an archive."""
    settings = replace(Settings(jwt_secret="x"), redis_deadline=seconds)
    none: Any = None
    made: Any = script
    return Appender(settings, made, none, loader, none)


async def test_a_call_of_unknown_outcome_is_repeated_under_the_same_nonce() -> None:
    """A lost, late or loading call is repeated, and is no duplicate of itself (D7)."""
    reply = parse_reply(OK)
    script = Replies(Lost(), AppendReply("late"), AppendReply("loading"), reply)
    result = await appender(script).append(REQUEST, 4)
    assert isinstance(result, AppendResult)
    assert len({call["nonce"] for call in script.calls}) == 1
    assert {call["max_epoch"] for call in script.calls} == {4}
    waits = [call["max_wait"] for call in script.calls]
    assert waits == sorted(waits, reverse=True)
    assert (result.position, result.seq, result.ts) == ((1, 2), 3, "time")
    assert result.entries == {"0-1", "0-2"}
    assert result.affected == {"join": ("bob",)}
    assert not result.duplicate


@pytest.mark.parametrize("own", [True, False])
async def test_a_command_that_meets_its_own_append_is_no_duplicate(own: bool) -> None:
    """The nonce in the idempotency key says which command appended."""

    class Known(Replies):
        async def append(self, request: AppendRequest, **more: Any) -> AppendReply:
            nonce = more["nonce"][:8] if own else "somebody"
            return parse_reply([b"duplicate", *OK[1:7], OK[9], OK[7], nonce.encode()])

    result = await appender(Known(AppendReply("late"))).append(REQUEST)
    assert isinstance(result, AppendResult)
    assert result.duplicate is not own


async def test_a_cold_room_is_loaded_under_the_claim_of_the_command() -> None:
    """The room is loaded once, and then the same call is repeated."""
    loader = Loads()
    script = Replies(AppendReply("cold"), AppendReply("nothing", epoch=3))
    assert await appender(script, loader).append(REQUEST) == NoOp(3)
    assert loader.loads == [(script.calls[0]["nonce"], False)]


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ("exists", RoomExists),
        ("behind", EpochAdvanced),
        ("moved", StaleVersion),
        ("forbidden", errors.Forbidden),
    ],
)
async def test_an_outcome_that_ends_the_append_is_raised(
    outcome: str, kind: type[Exception]
) -> None:
    """A refusal is raised without another call."""
    script = Replies(AppendReply(outcome))
    with pytest.raises(kind):
        await appender(script).append(REQUEST)
    assert len(script.calls) == 1


async def test_an_append_without_a_reply_ends_as_unavailable() -> None:
    """It ends at the deadline, however often the call was repeated (D10)."""
    with pytest.raises(errors.Unavailable):
        async with asyncio.timeout(PATIENCE):
            await appender(Replies(Lost()), seconds=0.2).append(REQUEST)
