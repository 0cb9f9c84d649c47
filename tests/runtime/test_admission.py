"""How many commands may be in progress, decided from the delays that they met."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rts_server.runtime.admission import (
    BUSY_DELAY_SECONDS,
    BUSY_SESSIONS,
    INITIAL_LIMIT,
    MAX_RETRY_SECONDS,
    MAX_WAIT_SECONDS,
    MIN_LIMIT,
    TARGET_DELAY_SECONDS,
    WINDOW_SECONDS,
    Admission,
)

SLOW, FAST = 4 * TARGET_DELAY_SECONDS, TARGET_DELAY_SECONDS / 4


class Clock:
    """Feeds an admission with one delay per window."""

    def __init__(self) -> None:
        self.admission = Admission()
        self.now = 0.0

    def windows(self, count: int, delay: float) -> None:
        """Let `count` windows pass in which appends took `delay` seconds."""
        for _ in range(count):
            self.now += WINDOW_SECONDS + SLOW
            self.admission.observe_append(delay, self.now)


def at_limit(limit: float) -> Admission:
    """An admission with so many commands in progress, and none waiting."""
    admission = Admission()
    admission.limit = limit
    admission.in_progress = int(limit)
    return admission


async def test_a_command_beyond_the_limit_waits_until_another_one_ends() -> None:
    """Commands are admitted in the order of arrival, one for each that leaves."""
    admission = at_limit(2)
    first, second = (asyncio.ensure_future(admission.enter()) for _ in range(2))
    await asyncio.sleep(0)
    assert not first.done()
    admission.leave()
    assert await first
    assert not second.done()
    admission.leave()
    assert await second
    assert admission.in_progress == 2


async def test_commands_whose_time_is_almost_over_wait_beside_others() -> None:
    """For less than half a millisecond uvloop gives a handle that does not know its time."""
    admission = at_limit(2)
    waited = (MAX_WAIT_SECONDS - 1e-4, 0.0, MAX_WAIT_SECONDS - 1e-4)
    assert await asyncio.gather(*map(admission.enter, waited)) == [False] * 3


async def test_a_command_that_waits_too_long_is_refused() -> None:
    """Nothing leaves, so the command is refused, and counts as in progress no more."""
    admission = at_limit(2)
    assert not await admission.enter()
    assert admission.in_progress == 2
    assert not admission.refuses(0.0, "sid")


async def test_a_command_has_the_time_that_is_left_since_its_arrival() -> None:
    """One that has waited elsewhere for all of it is refused, unless there is room."""
    admission = at_limit(2)
    waiting = asyncio.ensure_future(admission.enter())
    await asyncio.sleep(0)
    assert admission.refuses(MAX_WAIT_SECONDS, "sid")
    assert not await admission.enter(MAX_WAIT_SECONDS)
    admission.leave()
    assert await waiting
    admission.leave()
    assert not admission.refuses(MAX_WAIT_SECONDS, "sid")
    assert await admission.enter(MAX_WAIT_SECONDS)


async def test_as_many_commands_may_wait_as_may_be_in_progress() -> None:
    """One more is refused at once."""
    admission = at_limit(2)
    waiting = [asyncio.ensure_future(admission.enter()) for _ in range(2)]
    await asyncio.sleep(0)
    assert admission.refuses(0.0, "sid")
    refused = asyncio.ensure_future(admission.enter())
    await asyncio.sleep(0)
    assert refused.done()
    assert not refused.result()
    admission.leave()
    admission.leave()
    assert [await one for one in waiting] == [True, True]


@pytest.mark.parametrize("admitted_before", [False, True])
async def test_a_cancelled_command_takes_no_place(admitted_before: bool) -> None:
    """Cancelled while it waits, or in the turn in which it is admitted: the place stays free."""
    admission = at_limit(1)
    waiting = asyncio.ensure_future(admission.enter())
    await asyncio.sleep(0)
    if admitted_before:
        admission.leave()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if not admitted_before:
        admission.leave()
    assert admission.in_progress == 0
    assert await admission.enter()


def test_a_command_behind_one_that_waits_is_refused_below_the_limit_while_delays_are_long() -> None:
    """Where they are short, the commands of the session wait for something else."""
    clock = Clock()
    clock.windows(1, BUSY_DELAY_SECONDS / 2)
    assert not clock.admission.refuses(MAX_WAIT_SECONDS, "sid")
    clock.windows(1, BUSY_DELAY_SECONDS)
    assert clock.admission.refuses(MAX_WAIT_SECONDS, "sid")
    assert not clock.admission.refuses(MAX_WAIT_SECONDS / 2, "sid")


def test_many_sessions_whose_commands_wait_are_overload_although_delays_are_short() -> None:
    """Each of them executes one command at a time; the next window knows it from its beginning, and
    one in which no command waits forgets it."""
    clock = Clock()
    admission = clock.admission
    clock.windows(1, FAST)
    for _ in range(2):
        refused = [admission.refuses(MAX_WAIT_SECONDS, f"{n}") for n in range(BUSY_SESSIONS)]
        assert refused == [False] * (BUSY_SESSIONS - 1) + [True]
        clock.windows(1, FAST)
        assert admission.refuses(MAX_WAIT_SECONDS, "0")
        assert not admission.refuses(MAX_WAIT_SECONDS / 2, "0")
        clock.windows(2, FAST)


def test_one_session_whose_commands_wait_is_no_overload_while_delays_are_short() -> None:
    """However many they are."""
    clock = Clock()
    clock.windows(1, FAST)
    assert not any(clock.admission.refuses(MAX_WAIT_SECONDS, "sid") for _ in range(100))
    clock.windows(1, FAST)
    assert not clock.admission.refuses(MAX_WAIT_SECONDS, "sid")


def test_the_limit_shrinks_to_its_minimum_while_delays_are_long() -> None:
    """A standing delay halves the limit per window at most, and never below the minimum."""
    clock = Clock()
    clock.windows(1, SLOW)
    assert clock.admission.limit == INITIAL_LIMIT / 2
    clock.windows(20, SLOW)
    assert clock.admission.limit == MIN_LIMIT


def test_turns_of_the_loop_and_appends_make_one_delay() -> None:
    """Two delays that are each below the target are overload together."""
    admission, each = Admission(), 0.6 * TARGET_DELAY_SECONDS
    admission.observe_turn(each, 1.0)
    admission.observe_turn(each, 1.0 + WINDOW_SECONDS / 2)
    admission.observe_append(each, 2.0)
    assert admission.limit < INITIAL_LIMIT


def test_one_slow_command_among_many_fast_ones_is_no_overload() -> None:
    """The delay is a mean: a single slow reply changes nothing."""
    admission = Admission()
    admission.observe_append(FAST, 1.0)
    for _ in range(20):
        admission.observe_append(FAST / 10, 1.0 + WINDOW_SECONDS / 2)
    admission.observe_append(SLOW, 2.0)
    assert admission.limit == INITIAL_LIMIT


def test_the_limit_recovers_when_delays_are_short() -> None:
    """After overload the limit returns to where it began, without any load that reaches it."""
    clock = Clock()
    clock.windows(20, SLOW)
    clock.windows(50, FAST)
    assert clock.admission.limit >= INITIAL_LIMIT


def test_the_limit_grows_beyond_its_beginning_only_when_it_refused() -> None:
    """A limit that nothing reaches says nothing, and stays."""
    clock = Clock()
    clock.windows(5, FAST)
    assert clock.admission.limit == INITIAL_LIMIT
    clock.admission.refuse()
    clock.windows(1, FAST)
    assert clock.admission.limit > INITIAL_LIMIT


def test_a_window_lasts_as_long_as_the_delay_before_the_limit_shrinks_again() -> None:
    """The effect of a smaller limit is awaited: replies of the old one do not shrink it twice."""
    admission = Admission()
    admission.observe_append(SLOW, 1.0)
    admission.observe_append(SLOW, 1.0 + SLOW / 2)
    assert admission.limit == INITIAL_LIMIT / 2


def test_refused_clients_are_spread_over_more_time_the_more_are_refused() -> None:
    """Half a second at least, 31 seconds at most, and no two the same moment."""
    clock = Clock()
    few = [clock.admission.refuse() for _ in range(1_000)]
    clock.windows(1, FAST)
    many = [clock.admission.refuse() for _ in range(1_000)]
    assert min(few + many) >= 500
    assert max(few) <= 2_000 < max(many) <= (1 + MAX_RETRY_SECONDS) * 1000
    assert len(set(many)) > 500


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 2), st.booleans())))
def test_whatever_was_measured_the_limit_stays_a_limit(
    observed: list[tuple[float, float, bool]],
) -> None:
    """Any delays at any times leave at least the minimum, and a finite number."""
    admission, now = Admission(), 0.0
    for delay, passed, refused in observed:
        now += passed
        if refused:
            admission.refuse()
        admission.observe_turn(delay, now)
        assert MIN_LIMIT <= admission.limit < 10 * INITIAL_LIMIT + len(observed) ** 2
