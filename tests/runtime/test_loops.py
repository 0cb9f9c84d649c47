"""What runs for the life of a process goes on whatever a step raises, and says so."""

from __future__ import annotations

import asyncio
import logging

import pytest
from prometheus_client import REGISTRY
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import ResponseError

from rts_server import errors
from rts_server.runtime import loops
from rts_server.runtime.loops import Loop, forever
from rts_server.runtime.tasks import cancelled
from tests.helpers.waiting import PATIENCE, eventually


class Steps:
    """A step that raises what it is given, one after another, then goes well."""

    def __init__(self, *raised: BaseException) -> None:
        self._raised = list(raised)
        self.taken = 0

    async def step(self) -> None:
        """The next."""
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
async def test_the_next_step_comes_whatever_one_raised(error: BaseException) -> None:
    """A cancelled future that it waited for does not end it either; its own cancellation does."""
    steps = Steps(error, error)
    counted = {"loop": "of a test"}
    before = REGISTRY.get_sample_value("rts_loop_failures_total", counted) or 0.0
    task = asyncio.create_task(forever("of a test", steps.step))
    await eventually(lambda: steps.taken >= 4)
    assert not task.done()
    assert REGISTRY.get_sample_value("rts_loop_failures_total", counted) == before + 2
    await cancelled(task)
    assert task.cancelled()


async def test_a_cancellation_that_a_step_swallowed_ends_it_all_the_same() -> None:
    """redis-py swallows some before Python 3.12."""
    waiting = asyncio.Event()

    async def swallow() -> None:
        waiting.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return

    task = asyncio.create_task(forever("of a test", swallow))
    await waiting.wait()
    task.cancel()
    async with asyncio.timeout(PATIENCE):
        await task


async def test_trouble_is_told_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """A mistake with its traceback, what a part that is away does by its kind alone."""
    caplog.set_level(logging.WARNING)
    task = asyncio.create_task(
        forever("of a test", Steps(*[KeyError("x")] * 3, *[Lost("secret")] * 3).step)
    )
    await eventually(lambda: len(caplog.records) >= 2)
    await cancelled(task)
    first, second = caplog.records
    assert (first.message, first.levelname) == ("loop failed", "ERROR")
    assert first.exc_info is not None
    assert (second.message, second.levelname) == ("loop waits", "WARNING")
    assert "secret" not in str(second.__dict__)
    assert {vars(one)["loop"] for one in caplog.records} == {"of a test"}


async def test_who_does_nothing_but_fail_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a step goes well or the loop ends; what Redis answers everybody is no reason."""
    monkeypatch.setattr(loops, "LONGEST_BACKOFF", 0.001)

    async def broken() -> None:
        raise RuntimeError("the handler is closed")

    async def refused() -> None:
        raise ResponseError("OOM command not allowed")

    tasks = [asyncio.create_task(forever("broken", broken))]
    tasks.append(asyncio.create_task(forever("refused", refused)))
    await eventually(lambda: loops.failing(0.05) == ["broken"])
    assert loops.failing(3_600) == []
    await cancelled(*tasks)
    assert loops.failing(0.0) == []


async def test_a_long_step_says_that_all_is_well() -> None:
    """One that goes on for hours behind a failure is not counted as failing."""
    loop, again = Loop("of a test"), asyncio.Event()
    left = 2

    async def step() -> None:
        nonlocal left
        if left:
            left -= 1
            raise RuntimeError
        await again.wait()
        loop.well()
        await asyncio.sleep(60)

    task = asyncio.create_task(loop.run(step))
    await eventually(lambda: loops.failing(0.0) == ["of a test"])
    again.set()
    await eventually(lambda: loops.failing(0.0) == [])
    await cancelled(task)


async def test_one_failure_of_what_is_seldom_done_is_none_of_the_loop() -> None:
    """However long its next step is away."""
    steps = Steps(RuntimeError())
    task = asyncio.create_task(forever("of a test", steps.step))
    await eventually(lambda: steps.taken == 1)
    assert loops.failing(0.0) == []
    await cancelled(task)
