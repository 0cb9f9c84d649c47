"""The subscriptions of an instance: its own channels, and those of its users and their rooms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

import orjson
from redis.asyncio import Redis

from rts_server import keys
from rts_server.config import Settings
from rts_server.domain.changes import Changes
from rts_server.domain.position import Position
from rts_server.domain.standing import Standing
from rts_server.domain.unread import counts_in_totals
from rts_server.domain.user_message import UserMessage
from rts_server.engine.packets import event_packet
from rts_server.realtime.canary import CANARY_PREFIX, Canary
from rts_server.realtime.feed_context import FeedContext
from rts_server.realtime.listener import Listener
from rts_server.realtime.lost_memberships import LostMemberships
from rts_server.realtime.lost_publishes import LostPublishes
from rts_server.realtime.lost_rooms import LostRooms, Recovery
from rts_server.realtime.opening import COLD
from rts_server.realtime.replay import NOT_A_MEMBER, JoinReads, Replay, ReplayReader, rejoined
from rts_server.realtime.room_channels import RoomChannels
from rts_server.realtime.room_feed import ROOM_STATE, RoomFeed
from rts_server.realtime.sequence import parse
from rts_server.realtime.sharded_subscriber import ShardedSubscriber
from rts_server.realtime.subscriber import Subscriber
from rts_server.realtime.subscription_handlers import SubscriptionHandlers
from rts_server.realtime.unread_changed import UnreadChanges
from rts_server.redis_client.pipeline import CommandPipe, channels_of
from rts_server.redis_client.primary import Primary
from rts_server.redis_client.servers import RedisServers
from rts_server.runtime.tasks import Tasks
from rts_server.types.events import Event, RoomStateData


class Subscriptions:
    """The subscriptions of this instance: its own channels, and those of its users and rooms."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis | CommandPipe,
        reads: JoinReads,
        *,
        instance_id: str,
        handlers: SubscriptionHandlers,
        recovery: Recovery | None = None,
        servers: RedisServers | None = None,
    ) -> None:
        servers = servers or RedisServers(settings)
        self._settings = settings
        self._redis = redis
        self._reads = reads
        self._handlers = handlers
        self._channels = channels_of(redis)
        self._instance_channel = keys.instance_channel(instance_id)
        self._tasks = Tasks()
        self._rooms: dict[str, RoomFeed] = {}
        self._room_channels = RoomChannels(self._rooms, self._channels)
        self._users: dict[str, set[Listener]] = {}
        self._user_channels: dict[str, str] = {}
        self._leaving: dict[str, asyncio.Handle] = {}
        self._unread_changes = UnreadChanges(self._rooms, self._users, handlers.read_unread)
        self._feed_context = self._new_feed_context()
        self._replays = ReplayReader(
            reads,
            max_events=settings.limits.replay_events,
            max_bytes=settings.limits.answer_bytes,
        )
        self.lost_memberships = LostMemberships(
            self._users, handlers.rooms_changed, self._tasks.keep
        )
        self._lost_publishes = self._new_lost_publishes()
        self._lost_rooms = self._new_lost_rooms(recovery)
        self.subscriber: Subscriber | ShardedSubscriber
        self.canary: Canary | ShardedSubscriber
        if servers.topology is None:
            self.subscriber, self.canary = self._link_to_one(servers.primary)
        else:
            on = (self._on_message, self._resumed_in)
            self.subscriber = self.canary = ShardedSubscriber(
                settings, redis, servers.topology, *on, name=instance_id
            )

    def _new_feed_context(self) -> FeedContext:
        return FeedContext(
            self._reads,
            self._tasks.keep,
            self._evicted,
            self._handlers.on_left,
            self._settings.typing_interval,
            listeners_of=lambda user_id: self._users.get(user_id, ()),
            unread_changed=self._unread_changes.write_soon,
        )

    def _new_lost_publishes(self) -> LostPublishes:
        return LostPublishes(
            self._redis,
            self._rooms,
            self._handlers.changes_since,
            on_missed=self._missed,
            start_task=self._tasks.keep,
        )

    def _new_lost_rooms(self, recovery: Recovery | None) -> LostRooms:
        return LostRooms(
            self._rooms,
            recovery,
            self._tasks.keep,
            interval=self._settings.loss_check,
            compare=self._lost_publishes.compare,
            on_lost=self.lost_memberships.compare_lost,
        )

    def _link_to_one(self, primary: Primary) -> tuple[Subscriber, Canary]:
        url, rooms = self._settings.redis_url, self._room_channels
        subscriber = Subscriber(url, self._on_message, self._resumed, primary, owned=rooms)
        return subscriber, Canary(
            self._redis,
            subscriber,
            self._instance_channel,
            interval=self._settings.canary_interval,
            deaf_after=self._settings.deaf_after,
            primary=primary,
        )

    def start(self) -> None:
        """Subscribe to the own channels and start the checks."""
        self.subscriber.start()
        own = [self._instance_channel, keys.INSTANCES]
        self._tasks.keep(self.subscriber.subscribe(own))
        self._tasks.keep(self._lost_rooms.run_forever())
        if isinstance(self.canary, Canary):  # those of a cluster begin with their links
            self._tasks.keep(self.canary.run_forever())

    async def close(self) -> None:
        """Unsubscribe from everything and stop the checks."""
        await self.subscriber.close()
        for handle in self._leaving.values():
            handle.cancel()
        for room in self._rooms.values():
            room.close()
        self.lost_memberships.close()
        await self._unread_changes.close()
        await self._tasks.close()

    @property
    def deaf_after(self) -> float:
        """Seconds without the canary after which the instance is deaf."""
        return self._settings.deaf_after

    def not_ready(self) -> list[str]:
        """Return why the instance is not ready; Redis being away is no reason (R8)."""
        if not self.subscriber.ever_subscribed:
            return ["starting"]
        return self.canary.not_ready()

    # Listeners

    async def add_listener(self, listener: Listener) -> None:
        """Add a listener, and subscribe to the channel of its user."""
        self._users.setdefault(listener.user_id, set()).add(listener)
        channel = self._channels.user(listener.user_id)
        self._user_channels[channel] = listener.user_id
        await self.subscriber.subscribe([channel])

    def remove_listener(self, listener: Listener) -> None:
        """Remove a listener whose connection ended, in O(its rooms)."""
        listener.closed = True
        listener.ready.trigger()
        for room_id in list(listener.rooms):
            self.leave(listener, room_id)
        others = self._users.get(listener.user_id)
        if others is not None:
            others.discard(listener)
            if not others:
                del self._users[listener.user_id]
                self.lost_memberships.forget(listener.user_id)
                self._linger(self._channels.user(listener.user_id), self._unsubscribe_user)

    async def join(
        self,
        listener: Listener,
        room_ids: Sequence[str],
        cursors: dict[str, Position],
        max_bytes: int | None = None,
        *,
        whole: Collection[str] | None = None,
    ) -> dict[str, Replay]:
        """Subscribe a listener to rooms; return where each stream begins, by room id.

        The listener gets no event of a room before `go_live`; they are buffered until then. Until
        then a room may be joined again, at a newer position. `max_bytes` bounds the missed events
        of all rooms together (None: `answer_bytes`). `whole`: rooms of which a snapshot is needed,
        by default those without a cursor. Raises RedisError.
        """
        if whole is None:
            whole = set(room_ids) - cursors.keys()
        # Subscribe before reading: an event published between the two is then either in the
        # snapshot or in the buffer. In the other order it would be in neither (D4).
        fresh = [room_id for room_id in dict.fromkeys(room_ids) if room_id not in self._rooms]
        rooms = [self._subscribe(listener, room_id, cursors.get(room_id)) for room_id in room_ids]
        self.subscriber.request(map(self._channels.room, fresh))
        await self.subscriber.confirmed(map(self._channels.room, room_ids))
        known = {r: cursors.get(r) for r in room_ids if r not in whole}
        members = await self._reads.members(listener.user_id, known)
        others = [room_id for room_id in room_ids if room_id not in members]
        snapshots = await self._reads.read_many([(r, [listener.user_id]) for r in others])
        found = dict(zip(others, snapshots, strict=True))
        replays: dict[str, Replay] = {}
        for room in rooms:
            room_id = room.room_id
            if member := members.get(room_id):
                replays[room_id] = replay = rejoined(member)
                room.open_at(replay.start)
                continue
            snapshot = found[room_id]
            room.open_at(snapshot.position if snapshot else None)
            if snapshot is None:
                replays[room_id] = Replay(COLD, None, [])
            elif snapshot.members[listener.user_id] is None:
                replays[room_id] = NOT_A_MEMBER
                self.leave(listener, room_id)
            else:
                replays[room_id] = Replay(snapshot.position, None, [], snapshot)
        replays = await self._replays.read(listener.user_id, replays, cursors, max_bytes)
        for room_id, replay in replays.items():
            if replay.start is None and room_id in listener.rooms:
                self.leave(listener, room_id)
        return replays

    def unread_changed(self, listener: Listener, room_id: str) -> None:
        """Write `unread.changed` in a moment: the client cannot know the count by itself."""
        self._unread_changes.write_soon(listener, room_id)

    def receipts_joined(self, user_id: str) -> None:
        """Write what changed before a connection of the user joined `/receipts`."""
        self._unread_changes.receipts_joined(user_id)

    def listeners_of(self, user_id: str) -> list[Listener]:
        """Return the listeners of a user whose `session.ready` is written."""
        return [one for one in self._users.get(user_id, ()) if one.ready.is_set()]

    def go_live(
        self,
        listener: Listener,
        room_id: str,
        start: Position,
        standing: Standing | None = None,
        *,
        is_current: bool = True,
    ) -> None:
        """Begin the listener's live stream behind `start`; see `RoomFeed.go_live`.

        `standing`: what the listener's client is told of the room there. From here on its count is
        moved by what the listener receives.
        """
        if room := self._rooms.get(room_id):
            room.go_live(listener, start, standing, is_current=is_current)

    def leave(self, listener: Listener, room_id: str) -> None:
        """Unsubscribe the listener from a room; the instance keeps its subscription for a while."""
        room = self._rooms.get(room_id)
        if room is None:
            return
        room.leave(listener)
        if room.is_empty:
            self._linger(self._channels.room(room_id), self._unsubscribe_room)

    def _subscribe(self, listener: Listener, room_id: str, cursor: Position | None) -> RoomFeed:
        room = self._rooms.get(room_id)
        if room is None:
            room = self._rooms[room_id] = RoomFeed(room_id, self._feed_context)
        elif room.is_empty:
            self._stay(self._channels.room(room_id))
        room.join(listener, cursor)
        return room

    # Unsubscribing, after a while: users reconnect

    def _stay(self, channel: str) -> None:
        if handle := self._leaving.pop(channel, None):
            handle.cancel()

    def _linger(self, channel: str, drop: Callable[[str], None]) -> None:
        self._stay(channel)
        loop = asyncio.get_running_loop()
        self._leaving[channel] = loop.call_later(self._settings.linger, drop, channel)

    def _unsubscribe_room(self, channel: str) -> None:
        self._leaving.pop(channel, None)
        room = self._room_channels.room_of(channel)
        if room is not None and room.is_empty:
            del self._rooms[room.room_id]
            room.close()
            self.subscriber.release([channel])

    def _unsubscribe_user(self, channel: str) -> None:
        self._leaving.pop(channel, None)
        user_id = self._user_channels.get(channel)
        if user_id is not None and user_id not in self._users:
            del self._user_channels[channel]
            self.subscriber.unsubscribe([channel])

    # Messages

    def _on_message(self, channel: str, data: bytes) -> None:
        if room := self._room_channels.room_of(channel):
            room.on_publish(parse(data))
        elif channel == self._instance_channel:
            if data.startswith(CANARY_PREFIX) and isinstance(self.canary, Canary):
                self.canary.received(data)
            else:
                self._handlers.on_notices(data)
        elif channel == keys.INSTANCES:
            self._handlers.on_control(orjson.loads(data))
        elif user_id := self._user_channels.get(channel):
            self._on_user_message(user_id, orjson.loads(data))
        elif user_id := self._channels.presence_user_of(channel):
            self._handlers.on_presence(user_id, data)

    def _on_user_message(self, user_id: str, message: UserMessage) -> None:
        if message["kind"] == "event":
            packet = event_packet(message["namespace"], message["type"], message["text"])
            for listener in self._users.get(user_id, ()):
                listener.write_user_event(packet)
            if message["type"] == ROOM_STATE:  # of the release before, which publishes it here
                self._settings_changed(user_id, orjson.loads(message["text"]))
        elif message["kind"] == "room":
            self.lost_memberships.note_change(user_id, message["version"])
            for listener in list(self._users.get(user_id, ())):
                self._tasks.keep(self._room_changed(listener, message["room_id"], message["state"]))
        elif message["kind"] == "rooms" and user_id in self._users:
            self.lost_memberships.compare_if_behind(user_id, message["version"])

    def _settings_changed(self, user_id: str, event: Event[RoomStateData]) -> None:
        if room := self._rooms.get(event["room_id"]):
            state = event["data"]
            counts = counts_in_totals(muted=state["muted"], hidden=state["hidden"])
            room.settings_changed(user_id, in_totals=counts)

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
        if (room := self._rooms.get(room_id)) and room.is_empty:
            self._linger(self._channels.room(room_id), self._unsubscribe_room)
        self._tasks.keep(self._after_eviction(listener, room_id))

    async def _after_eviction(self, listener: Listener, room_id: str) -> None:
        """Tell the client that it was removed, unless the user was added again meanwhile.

        The message about the new membership may have come before the event of the removal.
        """
        await listener.ready.wait()
        async with listener.changing:
            if room_id not in listener.rooms:
                await self._handlers.room_removed(listener, room_id)
        self.lost_memberships.compare(listener.user_id)

    def _resumed(self) -> None:
        assert isinstance(self.canary, Canary)
        self._resumed_in(None, self.canary.heard_until)

    def _resumed_in(self, slots: Collection[int] | None, heard_until: float) -> None:
        """Repair what was missed since then. Redis may be another one, or have lost its data.

        `slots`: those in which it was, None for all.
        """
        self._lost_publishes.resumed(heard_until, slots)
        self._lost_rooms.check_soon()
        self._handlers.on_resumed()

    def _missed(self, changes: Changes | None) -> None:
        """Compare the users whose memberships changed during a break, None for all."""
        if changes is None:
            self.lost_memberships.compare_all()
        else:
            for user_id in changes.members.keys() & self._users.keys():
                self.lost_memberships.compare(user_id)
        self._handlers.on_missed(changes)
