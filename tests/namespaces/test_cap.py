"""The cap goes on whatever the question to the others raises."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from rts_server.adapter.everywhere import Everywhere
from rts_server.adapter.manager import Manager
from rts_server.config import Settings
from rts_server.engine.server import Server
from rts_server.namespaces import cap
from rts_server.pipe import Pipe
from rts_server.presence.lease import Lease
from rts_server.presence.online import Online
from tests.waiting import eventually


async def test_a_user_is_counted_again_whatever_the_question_raises(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nobody of theirs would ever be pinged or refused any more."""
    asked: list[str] = []

    async def broken(_: Everywhere, user_id: str) -> int:
        asked.append(user_id)
        raise RuntimeError("the handler is closed")

    monkeypatch.setattr(Everywhere, "check", broken)
    monkeypatch.setattr(cap, "ANSWER_WITHIN", 0.01)
    monkeypatch.setattr(cap, "SETTLED_AFTER", 0.01)
    settings = Settings()
    online = Online(settings, Pipe(redis.connection_pool), Lease(settings, redis, "origin", dict))
    again: list[Any] = []
    monkeypatch.setattr(online, "again", again.append)
    server = Server(settings, Manager())
    tested = cap.Cap(1, online, server, Everywhere(redis))
    for round_ in (1, 2):
        tested.entered("alice", "second")
        tested.counted("alice", ["first", "second"], 2)
        await eventually(lambda n=round_: len(again) == n)  # type: ignore[misc]
        tested.counted("alice", ["first"], 1)
    assert asked == ["alice", "alice"]
