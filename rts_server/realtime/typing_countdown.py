"""The users who are typing in a room, as known to this instance; each expires by itself (E4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping


class TypingCountdown:
    """Calls `on_change` with the whole list when it changed, at most once in `interval` seconds.

    A name expires when its time is over, also when Redis or the instance of the user is gone.
    `on_end` is called once nobody is typing and the next change may be reported at once.
    """

    def __init__(
        self,
        on_change: Callable[[list[str]], None],
        interval: float,
        on_end: Callable[[], object] = lambda: None,
    ) -> None:
        self._on_change, self._interval, self._on_end = on_change, interval, on_end
        self._until: dict[str, float] = {}
        self._reported: list[str] = []
        self._next_report_at = 0.0
        self._timer: asyncio.Handle | None = None

    def update(self, left: Mapping[str, int]) -> None:
        """Take the whole list: user id → milliseconds left."""
        now = asyncio.get_running_loop().time()
        self._until = {user_id: now + ms / 1000 for user_id, ms in left.items()}
        self._check()

    def remove(self, user_ids: Iterable[str]) -> None:
        """Remove users who are no longer members."""
        for user_id in user_ids:
            self._until.pop(user_id, None)
        self._check()

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        """Report a change, or check again when it may be reported or the next name expires."""
        self.close()
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._until = {user: until for user, until in self._until.items() if until > now}
        typing = sorted(self._until)
        if typing != self._reported and now >= self._next_report_at:
            self._reported, self._next_report_at = typing, now + self._interval
            self._on_change(typing)
        due = list(self._until.values())
        if now < self._next_report_at and (typing != self._reported or not due):
            due.append(self._next_report_at)
        if due:
            self._timer = loop.call_at(min(due), self._check)
        else:
            self._on_end()
