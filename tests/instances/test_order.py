"""One room on two instances has one order for all (D3), whatever publishes are lost (D5)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from rts_server.services import Services
from tests.helpers.ephemeral import publish
from tests.helpers.pair import deployed
from tests.helpers.rooms import all_have, burst, durable, group, positions, send
from tests.helpers.two_thousand import check, stored, written
from tests.helpers.waiting import PATIENCE, promised
from tests.helpers.world import World, name


async def test_two_users_on_two_instances_write_at_once(
    pair: World, tmp_path: Path, full: bool
) -> None:
    """2 × 600 messages over two instances (`--full`: 2 × 1,000): one order live, in history and in
    DynamoDB."""
    each = 1_000 if full else 600
    seen = await written(pair, tmp_path, each, pair.urls)
    await stored(pair, seen, check(seen, 2 * each))


async def four_writers(
    world: World, patience: float = PATIENCE, each: int = 60
) -> list[list[tuple[int, int]]]:
    """The positions that two readers on two instances received from four writers, in order of
    arrival."""
    users = [name("writer") for _ in range(4)]
    async with contextlib.AsyncExitStack() as clients:
        readers = [
            await clients.enter_async_context(world.js(users[i], instance=i)) for i in range(2)
        ]
        room_id = await group(readers[0], users[1:])
        writers = [
            await clients.enter_async_context(world.raw(user, instance=i % 2))
            for i, user in enumerate(users)
        ]
        await readers[1].wait_for(lambda e: bool(e["type"] == "room.added"))
        await asyncio.gather(*(burst(w, room_id, each, f"{i}-") for i, w in enumerate(writers)))
        with contextlib.suppress(TimeoutError):
            await all_have(readers, room_id, 4 * each + 2, patience)
        return [positions(reader, room_id) for reader in readers]


async def test_four_writers_one_order(pair: World) -> None:
    """All readers see the same events in offset order without sorting."""
    first, second = await four_writers(pair)
    assert first == second == [(1, offset) for offset in range(3, 243)]


@pytest.fixture(scope="module")
def losing(tmp_path_factory: pytest.TempPathFactory, primaries: int) -> Iterator[World]:
    """One publish in ten goes to another channel."""
    yield from deployed(tmp_path_factory, "lose_publishes", shards=primaries)


@pytest.mark.on_both
async def test_lost_publishes_are_repaired_before_the_next_event(losing: World) -> None:
    """With one publish in ten lost nobody misses an event or gets a later one first."""
    first, second = await four_writers(losing)
    assert first == second == [(1, offset) for offset in range(3, 243)]


@pytest.mark.on_both
async def test_lost_last_publish_is_repaired_by_the_head(losing: World) -> None:
    """If the lost event was the last, it arrives with the head that the relay publishes (D5)."""
    alice, bob = name("alice"), name("bob")
    async with losing.js(alice) as a, losing.js(bob, instance=1) as b:
        room_id = await group(a, [bob])
        for offset in range(3, 8):
            await send(a, room_id, f"m{offset}")
        with promised(5):
            await all_have([a, b], room_id, 7)
        assert positions(b, room_id) == [(1, offset) for offset in range(3, 8)]


async def test_a_lost_word_about_a_membership_is_repaired_by_the_version_of_the_index(
    tmp_path_factory: pytest.TempPathFactory, primaries: int
) -> None:
    """The relay publishes it, and an instance that heard another one compares the rooms (D5)."""
    worlds = deployed(tmp_path_factory, "lose_memberships", shards=primaries)
    alice, bob = name("alice"), name("bob")
    try:
        world = next(worlds)
        async with world.js(alice) as a, world.js(bob, instance=1) as b:
            room_id = await group(a, [bob])
            with promised(5):
                await b.wait_for(lambda e: bool(e["type"] == "room.added"))
            await send(a, room_id, "hello")
            await all_have([b], room_id, 3)
    finally:
        next(worlds, None)


async def test_without_ordering_a_lost_publish_breaks_the_order(
    tmp_path_factory: pytest.TempPathFactory, primaries: int
) -> None:
    """The same run fails if the ordering function is replaced by identity."""
    worlds = deployed(tmp_path_factory, "lose_publishes,identity", shards=primaries)
    try:
        first, second = await four_writers(next(worlds), 5)
        assert [(1, offset) for offset in range(3, 243)] not in (first, second)
    finally:
        next(worlds, None)


@pytest.mark.on_both
async def test_ephemeral_waits_for_what_came_before_it(losing: World) -> None:
    """An ephemeral event is delivered behind the repaired event of the head it was published at."""
    alice, bob = name("alice"), name("bob")
    async with losing.js(alice) as a, losing.js(bob, instance=1) as b:
        room_id = await group(a, [bob])
        for offset in range(3, 8):
            await send(a, room_id, f"m{offset}")
        async with Services(losing.stack.settings) as services:
            text = '{"type":"probe","room_id":"' + room_id + '","data":{}}'
            told = await publish(services.pipe, room_id, alice, "probe", text)
            assert told
            assert not await publish(services.pipe, room_id, "stranger", "probe", text)
        await b.wait_for(lambda e: bool(e["type"] == "probe"))
        seen = [e["type"] for e in b.events if e.get("room_id") == room_id]
        assert seen[-2:] == ["message.new", "probe"]
        assert len(durable(b, room_id)) == 5
