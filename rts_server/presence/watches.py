"""Presence watches: sessions of this instance that receive the presence changes of users."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import orjson

from rts_server import keys
from rts_server.engine.packets import Encoded, event_packet
from rts_server.presence.presences import PresenceStore
from rts_server.presence.scripts import PresenceState
from rts_server.protocol.event import ephemeral
from rts_server.realtime.subscriber import Subscriber
from rts_server.runtime.backoff import backoff
from rts_server.runtime.loops import repeat_forever
from rts_server.runtime.tasks import Tasks
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

REMOVED_FROM_ROOM = b"-"
"""Published on a user's channel by the script that removes them from a room."""
USERS_PER_READ = 500
USERS_PER_CHECK = 50
"""Watched users that one check reads, in turn. After a break and after a loss all are read."""
MAX_CONCURRENT_CHECKS = 4
"""Watches that are checked at once; after a break of the connection all have to be."""

ShareRoom = Callable[[str, list[str]], Awaitable[set[str]]]


@dataclass(eq=False)
class SessionWatch:
    """The users whom one session watches.

    Attributes:
        write: Writes a packet; returns False if it was dropped because the reader is slow.
        unconfirmed: Watched users with whom the watcher may share no room any more. Nothing about
            them is written until that is known (A2).
        undelivered: Watched users of whom a change could not be written yet.
        unconfirmed_version: Grows whenever more users become unconfirmed.
    """

    user_id: str
    write: Callable[[Encoded], bool]
    targets: set[str] = field(default_factory=set)
    unconfirmed: set[str] = field(default_factory=set)
    undelivered: set[str] = field(default_factory=set)
    unconfirmed_version: int = 0
    ended: bool = False


class PresenceWatches:
    """Writes every change of a watched user, or the state it led to within one check (E3).

    Nothing is written about users with whom the watcher shares no room (A1).
    """

    def __init__(
        self, subscriber: Subscriber, presences: PresenceStore, share_room: ShareRoom, every: float
    ) -> None:
        self._subscriber = subscriber
        self._presences = presences
        self._share_room = share_room
        self._every = every
        self._watchers: dict[str, set[SessionWatch]] = {}
        self._known: dict[str, PresenceState] = {}
        self._by_watcher: dict[str, set[SessionWatch]] = {}
        self._checking = asyncio.Semaphore(MAX_CONCURRENT_CHECKS)
        self._throttled_log = ThrottledLog(log)
        self._tasks = Tasks()
        self._in_turn: list[str] = []

    async def close(self) -> None:
        """Cancel all checks."""
        await self._tasks.close()

    # Commands

    async def watch(self, watch: SessionWatch, user_ids: list[str]) -> dict[str, PresenceState]:
        """Replace the watched users; return their presence, without users of no shared room."""
        visible = await self._share_room(watch.user_id, user_ids)
        if watch.ended:
            return {}
        self._replace(watch, visible)
        if visible:
            await self._subscriber.subscribe(map(keys.presence_channel, {*visible, watch.user_id}))
            # Check again after subscribing: a removal between the first check and the subscription
            # was published to nobody here. One after it may have dropped the target already.
            visible = await self._share_room(watch.user_id, sorted(visible)) & watch.targets
            self._replace(watch, visible)
        for user_id, found in (await self._presences.read(visible)).items():
            self._update(user_id, found)
        return {u: self._known[u] for u in user_ids if u in visible and u in self._known}

    def end(self, watch: SessionWatch) -> None:
        """End a watch whose session ended."""
        watch.ended = True
        self._replace(watch, set())

    def _replace(self, watch: SessionWatch, targets: set[str]) -> None:
        for user_id in watch.targets - targets:
            self._drop(watch, user_id)
        for user_id in targets - watch.targets:
            self._watchers.setdefault(user_id, set()).add(watch)
        watch.targets = set(targets)
        if targets:
            self._by_watcher.setdefault(watch.user_id, set()).add(watch)

    def _drop(self, watch: SessionWatch, user_id: str) -> None:
        watch.targets.discard(user_id)
        watch.unconfirmed.discard(user_id)
        watch.undelivered.discard(user_id)
        watchers = self._watchers[user_id]
        watchers.discard(watch)
        if not watchers:
            del self._watchers[user_id]
            self._known.pop(user_id, None)
            self._unsubscribe(user_id)
        if not watch.targets and (own := self._by_watcher.get(watch.user_id)):
            own.discard(watch)
            if not own:
                del self._by_watcher[watch.user_id]
                self._unsubscribe(watch.user_id)

    def _unsubscribe(self, user_id: str) -> None:
        """Unsubscribe unless needed; a watcher's own channel carries their removals."""
        if user_id not in self._watchers and user_id not in self._by_watcher:
            self._subscriber.unsubscribe([keys.presence_channel(user_id)])

    # Published changes

    def on_publish(self, user_id: str, data: bytes) -> None:
        """Handle a publish about a user: a new presence, or that they left a room."""
        if data == REMOVED_FROM_ROOM:
            self._left_room(user_id)
            return
        fields = orjson.loads(data)
        self._update(
            user_id, PresenceState(fields["v"], fields["state"], fields["last"], fields["text"])
        )

    def _update(self, user_id: str, found: PresenceState) -> None:
        """Keep the newest presence of a user, and write a change to the watchers."""
        watchers, known = self._watchers.get(user_id), self._known.get(user_id)
        if watchers is None or (known is not None and found.v < known.v):
            return
        self._known[user_id] = found
        if known is None or not found.differs_from(known):
            return
        packet = _packet(user_id, found)
        for watch in watchers:
            if user_id in watch.unconfirmed or not watch.write(packet):
                watch.undelivered.add(user_id)

    def _left_room(self, user_id: str) -> None:
        """Recheck the user's own watches and those of others: the last shared room may be gone."""
        for watch in self._watchers.get(user_id, ()):
            self._recheck(watch, {user_id})
        for watch in self._by_watcher.get(user_id, ()):
            self._recheck(watch, watch.targets)

    def on_resumed(self) -> None:
        """Check everything: changes and removals may have been missed."""
        for own in list(self._by_watcher.values()):
            for watch in own:
                self._recheck(watch, watch.targets)
        self.check_soon()

    def _recheck(self, watch: SessionWatch, user_ids: set[str]) -> None:
        unconfirmed = user_ids - {watch.user_id}
        if not unconfirmed:
            return
        begins = not watch.unconfirmed
        watch.unconfirmed |= unconfirmed
        watch.unconfirmed_version += 1
        if begins:
            self._tasks.keep(self._resolve(watch))

    async def _resolve(self, watch: SessionWatch) -> None:
        """Find out with whom the watcher still shares a room; repeat until it is known."""
        failures = 0
        while watch.unconfirmed and not watch.ended:
            user_ids, unconfirmed_version = sorted(watch.unconfirmed), watch.unconfirmed_version
            try:
                async with self._checking:
                    visible = await self._share_room(watch.user_id, user_ids)
            except Exception as error:  # nothing is written before it is known, so never give up
                failures += 1
                self._throttled_log.warning("watches cannot be checked yet", error)
                await asyncio.sleep(backoff(failures))
                continue
            if unconfirmed_version != watch.unconfirmed_version:
                continue
            for user_id in watch.unconfirmed - visible:
                self._drop(watch, user_id)
            watch.unconfirmed.clear()
            self._deliver_undelivered(watch)

    def _deliver_undelivered(self, watch: SessionWatch) -> None:
        """Write the current presence of users whose changes could not be written."""
        for user_id in watch.undelivered - watch.unconfirmed:
            if watch.write(_packet(user_id, self._known[user_id])):
                watch.undelivered.discard(user_id)

    # Checks for lost publishes

    async def run_forever(self) -> None:
        """Compare with Redis regularly, until cancelled: publishes may have been lost."""
        pause = partial(asyncio.sleep, self._every)
        await repeat_forever("check of watches", self._check_in_turn, pause)

    async def _check_in_turn(self) -> None:
        if not self._in_turn:
            self._in_turn = list(self._known)
        users, self._in_turn = self._in_turn[:USERS_PER_CHECK], self._in_turn[USERS_PER_CHECK:]
        await self._read_again(users)

    def check_soon(self, seconds: float = 0.0) -> None:
        """Compare once, after some seconds."""
        self._tasks.keep(self._check_after(seconds))

    async def _check_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        try:
            await self.check()
        except Exception as error:
            self._throttled_log.warning("watches cannot be checked", error)

    async def check(self) -> None:
        """Read all watched users again; those missing just after a loss may still come back."""
        await self._read_again(list(self._known))

    async def _read_again(self, users: list[str]) -> None:
        for i in range(0, len(users), USERS_PER_READ):
            found = await self._presences.read_known(users[i : i + USERS_PER_READ])
            for user_id, one in found.items():
                if one is not None:
                    self._update(user_id, one)
        for own in list(self._by_watcher.values()):
            for watch in own:
                self._deliver_undelivered(watch)


def _packet(user_id: str, presence: PresenceState) -> Encoded:
    text = ephemeral("presence.changed", presence.shown(user_id))
    return event_packet("/presence", "presence.changed", text)
