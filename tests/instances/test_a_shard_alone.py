"""One shard of a cluster fails or moves while clients write: only its own rooms notice (D1)."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.crc import REDIS_CLUSTER_HASH_SLOTS

from rts_server import keys
from rts_server.redis_client.slots import slot_of
from tests.helpers.commands import ok
from tests.helpers.js_client import JsClient
from tests.helpers.pair import FAST
from tests.helpers.rooms import durable, send
from tests.helpers.sender import Sender, agrees, order_is_kept, positions_are_unique
from tests.helpers.shards import Shards
from tests.helpers.valkey import ask, save
from tests.helpers.waiting import eventually, until
from tests.helpers.world import World, name, placed

SHARDS = 3


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two web instances and a relay on three primaries, each with a replica."""
    running = World(tmp_path_factory.mktemp("pairs"), SHARDS, 1, instances=2, **FAST)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def shards(pairs: World, tmp_path: Path) -> Shards:
    """Return the shards, all of which work."""
    assert pairs.stack.cluster is not None
    return Shards(pairs.stack.cluster, tmp_path)


def shard_of(room_id: str) -> int:
    """Return the shard that has a room in an undisturbed cluster."""
    return slot_of(keys.room(room_id).head) * SHARDS // REDIS_CLUSTER_HASH_SLOTS


@dataclass
class Talk:
    """A writer on one instance, a reader on the other, and a room that they share on each shard."""

    writer: JsClient
    reader: JsClient
    senders: list[Sender] = field(default_factory=list)
    """By shard."""
    sent: dict[str, list[str]] = field(default_factory=dict)

    @property
    def rooms(self) -> list[str]:
        """The ids of the rooms, by shard."""
        return [sender.room_id for sender in self.senders]

    async def say(self, shard: int, text: str) -> None:
        """Send until it is acknowledged, as clients do."""
        await self.senders[shard].send(text)
        self.sent.setdefault(self.rooms[shard], []).append(text)

    async def whole(self, world: World) -> None:
        """All rooms have all texts once and in one order, everywhere; who need not read a room anew
        heard them as they were sent (D1 to D4, D6)."""
        for shard, sender in enumerate(self.senders):
            wanted = self.sent[sender.room_id]
            await asyncio.to_thread(until, lambda: placed(world, sender.room_id) >= len(wanted))  # noqa: B023
            await agrees(sender, world.messages(sender.room_id))
            assert sorted(one["text"] for one in await sender.history()) == sorted(wanted)
            await self.reader.until(lambda: wanted[-1] in self.heard(shard))  # noqa: B023
            assert sender.room_id in self.reset() or self.heard(shard) == wanted
            order_is_kept(self.reader, sender.room_id)
        positions_are_unique(self.writer, self.reader)

    def heard(self, shard: int) -> list[str]:
        """Return the texts that the reader heard, in order of arrival."""
        new = [e for e in durable(self.reader, self.rooms[shard]) if e["type"] == "message.new"]
        return [event["data"]["message"]["text"] for event in new]

    def reset(self) -> set[str]:
        """Return the rooms of which a client was told to read them anew."""
        told = [*self.writer.of_type("sync.reset"), *self.reader.of_type("sync.reset")]
        return {event["room_id"] for event in told}

    def noticed(self) -> set[int]:
        """Return the shards whose room goes on under a new epoch, or had to be read anew."""
        return {
            shard
            for shard, room_id in enumerate(self.rooms)
            if room_id in self.reset()
            or {event["epoch"] for event in durable(self.reader, room_id)} != {1}
        }


@asynccontextmanager
async def talking(world: World) -> AsyncIterator[Talk]:
    """Two users with a room on each shard, in which a text was heard."""
    alice, bob = name("alice"), name("bob")
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(world.js(alice))
        talk = Talk(writer, await stack.enter_async_context(world.js(bob, 1)))
        for shard in range(SHARDS):
            room_id = await room_on(writer, alice, bob, lambda id_, s=shard: shard_of(id_) == s)  # type: ignore[misc]
            talk.senders.append(Sender(writer, room_id))
            await talk.say(shard, "before")
        for shard in range(SHARDS):
            await talk.reader.until(lambda s=shard: talk.heard(s) == ["before"])  # type: ignore[misc]
        yield talk


async def room_on(client: JsClient, user: str, other: str, suits: Callable[[str], bool]) -> str:
    """Create a group whose place suits; return its id."""
    key = next(k for k in iter(secrets.token_hex, "") if suits(keys.client_room_id(user, k)))
    asked = {"type": "group", "client_room_id": key, "members": [other]}
    return str((await ok(client, "room.create", asked))["room"]["room_id"])


@asynccontextmanager
async def load(talk: Talk) -> AsyncIterator[None]:
    """Write in all rooms, in each one text after the other, until the block ends."""
    over = asyncio.Event()

    async def write(shard: int) -> None:
        number = 0
        while not over.is_set():
            await talk.say(shard, f"load {number}")
            number += 1

    async with asyncio.TaskGroup() as group:
        for shard in range(SHARDS):
            group.create_task(write(shard))
        try:
            yield
        finally:
            over.set()


async def more(talk: Talk, shard: int, count: int = 5) -> None:
    """Return when so many more texts were acknowledged in a room."""
    room_id = talk.rooms[shard]
    wanted = len(talk.sent[room_id]) + count
    await eventually(lambda: len(talk.sent[room_id]) >= wanted)


async def test_a_replica_that_has_everything_takes_over_under_load(
    pairs: World, shards: Shards
) -> None:
    """The primary is killed; its rooms go on under a new epoch with everything that was acked."""
    async with talking(pairs) as talk:
        async with load(talk):
            await more(talk, 1)
            mend = await shards.break_("failover", "redis1")
            for shard in range(SHARDS):
                await more(talk, shard)
            await mend()
            await more(talk, 1)
        await talk.whole(pairs)
        assert talk.noticed() == {1}


@asynccontextmanager
async def unqueued(world: World, talk: Talk) -> AsyncIterator[None]:
    """Texts that were heard on every shard, and which only Redis and their origin have until the
    block ends."""
    world.relay.signal(signal.SIGSTOP)
    try:
        async with asyncio.TaskGroup() as group:
            for shard in range(SHARDS):
                group.create_task(talk.say(shard, "unqueued"))
            for shard in range(SHARDS):
                await talk.reader.until(lambda s=shard: "unqueued" in talk.heard(s))  # type: ignore[misc]
            yield
            world.relay.signal(signal.SIGCONT)
    finally:
        world.relay.signal(signal.SIGCONT)


async def lost_by(world: World, talk: Talk, shard: int) -> None:
    """Everything is there again, and clients read the rooms of this shard anew, and no others."""
    await talk.reader.until(lambda: talk.rooms[shard] in talk.reset())
    for each in range(SHARDS):
        await talk.say(each, "behind")
    await talk.whole(world)
    assert talk.noticed() == {shard}
    assert talk.reset() == {talk.rooms[shard]}


async def test_a_replica_that_lacks_the_newest_takes_over(pairs: World, shards: Shards) -> None:
    """What it lacks is appended again by its origin, and who heard it reads that room anew."""
    async with talking(pairs) as talk:
        primary, replica = shards.primary(1), shards.replica(1)
        save(replica)
        replica.kill()
        async with unqueued(pairs, talk):
            primary.kill()
            replica.start_and_wait()
            await shards.take_over(1, replica)
            primary.start_and_wait()
        await lost_by(pairs, talk, 1)


async def test_a_shard_that_is_lost_with_its_data_takes_its_own_rooms(
    pairs: World, shards: Shards
) -> None:
    """What only it had is appended again by its origin, and who heard it reads that room anew."""
    async with talking(pairs) as talk:
        async with unqueued(pairs, talk):
            mend = await shards.break_("lose-all", "redis1")
            for other in (0, 2):
                await talk.say(other, "meanwhile")
            await mend()
        await lost_by(pairs, talk, 1)


async def test_a_slot_that_nobody_serves_makes_its_rooms_unavailable(
    pairs: World, shards: Shards
) -> None:
    """It is retryable, and the rooms of all other slots go on with the first try."""
    async with talking(pairs) as talk:
        slot = slot_of(keys.room(talk.rooms[1]).head)
        for node in shards.nodes.values():
            ask(node, "CLUSTER DELSLOTS", slot)
        refused = (await send(talk.writer, talk.rooms[1], "nowhere"))["error"]
        assert (refused["code"], refused["retryable"]) == ("unavailable", True)
        for other in (0, 2):
            answer = await send(talk.writer, talk.rooms[other], "meanwhile")
            assert answer["ok"], answer
            talk.sent[talk.rooms[other]].append("meanwhile")
        ask(shards.primary(1), "CLUSTER ADDSLOTS", slot)
        await talk.say(1, "again")
        await talk.whole(pairs)
        assert talk.noticed() == set()


async def test_two_shards_become_three_under_load(pairs: World, shards: Shards) -> None:
    """Rooms of the slots that a new primary takes go on there, with everything, under a new
    epoch."""
    third = [node for name_, node in shards.nodes.items() if name_.startswith("redis2")]
    for node in third:  # or the primary would become a replica of who takes its last slot
        ask(node, "CONFIG SET", "cluster-allow-replica-migration", "no")
    first, end = shards.first_slot(2), REDIS_CLUSTER_HASH_SLOTS - 1
    parts = (first, (first + end) // 2), ((first + end) // 2 + 1, end)
    for there, part in enumerate(parts):
        await shards.give(part, 2, there)
    for asked in ("SCRIPT FLUSH", "FUNCTION FLUSH"):  # it is as one that was never there
        ask(shards.primary(2), asked)
    async with talking(pairs) as talk:
        async with load(talk):
            await more(talk, 2)
            for here, part in enumerate(parts):
                await shards.give(part, here, 2)
                for shard in range(SHARDS):
                    await more(talk, shard)
        await talk.whole(pairs)
        assert talk.noticed() == {2}
