"""Loops that run for the life of a process survive every error of a step, and log it."""

from __future__ import annotations

import asyncio
import logging

import pytest
from prometheus_client import REGISTRY
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import ResponseError

from rts_server import errors
from rts_server.runtime import backoff, loops
from rts_server.runtime.loops import Loop, repeat_forever
from rts_server.runtime.tasks import cancelled
from tests.helpers.waiting import PATIENCE, eventually


class Steps:
    """A step that raises the given errors one after another, then succeeds."""

    def __init__(self, *raised: BaseException) -> None:
        self._raised = list(raised)
        self.taken = 0

    async def step(self) -> None:
        """Run the step once."""
        self.taken += 1
        if self._raised:
            raise self._raised.pop(0)
        await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("the handler is closed"),
        Lost("away"),
        OSError(9, "bad"),
        TimeoutError(),
        errors.Unavailable(),
        ResponseError("OOM"),
        KeyError("x"),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_the_next_step_runs_whatever_the_last_one_raised(error: BaseException) -> None:
    """A cancelled future that a step awaited does not end the loop; cancelling the loop does."""
    steps = Steps(error, error)
    counted = {"loop": "of a test"}
    before = REGISTRY.get_sample_value("rts_loop_failures_total", counted) or 0.0
    task = asyncio.create_task(repeat_forever("of a test", steps.step))
    await eventually(lambda: steps.taken >= 4)
    assert not task.done()
    assert REGISTRY.get_sample_value("rts_loop_failures_total", counted) == before + 2
    await cancelled(task)
    assert task.cancelled()


async def test_a_cancellation_that_a_step_swallowed_still_ends_the_loop() -> None:
    """redis-py swallows some cancellations before Python 3.12; the loop checks for itself."""
    waiting = asyncio.Event()

    async def swallow() -> None:
        waiting.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return

    task = asyncio.create_task(repeat_forever("of a test", swallow))
    await waiting.wait()
    task.cancel()
    async with asyncio.timeout(PATIENCE):
        await task


async def test_repeated_errors_are_logged_once_per_interval(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A bug is logged with its traceback, an outage of Redis by the type of the error alone."""
    caplog.set_level(logging.WARNING)
    task = asyncio.create_task(
        repeat_forever("of a test", Steps(*[KeyError("x")] * 3, *[Lost("secret")] * 3).step)
    )
    await eventually(lambda: len(caplog.records) >= 2)
    await cancelled(task)
    first, second = caplog.records
    assert (first.message, first.levelname) == ("loop failed", "ERROR")
    assert first.exc_info is not None
    assert (second.message, second.levelname) == ("loop waits", "WARNING")
    assert "secret" not in str(second.__dict__)
    assert {vars(one)["loop"] for one in caplog.records} == {"of a test"}


async def test_a_loop_that_only_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named until a step succeeds or the loop ends; error replies of Redis do not count."""
    monkeypatch.setattr(backoff, "MAX_BACKOFF_SECONDS", 0.001)

    async def broken() -> None:
        raise RuntimeError("the handler is closed")

    async def refused() -> None:
        raise ResponseError("OOM command not allowed")

    tasks = [asyncio.create_task(repeat_forever("broken", broken))]
    tasks.append(asyncio.create_task(repeat_forever("refused", refused)))
    await eventually(lambda: loops.failing(0.05) == ["broken"])
    assert loops.failing(3_600) == []
    await cancelled(*tasks)
    assert loops.failing(0.0) == []


async def test_a_long_step_can_mark_the_loop_as_succeeded() -> None:
    """A step that runs for hours after a failure does not count as failing."""
    loop, again = Loop("of a test"), asyncio.Event()
    left = 2

    async def step() -> None:
        nonlocal left
        if left:
            left -= 1
            raise RuntimeError
        await again.wait()
        loop.mark_succeeded()
        await asyncio.sleep(60)

    task = asyncio.create_task(loop.repeat(step))
    await eventually(lambda: loops.failing(0.0) == ["of a test"])
    again.set()
    await eventually(lambda: loops.failing(0.0) == [])
    await cancelled(task)


async def test_one_failure_of_a_loop_that_runs_seldom_does_not_count() -> None:
    """However long ago the failure is, two in a row are needed."""
    steps = Steps(RuntimeError())
    task = asyncio.create_task(repeat_forever("of a test", steps.step))
    await eventually(lambda: steps.taken == 1)
    assert loops.failing(0.0) == []
    await cancelled(task)
