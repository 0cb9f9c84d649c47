"""The deadline of a command."""

from __future__ import annotations

import asyncio

import pytest

from rts_server import errors
from rts_server.namespaces.answer import Answer
from rts_server.namespaces.command_deadline import CommandDeadline
from tests.helpers.sessions import queued, session


async def at_once() -> Answer | errors.Refusal:
    """Work that ends at once."""
    return {"done": True}


async def never() -> Answer | errors.Refusal:
    """Work that never ends."""
    await asyncio.Event().wait()
    raise AssertionError


async def unexpected() -> Answer | errors.Refusal:
    """Work that must not begin."""
    raise AssertionError


async def test_work_that_ends_in_time_returns_its_answer() -> None:
    """The deadline ends with it: the task is not cancelled later."""
    one, _ = session()
    assert await CommandDeadline(60, 60).execute(one, queued(), at_once) == {"done": True}


async def test_a_command_that_is_late_already_is_not_begun() -> None:
    """Its client may have repeated it elsewhere."""
    one, _ = session()
    answer = await CommandDeadline(60, 60).execute(one, queued(age=61), unexpected)
    assert isinstance(answer, errors.Timeout)


async def test_work_that_takes_too_long_is_cancelled_and_answered() -> None:
    """A command is answered within its deadline whatever it waits for (D10)."""
    one, _ = session()
    answer = await CommandDeadline(0.01, 60).execute(one, queued(), never)
    assert isinstance(answer, errors.Timeout)


async def test_a_session_that_does_not_open_in_time_is_unavailable() -> None:
    """Nothing was tried yet, so the client may repeat the command elsewhere."""
    one, _ = session(ready=False)
    answer = await CommandDeadline(60, 0.01).execute(one, queued(), unexpected)
    assert isinstance(answer, errors.Unavailable)


async def test_a_command_behind_an_unavailable_one_does_not_wait_for_redis_again() -> None:
    """In an outage each command of a queue is answered 3 s after its arrival (R7)."""
    one, _ = session()

    async def unavailable() -> Answer | errors.Refusal:
        return errors.Unavailable()

    deadline = CommandDeadline(60, 3)
    assert isinstance(await deadline.execute(one, queued(), unavailable), errors.Unavailable)
    answer = await deadline.execute(one, queued(age=3.5), unexpected)
    assert isinstance(answer, errors.Unavailable)
    assert isinstance(await deadline.execute(one, queued(age=2.9), never), errors.Unavailable)


async def test_the_first_command_that_succeeds_ends_an_outage() -> None:
    """Later commands have their whole deadline again."""
    one, _ = session()
    one.unavailable = True
    deadline = CommandDeadline(60, 3)
    assert await deadline.execute(one, queued(), at_once) == {"done": True}
    assert await deadline.execute(one, queued(age=4), at_once) == {"done": True}


async def test_a_command_that_waited_for_its_session_has_its_whole_deadline() -> None:
    """Only the wait for the session is bounded by the time that Redis has."""
    one, _ = session(ready=False)

    async def slow() -> Answer | errors.Refusal:
        await asyncio.sleep(0.1)
        return {"done": True}

    command = asyncio.ensure_future(CommandDeadline(60, 0.05).execute(one, queued(), slow))
    await asyncio.sleep(0)
    one.ready.trigger()
    assert await command == {"done": True}


async def test_a_cancellation_from_outside_is_not_taken_for_the_deadline() -> None:
    """The namespace is closing: its worker must end."""
    one, _ = session()
    task = asyncio.ensure_future(CommandDeadline(60, 60).execute(one, queued(), never))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
