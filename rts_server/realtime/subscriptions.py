"""The subscriptions of an instance: its own channels, and those of its users and their rooms."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from redis.asyncio import Redis

from rts_server import keys
from rts_server.config import Settings
from rts_server.engine.packets import event_packet
from rts_server.realtime.canary import CANARY_PAYLOAD, Canary
from rts_server.realtime.listener import Listener
from rts_server.realtime.lost_rooms import Losses, LostRooms
from rts_server.realtime.room_feed import COLD, Reads, RoomFeed, Subscription
from rts_server.realtime.sequence import Position, parse, position_of
from rts_server.realtime.subscriber import Subscriber
from rts_server.redis_client.primary import Primary
from rts_server.runtime.loops import repeat_forever
from rts_server.runtime.tasks import Tasks

log = logging.getLogger(__name__)

ROOMS_PER_CHECK = 200
"""Rooms or users that one pipeline to Redis compares."""

RoomChange = Callable[[Listener, str], Awaitable[None]]


@dataclass(frozen=True)
class Replay:
    """Where a listener's stream of a room begins: first the missed events, then live ones.

    Attributes:
        start: The position behind which live events begin; None if the user is not a member.
        recovered: Whether `events` are all events after the cursor; None without a cursor.
        events: Entries of the hot log after the cursor, up to `start`.
        standing: The snapshot of the room at `start`, so that what the client is shown of the room
            fits its stream; None if the room is cold.
    """

    start: Position | None
    recovered: bool | None
    events: list[bytes]
    standing: Any = None


async def _no_change(listener: Listener, room_id: str) -> None:
    """Nobody follows a user's rooms."""


async def _no_comparison(user_id: str) -> None:
    """Nobody follows a user's rooms."""


@dataclass(frozen=True, kw_only=True)
class SubscriptionHandlers:
    """What is called with messages that do not belong to a room.

    Attributes:
        on_notices: Durability notices for this instance.
        on_control: A message of the control channel.
        on_presence: A user id, and what was published on the channel of their presence.
        on_resumed: The link to Redis was down; publishes may have been missed.
        room_added: A listener's user became a member of a room.
        room_removed: A listener's user is no longer a member of a room.
        rooms_changed: Changes of a user's rooms may have been missed: compare them.
    """

    on_notices: Callable[[bytes], None] = lambda data: None
    on_control: Callable[[dict[str, str]], None] = lambda message: None
    on_presence: Callable[[str, bytes], None] = lambda user_id, data: None
    on_resumed: Callable[[], None] = lambda: None
    room_added: RoomChange = _no_change
    room_removed: RoomChange = _no_change
    rooms_changed: Callable[[str], Awaitable[None]] = _no_comparison


class Subscriptions:
    """The subscriptions of this instance: its own channels, and those of its users and rooms."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        reads: Reads,
        *,
        instance_id: str,
        handlers: SubscriptionHandlers,
        losses: Losses | None = None,
        primary: Primary | None = None,
    ) -> None:
        primary = primary or Primary()
        self._settings = settings
        self._redis = redis
        self._reads = reads
        self._handlers = handlers
        self._instance_channel = keys.instance_channel(instance_id)
        self._rooms: dict[str, RoomFeed] = {}
        self._users: dict[str, set[Listener]] = {}
        self._by_channel: dict[str, RoomFeed] = {}
        self._user_channels: dict[str, str] = {}
        self._tasks = Tasks()
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._versions: dict[str, str] = {}
        self.lost = LostRooms(self._rooms, losses, self._tasks.keep)
        self.subscriber = Subscriber(settings.redis_url, self._on_message, self._resumed, primary)
        self.canary = Canary(
            redis,
            self.subscriber,
            self._instance_channel,
            interval=settings.canary_interval,
            deaf_after=settings.deaf_after,
            primary=primary,
        )

    def start(self) -> None:
        """Subscribe to the own channels and start the checks."""
        self.subscriber.start()
        own = [self._instance_channel, keys.INSTANCES]
        self._tasks.keep(self.subscriber.subscribe(own))
        self._tasks.keep(repeat_forever("check of heads", self._check_later))
        self._tasks.keep(self.canary.run_forever())

    async def close(self) -> None:
        """Unsubscribe from everything and stop the checks."""
        await self.subscriber.close()
        for handle in self._leaving.values():
            handle.cancel()
        for room in self._rooms.values():
            room.close()
        await self._tasks.close()

    @property
    def deaf_after(self) -> float:
        """Seconds without the canary after which the instance is deaf."""
        return self._settings.deaf_after

    def not_ready(self) -> list[str]:
        """Return why the instance is not ready; Redis being away is no reason (R8)."""
        if not self.subscriber.heard_once:
            return ["starting"]
        return self.canary.not_ready()

    # Listeners

    async def add_listener(self, listener: Listener) -> None:
        """Add a listener, and subscribe to the channel of its user."""
        self._users.setdefault(listener.user_id, set()).add(listener)
        channel = keys.user_channel(listener.user_id)
        self._user_channels[channel] = listener.user_id
        await self.subscriber.subscribe([channel])

    def note_index_version(self, user_id: str, version: str) -> None:
        """Note the version of the user's room index that a session read.

        The first session's version counts: it may be older, and then the next check compares.
        """
        self._versions.setdefault(user_id, version)

    def remove_listener(self, listener: Listener) -> None:
        """Remove a listener whose connection ended, in O(its rooms)."""
        listener.closed = True
        listener.ready.set()
        for room_id in list(listener.rooms):
            self.leave(listener, room_id)
        others = self._users.get(listener.user_id)
        if others is not None:
            others.discard(listener)
            if not others:
                del self._users[listener.user_id]
                self._versions.pop(listener.user_id, None)
                self._linger(keys.user_channel(listener.user_id), self._unsubscribe_user)

    async def join(
        self, listener: Listener, room_ids: Sequence[str], cursors: dict[str, Position]
    ) -> dict[str, Replay]:
        """Subscribe a listener to rooms; return where each stream begins, by room id.

        The listener gets no event of a room before `go_live`; they are buffered until then.
        """
        # Subscribe before reading: an event published between the two is then either in the
        # snapshot or in the buffer. In the other order it would be in neither (D4).
        rooms = [self._subscribe(listener, room_id, cursors.get(room_id)) for room_id in room_ids]
        await self.subscriber.subscribe(keys.room_channel(room_id) for room_id in room_ids)
        standings = await self._reads.read_many([(r, [listener.user_id]) for r in room_ids])
        replays: dict[str, Replay] = {}
        for room, standing in zip(rooms, standings, strict=True):
            room.open_at(standing.position if standing else None)
            if standing is None:
                replays[room.room_id] = Replay(COLD, None, [])
            elif standing.members[listener.user_id] is None:
                replays[room.room_id] = Replay(None, None, [])
                self.leave(listener, room.room_id)
            else:
                replays[room.room_id] = Replay(standing.position, None, [], standing)
        return await self._with_missed(listener, replays, cursors)

    async def _with_missed(
        self, listener: Listener, replays: dict[str, Replay], cursors: dict[str, Position]
    ) -> dict[str, Replay]:
        """Add the events after the cursors, all of a room or none, within one byte budget (D4)."""
        limits = self._settings.limits
        asked = [
            r for r, replay in replays.items() if r in cursors and replay.start not in (None, COLD)
        ]
        if not asked:
            return replays
        questions = [(r, cursors[r], limits.replay_events) for r in asked]
        missed = await self._reads.events_since(questions, listener.user_id, limits.answer_bytes)
        budget = limits.answer_bytes
        for room_id, since in zip(asked, missed, strict=False):
            size = sum(len(event) for event in since.events or ())
            if not since.is_member:
                replays[room_id] = Replay(None, None, [])
                self.leave(listener, room_id)
            elif since.reaches_head and size <= budget:
                budget -= size
                events = _until(replays[room_id].start, since.events or [])
                replays[room_id] = replace(replays[room_id], recovered=True, events=events)
            else:
                replays[room_id] = replace(replays[room_id], recovered=False)
        for room_id in asked[len(missed) :]:
            replays[room_id] = replace(replays[room_id], recovered=False)
        return replays

    def listeners_of(self, user_id: str) -> list[Listener]:
        """Return the listeners of a user whose `session.ready` is written."""
        return [one for one in self._users.get(user_id, ()) if one.ready.is_set()]

    def go_live(
        self, listener: Listener, room_id: str, start: Position, *, is_current: bool = True
    ) -> None:
        """Begin the listener's live stream behind `start`; see `RoomFeed.go_live`."""
        if room := self._rooms.get(room_id):
            room.go_live(listener, start, is_current=is_current)

    def leave(self, listener: Listener, room_id: str) -> None:
        """Unsubscribe the listener from a room; the instance keeps its subscription for a while."""
        listener.rooms.discard(room_id)
        room = self._rooms.get(room_id)
        if room is None:
            return
        room.subscriptions.pop(listener, None)
        if not room.subscriptions:
            self._linger(keys.room_channel(room_id), self._unsubscribe_room)

    def _subscribe(self, listener: Listener, room_id: str, cursor: Position | None) -> RoomFeed:
        room = self._rooms.get(room_id)
        channel = keys.room_channel(room_id)
        if room is None:
            room = self._rooms[room_id] = RoomFeed(
                room_id,
                self._reads,
                self._tasks.keep,
                self._evicted,
                self._settings.typing_interval,
            )
            self._by_channel[channel] = room
        if handle := self._leaving.pop(channel, None):
            handle.cancel()
        room.subscriptions[listener] = Subscription(cursor=cursor)
        listener.rooms.add(room_id)
        return room

    # Unsubscribing, after a while: users reconnect

    def _linger(self, channel: str, drop: Callable[[str], None]) -> None:
        if handle := self._leaving.pop(channel, None):
            handle.cancel()
        loop = asyncio.get_running_loop()
        self._leaving[channel] = loop.call_later(self._settings.linger, drop, channel)

    def _unsubscribe_room(self, channel: str) -> None:
        self._leaving.pop(channel, None)
        room = self._by_channel.get(channel)
        if room is not None and not room.subscriptions:
            del self._by_channel[channel]
            del self._rooms[room.room_id]
            room.close()
            self.subscriber.unsubscribe([channel])

    def _unsubscribe_user(self, channel: str) -> None:
        self._leaving.pop(channel, None)
        user_id = self._user_channels.get(channel)
        if user_id is not None and user_id not in self._users:
            del self._user_channels[channel]
            self.subscriber.unsubscribe([channel])

    # Messages

    def _on_message(self, channel: str, data: bytes) -> None:
        if room := self._by_channel.get(channel):
            room.on_publish(parse(data))
        elif channel == self._instance_channel:
            self.canary.received() if data == CANARY_PAYLOAD else self._handlers.on_notices(data)
        elif channel == keys.INSTANCES:
            self._handlers.on_control(orjson.loads(data))
        elif user_id := self._user_channels.get(channel):
            self._on_user_message(user_id, orjson.loads(data))
        elif channel.startswith(keys.PRESENCE_CHANNELS):
            self._handlers.on_presence(channel.removeprefix(keys.PRESENCE_CHANNELS), data)

    def _on_user_message(self, user_id: str, message: dict[str, Any]) -> None:
        if message["kind"] == "event":
            packet = event_packet(message["namespace"], message["type"], message["text"])
            for listener in self.listeners_of(
                user_id
            ):  # sessions that are opening read it from Redis
                listener.write(packet)
        elif message["kind"] == "room":
            for listener in list(self._users.get(user_id, ())):
                self._tasks.keep(self._room_changed(listener, message["room_id"], message["state"]))

    async def _room_changed(self, listener: Listener, room_id: str, state: str) -> None:
        await listener.ready.wait()
        async with listener.changing:
            if listener.closed:
                return
            if state == "in" and room_id not in listener.rooms:
                await self._handlers.room_added(listener, room_id)
            elif state == "out" and room_id in listener.rooms:
                self.leave(listener, room_id)
                await self._handlers.room_removed(listener, room_id)

    def _evicted(self, listener: Listener, room_id: str) -> None:
        if (room := self._rooms.get(room_id)) and not room.subscriptions:
            self._linger(keys.room_channel(room_id), self._unsubscribe_room)
        self._tasks.keep(self._after_eviction(listener, room_id))

    async def _after_eviction(self, listener: Listener, room_id: str) -> None:
        """Tell the client that it was removed, unless the user was added again meanwhile.

        The message about the new membership may have come before the event of the removal.
        """
        await listener.ready.wait()
        async with listener.changing:
            if room_id not in listener.rooms:
                await self._handlers.room_removed(listener, room_id)
        await self._handlers.rooms_changed(listener.user_id)

    # Checks for lost publishes (D5)

    def _resumed(self) -> None:
        """Check all rooms and users: publishes were missed, and Redis may be another one."""
        self._versions = dict.fromkeys(self._users, "")
        self._tasks.keep(self._check())
        self._handlers.on_resumed()

    async def _check_later(self) -> None:
        await asyncio.sleep(self._settings.head_check)
        await self._check()

    async def _check(self) -> None:
        """Notice lost publishes: of rooms by their heads, of users by the version of their index.

        A Redis that lost its data is noticed by its generation.
        """
        for check in (self._check_heads, self.lost.check, self._check_users):
            try:
                await check()
            except Exception as error:
                log.warning("check failed, will be repeated", extra={"error": type(error).__name__})

    async def _check_users(self) -> None:
        users = list(self._users)
        for i in range(0, len(users), ROOMS_PER_CHECK):
            part = users[i : i + ROOMS_PER_CHECK]
            for user_id, version in zip(part, await self._user_versions(part), strict=True):
                if not self._all_ready(user_id):
                    continue  # a session that is opening must not delay the others
                if self._versions.get(user_id) != version:
                    await self._handlers.rooms_changed(user_id)
                    self._versions[user_id] = version

    def _all_ready(self, user_id: str) -> bool:
        return len(self.listeners_of(user_id)) == len(self._users.get(user_id, ()))

    async def _user_versions(self, user_ids: list[str]) -> list[str]:
        """Return what changes when a user's rooms change or must be read from the archive."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for user_id in user_ids:
                pipe.hmget(keys.user_rooms(user_id), "#ver", "#complete")
            answers = await pipe.execute()
        return [keys.index_version(version, mark) for version, mark in answers]

    async def _check_heads(self) -> None:
        """Repair rooms whose head in Redis is ahead of what was published to us."""
        rooms = list(self._rooms.values())
        for i in range(0, len(rooms), ROOMS_PER_CHECK):
            part = rooms[i : i + ROOMS_PER_CHECK]
            async with self._redis.pipeline(transaction=False) as pipe:
                for room in part:
                    pipe.hmget(keys.room(room.room_id).head, "epoch", "offset")
                heads = await pipe.execute()
            for room, (epoch, offset) in zip(part, heads, strict=True):
                if epoch is not None and (int(epoch), int(offset)) > (room.position or (0, 0)):
                    room.mark_lagging()


def _until(start: Position | None, events: list[bytes]) -> list[bytes]:
    """Drop the events after `start`: the live stream has them, and no event comes twice (D4)."""
    if start is None or not events or position_of(events[-1]) <= start:
        return events
    return [event for event in events if position_of(event) <= start]
