"""A deadline cancels who works past it, and nobody else."""

from __future__ import annotations

import asyncio

import pytest

from rts_server.namespaces.deadline import Deadline
from tests.waiting import eventually


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
