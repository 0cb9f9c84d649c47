"""Presence watches: sessions of this instance that receive the presence changes of users."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import orjson

from rts_server.domain.changes import Changes
from rts_server.engine.packets import Encoded, event_packet
from rts_server.persistence.user_rooms import LEFT_A_ROOM
from rts_server.presence.presences import UserPresences
from rts_server.presence.scripts import UNKNOWN, PresenceState
from rts_server.protocol.event import ephemeral
from rts_server.realtime.sharded_subscriber import ShardedSubscriber
from rts_server.realtime.subscriber import Subscriber
from rts_server.runtime.backoff import backoff
from rts_server.runtime.tasks import Tasks
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

USERS_PER_READ = 500
MAX_CONCURRENT_CHECKS = 4
"""Watches that are checked at once; after a break of the connection many may have to be."""
SLOW_READER_SECONDS = 5.0
"""Time after which a change is written again that a slow reader had no space for."""

ShareRoom = Callable[[str, list[str]], Awaitable[set[str]]]


@dataclass(eq=False)
class SessionWatch:
    """The users whom one session watches.

    Attributes:
        write: Writes a packet; returns False if it was dropped because the reader is slow.
        added: Watched users whose command is being executed: their presence will be its answer.
        unconfirmed: Watched users with whom the watcher may share no room any more. Nothing about
            them is written until that is known (A2).
        undelivered: Watched users of whom a change could not be written yet.
        unconfirmed_version: Grows whenever more users become unconfirmed.
    """

    user_id: str
    write: Callable[[Encoded], bool]
    targets: set[str] = field(default_factory=set)
    added: set[str] = field(default_factory=set)
    unconfirmed: set[str] = field(default_factory=set)
    undelivered: set[str] = field(default_factory=set)
    unconfirmed_version: int = 0
    ended: bool = False


class PresenceWatches:
    """Writes every change of a watched user, or the state it led to (E3).

    Nothing is written about users with whom the watcher shares no room (A1). Nothing is read
    regularly: after a break it is what changed meanwhile, and each change is published again with
    the next sweep.
    """

    def __init__(
        self,
        subscriber: Subscriber | ShardedSubscriber,
        presences: UserPresences,
        share_room: ShareRoom,
    ) -> None:
        self._subscriber = subscriber
        self._presences = presences
        self._share_room = share_room
        self._watchers: dict[str, set[SessionWatch]] = {}
        self._known: dict[str, PresenceState] = {}
        self._by_watcher: dict[str, set[SessionWatch]] = {}
        self._checking = asyncio.Semaphore(MAX_CONCURRENT_CHECKS)
        self._throttled_log = ThrottledLog(log)
        self._tasks = Tasks()
        self._slow: dict[SessionWatch, None] = {}
        self._is_resuming = False

    async def close(self) -> None:
        """Cancel all checks."""
        await self._tasks.close()

    # Commands

    async def watch(self, watch: SessionWatch, user_ids: list[str]) -> dict[str, PresenceState]:
        """Replace the watched users; return their presence, without users of no shared room.

        Users who are watched already are not compared again: removals end their watches.
        """
        if watch.ended:
            return {}
        requested = set(user_ids)
        added = requested - watch.targets
        self._add(watch, added)
        try:
            # Subscribe before comparing: a removal is in the index, or is published to us.
            if added:
                names = self._subscriber.channels.presence
                channels = map(names, {*added, watch.user_id})
                await self._subscriber.subscribe(channels)
            shared = await self._shared(watch, added | requested & watch.unconfirmed)
            visible = requested & watch.targets & (shared | (requested - added - watch.unconfirmed))
            read = await self._presences.read_known(visible)
        except BaseException:
            self._drop_all(watch, added)
            raise
        self._drop_all(watch, watch.targets - requested | added - visible)
        for user_id in visible:
            self._update(user_id, read.get(user_id) or UNKNOWN)
        watch.added -= added
        if unread := visible - read.keys():
            self._tasks.keep(self._until_done(lambda: self._read_again(unread)))
        shown = visible & watch.targets
        return {u: self._known[u] for u in user_ids if u in shown and u in self._known}

    async def _shared(self, watch: SessionWatch, user_ids: set[str]) -> set[str]:
        """Return with whom of some users the watcher shares a room.

        An answer from before a removal counts for nothing, so it is asked again.
        """
        while user_ids:
            version = watch.unconfirmed_version
            found = await self._share_room(watch.user_id, sorted(user_ids))
            if version == watch.unconfirmed_version:
                return found
        return set()

    def end(self, watch: SessionWatch) -> None:
        """End a watch whose session ended."""
        watch.ended = True
        self._drop_all(watch, set(watch.targets))
        self._slow.pop(watch, None)

    def _add(self, watch: SessionWatch, user_ids: set[str]) -> None:
        for user_id in user_ids:
            self._watchers.setdefault(user_id, set()).add(watch)
        watch.targets |= user_ids
        watch.added |= user_ids
        if watch.targets:
            self._by_watcher.setdefault(watch.user_id, set()).add(watch)

    def _drop_all(self, watch: SessionWatch, user_ids: set[str]) -> None:
        for user_id in user_ids & watch.targets:
            self._drop(watch, user_id)

    def _drop(self, watch: SessionWatch, user_id: str) -> None:
        for users in (watch.targets, watch.added, watch.unconfirmed, watch.undelivered):
            users.discard(user_id)
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
            self._subscriber.unsubscribe([self._subscriber.channels.presence(user_id)])

    # Published changes

    def on_publish(self, user_id: str, data: bytes) -> None:
        """Handle a publish about a user: a new presence, or that they left a room."""
        if data == LEFT_A_ROOM:
            self.left_a_room([user_id])
            return
        fields = orjson.loads(data)
        self._update(
            user_id, PresenceState(fields["v"], fields["state"], fields["last"], fields["text"])
        )

    def _update(self, user_id: str, found: PresenceState) -> None:
        """Keep the newest presence of a user, and write a change to the watchers.

        While it is not known which removals were missed in a break, nothing is written (A2).
        """
        watchers, known = self._watchers.get(user_id), self._known.get(user_id)
        if watchers is None or (known is not None and found.v < known.v):
            return
        self._known[user_id] = found
        if known is None or not found.differs_from(known):
            return
        packet = _packet(user_id, found)
        is_whole = self._subscriber.is_whole and not self._is_resuming
        for watch in watchers:
            if user_id in watch.added:
                continue
            if not is_whole or user_id in watch.unconfirmed:
                watch.undelivered.add(user_id)
            elif not watch.write(packet):
                self._write_later(watch, user_id)

    def left_a_room(self, user_ids: Iterable[str]) -> None:
        """Recheck users' own watches and those of others: the last shared room may be gone."""
        for user_id in user_ids:
            for watch in self._watchers.get(user_id, ()):
                self._recheck(watch, {user_id})
            for watch in self._by_watcher.get(user_id, ()):
                self._recheck(watch, watch.targets)

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
            self._write_undelivered(watch)

    def _write_undelivered(self, watch: SessionWatch) -> None:
        """Write the current presence of users whose changes could not be written."""
        for user_id in watch.undelivered - watch.unconfirmed:
            if not watch.write(_packet(user_id, self._known[user_id])):
                self._write_later(watch, user_id)
                return
            watch.undelivered.discard(user_id)

    def _write_later(self, watch: SessionWatch, user_id: str) -> None:
        """Write to a slow reader after a while."""
        watch.undelivered.add(user_id)
        self._slow[watch] = None
        if len(self._slow) == 1:
            self._tasks.keep(self._write_to_slow_readers())

    async def _write_to_slow_readers(self) -> None:
        await asyncio.sleep(SLOW_READER_SECONDS)
        slow, self._slow = self._slow, {}
        for watch in slow:
            self._write_undelivered(watch)

    # After a break of the link, and after a loss of Redis

    def on_resumed(self) -> None:
        """Write nothing until it is known what was missed (`on_missed`)."""
        self._is_resuming = True

    def on_missed(self, changes: Changes | None) -> None:
        """Check what changed while the link was down, None for everything."""
        self._is_resuming = False
        if changes is None:
            for own in list(self._by_watcher.values()):
                for watch in own:
                    self._recheck(watch, watch.targets)
            self.check_soon()
        else:
            self.left_a_room(changes.members)
            self._tasks.keep(self._until_done(lambda: self._check_recent(changes.seconds)))
        for own in list(self._by_watcher.values()):
            for watch in own:
                self._write_undelivered(watch)

    def check_soon(
        self, seconds: float = 0.0, concerns: Callable[[str], bool] = lambda user_id: True
    ) -> None:
        """Read watched users again, after some seconds: those whom it concerns."""
        self._tasks.keep(self._until_done(lambda: self.check(concerns), seconds))

    async def check(self, concerns: Callable[[str], bool] = lambda user_id: True) -> None:
        """Read watched users again; those missing just after a loss may still come back."""
        await self._read_again([user_id for user_id in self._known if concerns(user_id)])

    async def _check_recent(self, seconds: float) -> None:
        """Read the watched users whose presence changed in the last seconds."""
        recent = await self._presences.recent(seconds)
        await self._read_again(self._known.keys() & recent if recent is not None else self._known)

    async def _until_done(self, work: Callable[[], Awaitable[None]], seconds: float = 0.0) -> None:
        """Do it after some seconds, and again until it succeeds: nothing else would notice."""
        await asyncio.sleep(seconds)
        failures = 0
        while True:
            try:
                return await work()
            except Exception as error:
                failures += 1
                self._throttled_log.warning("watched users cannot be read yet", error)
                await asyncio.sleep(backoff(failures))

    async def _read_again(self, user_ids: Iterable[str]) -> None:
        """Read users again, and those of whom nothing can be known now until it can."""
        users, failures = list(user_ids), 0
        while users:
            unread: list[str] = []
            for i in range(0, len(users), USERS_PER_READ):
                part = users[i : i + USERS_PER_READ]
                found = await self._presences.read_known(part)
                for user_id, one in found.items():
                    if one is not None:
                        self._update(user_id, one)
                unread += (one for one in part if one not in found and one in self._watchers)
            if unread:
                failures += 1
                await asyncio.sleep(backoff(failures))
            users = unread


def _packet(user_id: str, presence: PresenceState) -> Encoded:
    text = ephemeral("presence.changed", presence.shown(user_id))
    return event_packet("/presence", "presence.changed", text)
