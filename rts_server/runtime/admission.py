"""Bounds the commands in progress by the delay they meet, so that overload is refused early (R4).

An adaptive concurrency limit: the number of commands in progress is the length of the queue in
front of the bottleneck, whatever that is (our event loop, Redis, another instance that keeps Redis
busy). While the measured delay is below its target, a limit that is reached grows; above it, the
limit shrinks in proportion. Sources: the gradient of Netflix' concurrency-limits, and the target
and interval of CoDel (RFC 8289).
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from math import sqrt

from rts_server import metrics

TARGET_DELAY_SECONDS = 0.1
"""Delay above which the limit shrinks: a tenth of the second within which what was admitted must be
delivered (R4), and of the silence after which a connection to Redis is given up."""
WINDOW_SECONDS = 0.1
"""Shortest time over which delays are averaged; a longer delay makes a longer window."""
BUSY_DELAY_SECONDS = TARGET_DELAY_SECONDS / 2
"""Delay from which on this instance, or its Redis, counts as busy: below it a session that keeps
commands waiting has sent many at once, or waits for something else."""
BUSY_SESSIONS = 8
"""Sessions whose commands wait too long within a window: then they are no burst of one client. Each
executes one command at a time, so that many of them make a full instance with short delays."""
MAX_WAIT_SECONDS = 0.08
"""How long a command may wait to be admitted: bursts are served, and a refusal comes in 0.1 s."""
INITIAL_LIMIT, MIN_LIMIT = 64.0, 8.0
MAX_SHRINK = 0.5
"""A window leaves at least this share of the limit."""
MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 1.0, 30.0
"""Bounds of the time over which refused clients are spread."""


class Admission:
    """Counts the commands in progress, and decides which others are admitted.

    The delay is the sum of two averages: how long a command waits for a turn of the event loop, and
    how long Redis takes to answer an append. Neither contains what a command waits for on purpose
    (its rate, the durability of its append) or in the archive, so that a slow archive is not taken
    for overload.

    Attributes:
        limit: How many commands may be in progress.
        in_progress: Admitted commands that have not left.
    """

    def __init__(self) -> None:
        self.limit = INITIAL_LIMIT
        self.in_progress = 0
        self._waiting: deque[tuple[float, asyncio.Future[bool]]] = deque()
        self._timer: asyncio.Handle | None = None
        self._rings_at = 0.0  # uvloop's handle of a timer that is due at once has no time
        self._turns, self._appends = _Mean(), _Mean()
        self._delay = self._window_ends = 0.0
        self._admitted = self._refused = 0
        self._limit_was_reached = False
        self._late_sessions: set[str] = set()
        self._late_before = 0
        self._retry_seconds = MIN_RETRY_SECONDS

    def refuses(self, waited: float, session: str) -> bool:
        """Whether a command would only wait in vain.

        That is so if as many wait as may be in progress, or if the commands before it in its
        session, of which the oldest has `waited` so many seconds, take all the time it has. A
        session executes one command at a time, so that fewer sessions than the limit never reach
        it, whatever they send: then the delay says whether they wait because all are busy, or the
        number of sessions that wait as long.
        """
        if len(self._waiting) >= self.limit:
            return True
        if waited < MAX_WAIT_SECONDS:
            return False
        self._late_sessions.add(session)
        return (
            self.in_progress >= self.limit
            or self._delay >= BUSY_DELAY_SECONDS
            or max(self._late_before, len(self._late_sessions)) >= BUSY_SESSIONS
        )

    async def enter(self, waited: float = 0.0) -> bool:
        """Admit a command, which must `leave` later; return False if it is refused.

        It may wait for `MAX_WAIT_SECONDS` from its arrival on, of which `waited` seconds are over,
        in the order of these calls.
        """
        if self.in_progress < self.limit and not self._waiting:
            self._admit()
            return True
        self._limit_was_reached = True
        if waited >= MAX_WAIT_SECONDS or len(self._waiting) >= self.limit:
            return False
        loop = asyncio.get_running_loop()
        admitted: asyncio.Future[bool] = loop.create_future()
        due = loop.time() + MAX_WAIT_SECONDS - waited
        self._waiting.append((due, admitted))
        self._wake_at(due)
        try:
            return await admitted
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled() and admitted.result():
                self.leave()  # it was admitted in the same turn in which it was cancelled
            raise

    def leave(self) -> None:
        """End a command that was admitted, and admit those for which there is room."""
        self.in_progress -= 1
        while self._waiting and self.in_progress < self.limit:
            _, admitted = self._waiting.popleft()
            if not admitted.done():
                self._admit()
                admitted.set_result(True)

    def refuse(self) -> int:
        """Count a refusal; return the milliseconds after which the client may try again.

        They are drawn at random from a span that grows with the share of what is refused: clients
        that were refused together do not come back together, nor faster than they can be served.
        """
        self.note_refused(1)
        return int(random.uniform(0.5, 1.0 + self._retry_seconds) * 1000)

    def note_refused(self, count: int) -> None:
        """Count refusals whose clients know when to try again."""
        self._refused += count
        self._limit_was_reached = True
        metrics.REFUSED_BY_OVERLOAD.inc(count)

    def observe_turn(self, seconds: float, now: float) -> None:
        """Note how long a command waited for its turn of the event loop; `now` is loop time."""
        self._turns.add(seconds)
        self._adjust(now)

    def observe_append(self, seconds: float, now: float) -> None:
        """Note how long Redis took to answer an append; `now` is loop time."""
        self._appends.add(seconds)
        self._adjust(now)

    def _admit(self) -> None:
        self.in_progress += 1
        self._admitted += 1

    def _wake_at(self, due: float) -> None:
        """Set the timer, which serves all that wait, to this loop time unless it rings before."""
        if self._timer is not None:
            if self._rings_at <= due:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(due, self._refuse_late)
        self._rings_at = due

    def _refuse_late(self) -> None:
        """Refuse the commands that have waited too long."""
        now = asyncio.get_running_loop().time()
        self._timer = None
        for due, admitted in self._waiting:
            if due <= now and not admitted.done():
                admitted.set_result(False)
        self._waiting = deque(one for one in self._waiting if not one[1].done())
        if self._waiting:
            self._wake_at(min(due for due, _ in self._waiting))

    def _adjust(self, now: float) -> None:
        if now < self._window_ends:
            return
        delay = self._delay = self._turns.take() + self._appends.take()
        if delay > TARGET_DELAY_SECONDS:
            self.limit = max(MIN_LIMIT, self.limit * max(MAX_SHRINK, TARGET_DELAY_SECONDS / delay))
        elif self._limit_was_reached or self.limit < INITIAL_LIMIT:
            self.limit += sqrt(self.limit)
        if self._refused or self._retry_seconds > MIN_RETRY_SECONDS:
            refused_share = self._refused / max(1, self._admitted)
            self._retry_seconds = min(max(refused_share, MIN_RETRY_SECONDS), MAX_RETRY_SECONDS)
        self._admitted = self._refused = 0
        self._late_before = len(self._late_sessions)
        self._late_sessions.clear()
        self._limit_was_reached = False
        # What is measured next must already show the effect of the new limit.
        self._window_ends = now + max(WINDOW_SECONDS, delay)
        metrics.ADMISSION_LIMIT.set(self.limit)


class _Mean:
    """The mean of what was added since it was last taken."""

    __slots__ = ("_count", "_total")

    def __init__(self) -> None:
        self._total, self._count = 0.0, 0

    def add(self, value: float) -> None:
        self._total += value
        self._count += 1

    def take(self) -> float:
        mean = self._total / self._count if self._count else 0.0
        self._total, self._count = 0.0, 0
        return mean
