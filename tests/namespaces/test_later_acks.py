"""Commands that are answered beside the queue of their session."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from rts_server import errors
from rts_server.namespaces.answer import LaterAnswer
from rts_server.namespaces.command_deadline import CommandDeadline
from rts_server.namespaces.later_acks import LaterAcks
from rts_server.namespaces.session import QueuedCommand, Session
from tests.helpers.sessions import queued, session
from tests.helpers.waiting import eventually
from tests.namespaces.line import Line, line

GET = '["room.get",{"room_id":"r"}]'


def add(room_id: str) -> str:
    """A command that returns at once."""
    return f'["member.add",{{"room_id":"{room_id}","user_ids":["bob"]}}]'


def later(one: Line, work: Any) -> None:
    """Let `room.get` be answered by some work later."""

    async def get(*_: object) -> LaterAnswer:
        return LaterAnswer(work)

    _, schema = one.commands["member.add"]
    one._dispatcher._commands = {**one.commands, "room.get": (get, type(schema)())}


async def test_what_is_answered_later_holds_up_neither_queue_nor_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The commands behind it are executed, and its place among those in flight is free."""
    opened = asyncio.Event()

    async def work() -> Mapping[str, object]:
        await opened.wait()
        return {"at": "last"}

    async with line(rate_limits="relaxed") as one:
        later(one, work)
        answered: list[str] = []
        monkeypatch.setattr(one._server, "command_answered", answered.append)
        one.ask(GET.replace("}]", ',"user_ids":["bob"]}]'), add("a"), add("b"))
        await eventually(lambda: len(one.acks) == 2)
        assert one.began == ["a", "b"]
        assert len(answered) == 3
        assert one.session.unanswered == 1
        opened.set()
        assert await one.answered(3) == ["ok"] * 3
        assert one.acks[0]["data"] == {"at": "last"}
        assert one.session.unanswered == 0
        assert len(answered) == 3


async def test_a_refusal_or_an_error_of_the_work_is_its_answer() -> None:
    """As of every command (D10)."""

    async def refused() -> Mapping[str, object]:
        raise errors.NotFound

    async def broken() -> Mapping[str, object]:
        raise OSError

    async with line(rate_limits="relaxed") as one:
        for work in (refused, broken):
            later(one, work)
            one.ask(GET.replace("}]", ',"user_ids":["bob"]}]'))
            await eventually(lambda: one.session.unanswered == 0 and one.session.worker is None)
        assert await one.answered(2) == ["not_found", "unavailable"]


async def test_work_that_does_not_end_is_answered_at_the_deadline() -> None:
    """And cancelled."""
    sent: list[object] = []
    cancelled = asyncio.Event()

    def send(_: Session, __: QueuedCommand, answer: object) -> None:
        sent.append(answer)

    async def work() -> Mapping[str, object]:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return {}

    acks = LaterAcks(CommandDeadline(0.05, 0.05), send)
    acks.send_when_done(session()[0], queued(), work)
    await eventually(lambda: bool(sent))
    assert [type(one) for one in sent] == [errors.Timeout]
    assert cancelled.is_set()


async def test_in_an_outage_a_later_answer_has_the_shorter_deadline() -> None:
    """It is unavailable then, and ends the outage for its session when it is answered (R7)."""
    sent: list[object] = []

    def send(_: Session, __: QueuedCommand, answer: object) -> None:
        sent.append(answer)

    async def answered() -> Mapping[str, object]:
        return {}

    one, _ = session()
    one.unavailable = True
    acks = LaterAcks(CommandDeadline(60, 0.05), send)
    acks.send_when_done(one, queued(), asyncio.Event().wait)  # type: ignore[arg-type]
    await eventually(lambda: bool(sent))
    assert [type(answer) for answer in sent] == [errors.Unavailable]
    assert one.unavailable
    acks.send_when_done(one, queued(), answered)
    await eventually(lambda: len(sent) == 2)
    assert not one.unavailable
