"""Who watches whom on this instance, and what is told to them: differences only."""

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
from rts_server.presence.scripts import Presence
from rts_server.protocol.event import ephemeral
from rts_server.realtime.subscriber import Subscriber
from rts_server.runtime.loops import backoff, forever
from rts_server.runtime.tasks import Tasks
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

LEFT = b"-"
"""Published on a user's channel in the step that puts him out of a room."""
SLICE = 500
ASKING = 4
"""Watches that are looked into at once: all are, when the link was down."""

ShareRoom = Callable[[str, list[str]], Awaitable[set[str]]]


@dataclass(eq=False)
class PresenceWatch:
    """One socket's list. `write` answers False when it shed the packet.

    `doubtful`: he may share no room with them any more, nothing is told before that is known.
    `owed`: something about them was not told. `round` grows with every doubt.
    """

    user_id: str
    write: Callable[[Encoded], bool]
    targets: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    owed: set[str] = field(default_factory=set)
    round: int = 0
    ended: bool = False


class PresenceWatches:
    """Guarantee: a watcher hears every transition of whom he watches, or the state it led to within
    one check; nothing of anybody with whom he shares no room."""

    def __init__(
        self, subscriber: Subscriber, presences: PresenceStore, share_room: ShareRoom, every: float
    ) -> None:
        self._subscriber = subscriber
        self._presences = presences
        self._share_room = share_room
        self._every = every
        self._watchers: dict[str, set[PresenceWatch]] = {}
        self._told: dict[str, Presence] = {}
        self._own: dict[str, set[PresenceWatch]] = {}
        self._asking = asyncio.Semaphore(ASKING)
        self._throttled_log = ThrottledLog(log)
        self._tasks = Tasks()

    async def close(self) -> None:
        """Stop asking."""
        await self._tasks.close()

    # What sockets ask

    async def watch(self, watch: PresenceWatch, user_ids: list[str]) -> dict[str, Presence]:
        """Watch these and nobody else; how they are. Strangers are left out."""
        met = await self._share_room(watch.user_id, user_ids)
        if watch.ended:
            return {}
        self._replace(watch, met)
        if met:
            await self._subscriber.subscribe(map(keys.presence_channel, {*met, watch.user_id}))
            # Who left before that was told to nobody here; who leaves now may be dropped already.
            met = await self._share_room(watch.user_id, sorted(met)) & watch.targets
            self._replace(watch, met)
        for user_id, found in (await self._presences.read(met)).items():
            self._take(user_id, found)
        return {u: self._told[u] for u in user_ids if u in met and u in self._told}

    def end(self, watch: PresenceWatch) -> None:
        """The socket is gone."""
        watch.ended = True
        self._replace(watch, set())

    def _replace(self, watch: PresenceWatch, targets: set[str]) -> None:
        for user_id in watch.targets - targets:
            self._drop(watch, user_id)
        for user_id in targets - watch.targets:
            self._watchers.setdefault(user_id, set()).add(watch)
        watch.targets = set(targets)
        if targets:
            self._own.setdefault(watch.user_id, set()).add(watch)

    def _drop(self, watch: PresenceWatch, user_id: str) -> None:
        watch.targets.discard(user_id)
        watch.doubtful.discard(user_id)
        watch.owed.discard(user_id)
        watchers = self._watchers[user_id]
        watchers.discard(watch)
        if not watchers:
            del self._watchers[user_id]
            self._told.pop(user_id, None)
            self._hush(user_id)
        if not watch.targets and (own := self._own.get(watch.user_id)):
            own.discard(watch)
            if not own:
                del self._own[watch.user_id]
                self._hush(watch.user_id)

    def _hush(self, user_id: str) -> None:
        """A watcher hears his own channel too: it tells when he leaves a room."""
        if user_id not in self._watchers and user_id not in self._own:
            self._subscriber.unsubscribe([keys.presence_channel(user_id)])

    # What happens

    def heard(self, user_id: str, data: bytes) -> None:
        """A transition was published, or that the user left a room."""
        if data == LEFT:
            self._left(user_id)
            return
        told = orjson.loads(data)
        self._take(user_id, Presence(told["v"], told["state"], told["last"], told["text"]))

    def _take(self, user_id: str, found: Presence) -> None:
        """Keep what is newest, and tell what it changes."""
        watchers, known = self._watchers.get(user_id), self._told.get(user_id)
        if watchers is None or (known is not None and found.v < known.v):
            return
        self._told[user_id] = found
        if known is None or not found.tells(known):
            return
        packet = _packet(user_id, found)
        for watch in watchers:
            if user_id in watch.doubtful or not watch.write(packet):
                watch.owed.add(user_id)

    def _left(self, user_id: str) -> None:
        """His watches, and the watches of him, may have lost their last shared room."""
        for watch in self._watchers.get(user_id, ()):
            self._doubt(watch, {user_id})
        for watch in self._own.get(user_id, ()):
            self._doubt(watch, watch.targets)

    def resumed(self) -> None:
        """The link was down: transitions and removals may have been missed."""
        for own in list(self._own.values()):
            for watch in own:
                self._doubt(watch, watch.targets)
        self.check_soon()

    def _doubt(self, watch: PresenceWatch, user_ids: set[str]) -> None:
        doubtful = user_ids - {watch.user_id}
        if not doubtful:
            return
        begins = not watch.doubtful
        watch.doubtful |= doubtful
        watch.round += 1
        if begins:
            self._tasks.keep(self._resolve(watch))

    async def _resolve(self, watch: PresenceWatch) -> None:
        """Ask until it is known with whom the watcher still shares a room."""
        failures = 0
        while watch.doubtful and not watch.ended:
            asked, round_ = sorted(watch.doubtful), watch.round
            try:
                async with self._asking:
                    met = await self._share_room(watch.user_id, asked)
            except Exception as error:  # nothing is told before it is known, so it must become so
                failures += 1
                self._throttled_log.warning("watches wait", error)
                await asyncio.sleep(backoff(failures))
                continue
            if round_ != watch.round:
                continue
            for user_id in watch.doubtful - met:
                self._drop(watch, user_id)
            watch.doubtful.clear()
            self._pay(watch)

    def _pay(self, watch: PresenceWatch) -> None:
        """What was not told is told as it is now."""
        for user_id in watch.owed - watch.doubtful:
            if watch.write(_packet(user_id, self._told[user_id])):
                watch.owed.discard(user_id)

    # What is missed

    async def run(self) -> None:
        """Compare with Redis again and again, until cancelled: publishes may have been lost."""
        await forever("check of watches", self.check, partial(asyncio.sleep, self._every))

    def check_soon(self, seconds: float = 0.0) -> None:
        """Compare once, in a while."""
        self._tasks.keep(self._check_after(seconds))

    async def _check_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        try:
            await self.check()
        except Exception as error:
            self._throttled_log.warning("watches are not checked", error)

    async def check(self) -> None:
        """Everybody watched is read again; who is missing just after a loss may still come back."""
        users = list(self._told)
        for i in range(0, len(users), SLICE):
            found = await self._presences.known(users[i : i + SLICE])
            for user_id, one in found.items():
                if one is not None:
                    self._take(user_id, one)
        for own in list(self._own.values()):
            for watch in own:
                self._pay(watch)


def _packet(user_id: str, presence: Presence) -> Encoded:
    text = ephemeral("presence.changed", presence.shown(user_id))
    return event_packet("/presence", "presence.changed", text)
