"""Notices lost words about memberships, by the version of a user's room index (D5)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from rts_server import keys
from rts_server.realtime.listener import Listener
from rts_server.runtime.backoff import backoff
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

YOUNG_SECONDS = 61.0
"""Time after which an index that was rebuilt must be rebuilt once more, and a little."""
MAX_CONCURRENT_COMPARISONS = 4
"""Users compared at once; after a loss of Redis all have to be."""


class LostMemberships:
    """Compares the rooms of a user whose index stands at another version than was heard.

    Each change of an index raises its version by one and is published with it, and the relay
    publishes the version when nothing follows. So a user is compared only if something was lost.
    """

    def __init__(
        self,
        listeners: Mapping[str, Collection[Listener]],
        rooms_changed: Callable[[str], Awaitable[str]],
        start_task: Callable[[Any], Any],
    ) -> None:
        """`listeners` is the live mapping of the subscriptions, by user id.

        `rooms_changed` compares a user's rooms with the subscriptions, and returns the version of
        the index that it read, as `keys.index_version` does.
        """
        self._listeners = listeners
        self._rooms_changed = rooms_changed
        self._start_task = start_task
        self._versions: dict[str, int] = {}
        self._published: dict[str, int] = {}
        self._requests: dict[str, int] = {}
        self._young: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._throttled_log = ThrottledLog(log)
        self._comparing = asyncio.Semaphore(MAX_CONCURRENT_COMPARISONS)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def began(self, user_id: str, version: str) -> None:
        """Note the version of the index that a session read. That of the first session counts.

        It may be older than what was published since; then the user is compared.
        """
        if user_id not in self._versions:
            self._note(user_id, version)

    def note_change(self, user_id: str, version: int) -> None:
        """Note a change that was published; one after a gap leaves the version behind."""
        if self._versions.get(user_id) == version - 1:
            self._versions[user_id] = version

    def compare_if_behind(self, user_id: str, version: int) -> None:
        """Compare the user unless everything up to this version was heard."""
        if self._versions.get(user_id) != version:
            self._published[user_id] = version
            self._request(user_id)

    def compare(self, user_id: str) -> None:
        """Compare a user, whatever was heard."""
        self._versions.pop(user_id, None)
        self._published.pop(user_id, None)
        self._request(user_id)

    def compare_all(self) -> None:
        """Compare all users: too much was missed."""
        for user_id in list(self._listeners):
            self.compare(user_id)

    def compare_lost(self, was_lost: Callable[[str], bool]) -> None:
        """Compare the users whose indexes Redis lost. `was_lost`: tells of a key."""
        for user_id in list(self._listeners):
            if was_lost(keys.user_rooms(user_id)):
                self.compare(user_id)

    def forget(self, user_id: str) -> None:
        """Forget a user without listeners."""
        for noted in (self._versions, self._published, self._young):
            noted.pop(user_id, None)

    def _request(self, user_id: str) -> None:
        is_running = user_id in self._requests
        self._requests[user_id] = self._requests.get(user_id, 0) + 1
        if not is_running:
            self._start_task(self._compare_until_done(user_id))

    async def _compare_until_done(self, user_id: str) -> None:
        """Compare when all sessions of the user are open; repeat until it is done."""
        failures = 0
        try:
            while listeners := self._listeners.get(user_id):
                for listener in list(listeners):
                    await listener.ready.wait()
                request = self._requests[user_id]
                known = self._versions.get(user_id)
                if known is not None and known == self._published.get(user_id):
                    return
                try:
                    async with self._comparing:
                        version = await self._rooms_changed(user_id)
                except Exception as error:
                    failures += 1
                    self._throttled_log.warning("rooms of a user cannot be compared yet", error)
                    await asyncio.sleep(backoff(failures))
                    continue
                self._note(user_id, version)
                if self._requests[user_id] == request:
                    return
        finally:
            del self._requests[user_id]

    def _note(self, user_id: str, version: str) -> None:
        if user_id not in self._listeners:
            return
        number, _, state = version.partition(" ")
        self._versions[user_id] = int(number)
        if state == "young":
            loop = asyncio.get_running_loop()
            self._young.setdefault(user_id, loop.time() + YOUNG_SECONDS)
            if self._timer is None:
                self._timer = loop.call_later(YOUNG_SECONDS, self._compare_young)

    def _compare_young(self) -> None:
        """Compare users whose index was rebuilt when records may have been in the queue."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._young:
            user_id, due = next(iter(self._young.items()))
            if due > loop.time():
                self._timer = loop.call_at(due, self._compare_young)
                return
            del self._young[user_id]
            self.compare(user_id)
