"""A deadline cancels who works past it, and nobody else."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from redis.asyncio import Redis

from rts_server.runtime.deadline import Deadline, within
from tests.helpers.waiting import eventually


def now() -> float:
    """Loop time."""
    return asyncio.get_running_loop().time()


async def past(deadline: Deadline, at: float) -> bool:
    """Work without an end, from now until the deadline; whether that cancelled it."""
    deadline.begin(at)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return deadline.end()
    raise AssertionError("nothing was waited for")


async def test_who_works_past_it_is_cancelled_and_goes_on() -> None:
    """Not before its time, and the next time as well; the task counts as cancelled by nobody."""
    deadline, task = Deadline(), asyncio.current_task()
    assert task is not None
    for _ in range(3):
        at = now() + 0.01
        assert await past(deadline, at)
        assert now() >= at
        assert task.cancelling() == 0
        async with asyncio.timeout(5):  # which looks whether it was the one that cancelled
            await asyncio.sleep(0)


async def test_a_timer_rings_for_the_last_moment_only() -> None:
    """A hundred in time share one timer; who works when it rings has until his own moment."""
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


async def test_nobody_is_cancelled_between_two() -> None:
    """It rings while nothing is worked on, and is set anew by the next."""
    deadline = Deadline()
    deadline.begin(now())
    deadline.end()
    await eventually(lambda: deadline._timer is None)
    assert await past(deadline, now())


@pytest.mark.parametrize("both", [False, True], ids=["before it", "together with it"])
async def test_who_is_cancelled_by_others_was_not_late(both: bool) -> None:
    """Then it is a cancellation, also when both come in the same turn."""
    deadline = Deadline()
    at = now() if both else now() + 60
    working = asyncio.create_task(past(deadline, at))
    await asyncio.sleep(0)
    if both:
        deadline._ring()
    working.cancel()
    assert not await working


def patient(url: str) -> Redis:
    """A client that writes as the product's own does: under a timeout of the socket."""
    return Redis.from_url(url, protocol=2, socket_timeout=60)


async def test_work_that_swallows_its_cancellation_is_cancelled_again(valkey_url: str) -> None:
    """Late from the start, in the midst of a write of redis-py: it does not go on for a minute."""
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


async def test_who_ends_in_spite_of_it_is_not_cancelled_later() -> None:
    """What was repeated counts for the work that was late, not for the next."""
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


async def test_within_is_obeyed_by_redis_py(valkey_url: str) -> None:
    """As asyncio.timeout, which a swallowed cancellation makes endless before Python 3.12."""
    async with patient(valkey_url) as redis:
        await redis.ping()
        with pytest.raises(TimeoutError):
            async with within(0):
                await redis.blpop(["nothing"], timeout=30)
        async with within(60):
            await redis.ping()


async def test_within_is_no_excuse_for_other_cancellations() -> None:
    """Nor does it hide what else goes wrong."""

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
