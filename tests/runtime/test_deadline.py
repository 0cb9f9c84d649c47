"""A deadline cancels who works past it, and nobody else."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from redis.asyncio import Redis

from rts_server.runtime.deadline import Deadline, within
from tests.helpers.waiting import eventually


def now() -> float:
    """Return the loop time."""
    return asyncio.get_running_loop().time()


async def past(deadline: Deadline, at: float) -> bool:
    """Work without an end until the deadline; return whether that cancelled the work."""
    deadline.begin(at)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return deadline.end()
    raise AssertionError("nothing was waited for")


async def test_late_work_is_cancelled_and_its_task_goes_on() -> None:
    """Not before the deadline, and as often as needed; the task itself is not cancelled."""
    deadline, task = Deadline(), asyncio.current_task()
    assert task is not None
    for _ in range(3):
        at = now() + 0.01
        assert await past(deadline, at)
        assert now() >= at
        assert task.cancelling() == 0
        async with asyncio.timeout(5):  # which looks whether it was the one that cancelled
            await asyncio.sleep(0)


async def test_a_use_that_ends_at_once_may_be_followed_by_another_one() -> None:
    """For less than half a millisecond uvloop gives a handle that does not know its time."""
    deadline = Deadline()
    deadline.begin(now() + 1e-4)
    deadline.end()
    assert await past(deadline, now() + 1e-4)


async def test_one_timer_serves_consecutive_deadlines() -> None:
    """A hundred uses in time share one timer; a use at its end has until its own deadline."""
    deadline = Deadline()
    first = now() + 0.01
    deadline.begin(first)
    timer = deadline._timer
    for step in range(100):
        deadline.end()
        deadline.begin(first + step)
    assert deadline._timer is timer
    deadline.end()
    at = first + 0.05
    assert await past(deadline, at)
    assert now() >= at


async def test_nothing_is_cancelled_between_two_uses() -> None:
    """The timer fires while there is no work, and the next use starts it again."""
    deadline = Deadline()
    deadline.begin(now())
    deadline.end()
    await eventually(lambda: deadline._timer is None)
    assert await past(deadline, now())


@pytest.mark.parametrize("both", [False, True], ids=["before it", "together with it"])
async def test_work_that_others_cancel_was_not_late(both: bool) -> None:
    """Then it is a plain cancellation, even if both happen in the same turn of the loop."""
    deadline = Deadline()
    at = now() if both else now() + 60
    working = asyncio.create_task(past(deadline, at))
    await asyncio.sleep(0)
    if both:
        deadline._ring()
    working.cancel()
    assert not await working


def patient(url: str) -> Redis:
    """Return a client that writes under a socket timeout, as the one of the server does."""
    return Redis.from_url(url, protocol=2, socket_timeout=60)


async def test_work_that_swallows_its_cancellation_is_cancelled_again(valkey_url: str) -> None:
    """Work that is late inside a write of redis-py does not go on for a minute."""
    async with patient(valkey_url) as redis:
        await redis.ping()
        deadline, task = Deadline(), asyncio.current_task()
        assert task is not None
        for _ in range(3):
            deadline.begin(now())
            with pytest.raises(asyncio.CancelledError):
                await redis.blpop([f"nothing {now()}"], timeout=30)
            assert deadline.end()
            assert task.cancelling() == 0


async def test_late_work_that_ends_is_not_cancelled_later() -> None:
    """A repeated cancellation hits only the work that was late, not the next one."""
    deadline, task = Deadline(), asyncio.current_task()
    assert task is not None
    deadline.begin(now())
    for _ in range(3):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    assert deadline.end()
    deadline.begin(now() + 60)
    await asyncio.sleep(0.2)
    assert not deadline.end()
    assert task.cancelling() == 0


async def test_redis_py_calls_end_at_the_deadline_of_within(valkey_url: str) -> None:
    """asyncio.timeout would never end here: before Python 3.12 the cancellation is swallowed."""
    async with patient(valkey_url) as redis:
        await redis.ping()
        with pytest.raises(TimeoutError):
            async with within(0):
                await redis.blpop(["nothing"], timeout=30)
        async with within(60):
            await redis.ping()


async def test_within_passes_other_cancellations_and_errors_on() -> None:
    """Only its own deadline becomes a TimeoutError."""

    async def work() -> None:
        async with within(60):
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    with pytest.raises(ValueError, match="other"):
        async with within(60):
            raise ValueError("other")
