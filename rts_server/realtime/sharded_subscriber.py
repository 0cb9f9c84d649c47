"""The subscribing connections of an instance to a cluster: one to each primary."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count

from redis.asyncio import Redis
from redis.exceptions import MovedError

from rts_server.channels import CLUSTER
from rts_server.config import Settings
from rts_server.realtime.canary import CANARY_PREFIX, Canary
from rts_server.realtime.subscriber import OnMessage, Subscriber
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.redis_client.slots import slot_of
from rts_server.redis_client.topology import Address, Topology
from rts_server.runtime.tasks import Tasks, cancelled

OnShardsResumed = Callable[[frozenset[int], float], None]
"""Called with the slots in whose channels something may have been missed, and since when: a loop
time, minus infinity if that is not known."""


@dataclass(frozen=True)
class Shard:
    """What an instance has of one primary: a link, with a canary of its own, and some slots."""

    subscriber: Subscriber
    canary: Canary
    canary_task: asyncio.Task[None]
    slots: set[int]


class _Names(Collection[str]):
    """A live view of the channels in some slots."""

    def __init__(self, by_slot: Mapping[int, Collection[str]], slots: Collection[int]) -> None:
        self._by_slot, self._slots = by_slot, slots

    def __len__(self) -> int:
        return sum(len(self._by_slot[slot]) for slot in self._slots)

    def __iter__(self) -> Iterator[str]:
        for slot in self._slots:
            yield from self._by_slot[slot]

    def __contains__(self, channel: object) -> bool:
        slot = slot_of(str(channel))
        return slot in self._slots and channel in self._by_slot[slot]


class ShardedSubscriber:
    """Passes messages of channels on, each from the primary of its slot, in the order there.

    A slot that moves, or whose primary is replaced, is subscribed to where it is then. After that,
    and after a break of a link, `on_resumed` is called with the slots: what was published there in
    between was missed. Nothing of the other slots is.

    Each primary has a canary, also where the instance has no channel. Unlike on one server, the
    names of the channels are kept here.
    """

    channels = CLUSTER

    def __init__(
        self,
        settings: Settings,
        redis: Redis | CommandPipe,
        topology: Topology,
        on_message: OnMessage,
        on_resumed: OnShardsResumed,
        *,
        name: str,
    ) -> None:
        """`name`: of this process, for the channels of its canaries."""
        self._settings, self._redis, self._topology = settings, redis, topology
        self._on_message, self._on_resumed = on_message, on_resumed
        self._name = name
        self._names: dict[int, set[str]] = {}
        self._at: dict[int, Address] = {}
        self._shards: dict[Address, Shard] = {}
        self._refused: set[int] = set()
        self._down: set[Address] = set()
        self._missed: dict[int, float] = {}
        self._placed: list[asyncio.Future[None]] = []
        self._closing: list[Shard] = []
        self._tasks = Tasks()

    @property
    def shards(self) -> Mapping[Address, Shard]:
        """By the address of the primary."""
        return self._shards

    @property
    def ever_subscribed(self) -> bool:
        """Whether a subscription was ever confirmed."""
        return any(shard.subscriber.ever_subscribed for shard in self._shards.values())

    @property
    def is_whole(self) -> bool:
        """Whether nothing that was published since the last break can have been missed."""
        links = [shard.subscriber for shard in self._shards.values()]
        return bool(links) and not self._missed and all(one.is_whole for one in links)

    @property
    def answered(self) -> bool:
        """Whether all primaries answered the last time: if not, that loops fail says nothing."""
        return all(shard.canary.answered for shard in self._shards.values())

    def not_ready(self) -> list[str]:
        """Return why the instance is not ready: to which primaries it is deaf."""
        return [why for shard in self._shards.values() for why in shard.canary.not_ready()]

    def start(self) -> None:
        """Connect to all primaries, and listen until closed."""
        self._topology.on_read.append(self._follow)
        if self._topology.is_known:
            self._follow()
        self._topology.refresh_soon()

    async def close(self) -> None:
        """Stop listening."""
        if self._follow in self._topology.on_read:
            self._topology.on_read.remove(self._follow)
        await self._tasks.close()
        self._at.clear()  # who gives up a channel later finds no link
        shards, self._shards = [*self._shards.values(), *self._closing], {}
        await asyncio.gather(*map(self._close_shard, shards))

    async def subscribe(self, channels: Iterable[str]) -> None:
        """Return once Redis confirmed all of the channels; wait for primaries that are away."""
        names = list(channels)
        self.request(names)
        await self.confirmed(names)

    def request(self, channels: Iterable[str]) -> None:
        """Begin to subscribe to channels. Never blocks."""
        fresh: dict[Address, list[str]] = {}
        for channel in channels:
            slot = slot_of(channel)
            known = self._names.setdefault(slot, set())
            if channel in known:
                continue
            known.add(channel)
            here = self._place(slot)
            if here is not None:
                fresh.setdefault(here, []).append(channel)
        for address, names in fresh.items():
            self._shards[address].subscriber.request(names)

    def unsubscribe(self, channels: Iterable[str]) -> None:
        """Unsubscribe from channels. Never blocks; a later `subscribe` is sent after it."""
        gone: dict[Address, list[str]] = {}
        for channel in channels:
            slot = slot_of(channel)
            known = self._names.get(slot)
            if known is None or channel not in known:
                continue
            known.discard(channel)
            here = self._at.get(slot)
            if here is not None:
                gone.setdefault(here, []).append(channel)
            if not known:
                self._forget(slot)
        for address, names in gone.items():
            self._shards[address].subscriber.release(names)

    release = unsubscribe

    async def confirmed(self, channels: Iterable[str]) -> None:
        """Return once Redis confirmed all of the channels; wait for primaries that are away."""
        waiting = [channel for channel in channels if not self._is_confirmed(channel)]
        while waiting:
            here = self._at.get(slot_of(waiting[0]))
            if here is None:
                placed = asyncio.get_running_loop().create_future()
                self._placed.append(placed)
                await placed
            else:
                await self._shards[here].subscriber.confirmed(waiting)
            waiting = [channel for channel in waiting if not self._is_confirmed(channel)]

    def _is_confirmed(self, channel: str) -> bool:
        """Return whether a channel is subscribed to, or was given up."""
        slot = slot_of(channel)
        if channel not in self._names.get(slot, ()):
            return True
        here = self._at.get(slot)
        return here is not None and self._shards[here].subscriber.is_confirmed(channel)

    # Where slots are

    def _place(self, slot: int) -> Address | None:
        """Return where a slot is, as far as is known; a new one is taken up there."""
        here = self._at.get(slot)
        if here is None and (owner := self._topology.owner(slot)) in self._shards:
            assert owner is not None
            here = self._at[slot] = owner
            self._shards[owner].slots.add(slot)
        return here

    def _forget(self, slot: int) -> None:
        """Forget a slot without channels."""
        del self._names[slot]
        self._missed.pop(slot, None)
        here = self._at.pop(slot, None)
        if here is not None:
            self._shards[here].slots.discard(slot)

    def _follow(self) -> None:
        """Have a link to each primary, and the channels of each slot at its primary."""
        primaries = self._topology.primaries
        for address in primaries - self._shards.keys():
            self._shards[address] = self._open_shard(address)
        moved = {
            slot
            for slot in self._names
            if slot in self._refused or self._at.get(slot) != self._topology.owner(slot)
        }
        self._refused.clear()
        self._move(moved)
        for address in self._shards.keys() - primaries:
            self._closing.append(self._shards.pop(address))
            self._tasks.keep(self._close_shard(self._closing[-1]))
        for address in self._down & self._shards.keys():
            self._shards[address].subscriber.ask_again()
        self._down.clear()
        self._keep_canaries()
        if resumed := self._missed.keys() & moved:
            self._tasks.keep(self._report_resumed(resumed))

    def _move(self, slots: Iterable[int]) -> None:
        """Subscribe to the channels of slots where they are now."""
        fresh: dict[Address, list[str]] = {}
        for slot in slots:
            self._give_up(slot)
            if (owner := self._place(slot)) is not None:
                fresh.setdefault(owner, []).extend(self._names[slot])
        for address, names in fresh.items():
            self._shards[address].subscriber.request(names)
        placed, self._placed = self._placed, []
        for future in placed:
            if not future.done():
                future.set_result(None)

    def _give_up(self, slot: int) -> None:
        """Take a slot from the link that has it. What is published until it is placed is missed."""
        here = self._at.pop(slot, None)
        if here is None:
            return
        shard = self._shards[here]
        self._missed[slot] = min(
            self._missed.get(slot, shard.canary.heard_until), shard.canary.heard_until
        )
        shard.slots.discard(slot)
        shard.subscriber.hand_over(self._names[slot])

    async def _report_resumed(self, slots: Collection[int]) -> None:
        """Report slots that were moved, once all of their channels are confirmed (D5)."""
        await self.confirmed([name for slot in slots for name in self._names.get(slot, ())])
        since = {slot: self._missed.pop(slot) for slot in slots if slot in self._missed}
        if since:
            self._on_resumed(frozenset(since), min(since.values()))

    # Links

    def _open_shard(self, address: Address) -> Shard:
        """Connect to a primary."""
        slots: set[int] = set()
        primary = self._topology.state_of(address)
        subscriber = Subscriber(
            self._topology.url_of(address),
            partial(self._received, address),
            partial(self._link_resumed, address),
            primary,
            owned=_Names(self._names, slots),
            channels=CLUSTER,
            on_unserved=partial(self._unserved, address),
        )
        channel = self._canary_channel(address)
        canary = Canary(
            self._redis,
            subscriber,
            channel,
            interval=self._settings.canary_interval,
            deaf_after=self._settings.deaf_after,
            primary=primary,
            server=str(address),
        )
        subscriber.start()
        self._tasks.keep(subscriber.subscribe([channel]))
        return Shard(subscriber, canary, asyncio.create_task(canary.run_forever()), slots)

    async def _close_shard(self, shard: Shard) -> None:
        await asyncio.gather(cancelled(shard.canary_task), shard.subscriber.close())
        if shard in self._closing:
            self._closing.remove(shard)

    def _canary_channel(self, address: Address) -> str:
        """Return a channel in a slot of a primary, which has one."""
        names = (f"{{{number}}}:canary:{self._name}" for number in count())
        return next(one for one in names if self._topology.owner(slot_of(one)) == address)

    def _keep_canaries(self) -> None:
        """Have each canary in a slot of its primary: the one it had may have moved."""
        for address, shard in self._shards.items():
            before = shard.canary.channel
            if self._topology.owner(slot_of(before)) != address:
                shard.canary.channel = self._canary_channel(address)
                shard.subscriber.unsubscribe([before])
                self._tasks.keep(shard.subscriber.subscribe([shard.canary.channel]))

    def _received(self, address: Address, channel: str, data: bytes) -> None:
        if data.startswith(CANARY_PREFIX) and (shard := self._shards.get(address)):
            shard.canary.received(data)
        else:
            self._on_message(channel, data)

    def _link_resumed(self, address: Address) -> None:
        shard = self._shards.get(address)
        if shard is not None and shard.slots:
            self._on_resumed(frozenset(shard.slots), shard.canary.heard_until)

    def _unserved(self, address: Address, slot: int | None, error: Exception | None) -> None:
        """Look where a slot is now that a primary does not serve, or the slots of one that is away.

        `error`: what the primary replied; MOVED says where.
        """
        if slot is not None:
            self._refused.add(slot)
        elif error is not None:
            self._down.add(address)
        if isinstance(error, MovedError):
            self._topology.moved(error.slot_id, Address(error.host, error.port))
        self._topology.refresh_soon()
