"""Who is typing in a room, as this instance knows it: every name ends by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping


class TypingCountdown:
    """Guarantee: `tell` gets the whole list when it changed, at most once in `every` seconds; a
    name is gone when its time is over, also when Redis and the typist's instance are.
    """

    def __init__(self, tell: Callable[[list[str]], None], every: float) -> None:
        self._tell, self._every = tell, every
        self._until: dict[str, float] = {}
        self._told: list[str] = []
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def heard(self, left: Mapping[str, int]) -> None:
        """The whole list, with the ms that each has left."""
        now = asyncio.get_running_loop().time()
        self._until = {user_id: now + ms / 1000 for user_id, ms in left.items()}
        self._look()

    def gone(self, user_ids: Iterable[str]) -> None:
        """No members any more."""
        for user_id in user_ids:
            self._until.pop(user_id, None)
        self._look()

    def close(self) -> None:
        """Nobody listens any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """Tell what changed, or come back when it may be told or the next name ends."""
        self.close()
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._until = {user: until for user, until in self._until.items() if until > now}
        typing = sorted(self._until)
        due = list(self._until.values())
        if typing != self._told:
            if now >= self._next:
                self._told, self._next = typing, now + self._every
                self._tell(typing)
            else:
                due.append(self._next)
        if due:
            self._timer = loop.call_at(min(due), self._look)
