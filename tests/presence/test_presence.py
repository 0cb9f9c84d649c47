"""Leases, grace and sweep on a real Valkey, with times shortened tenfold or more."""

from __future__ import annotations

import asyncio
import time

from redis.asyncio import Redis

from rts_server import keys
from rts_server.presence.instance_registry import InstanceRegistry
from tests.helpers.valkey import pipe_to
from tests.helpers.waiting import eventually
from tests.presence.instance import TIMES, Start


async def test_a_user_is_online_while_any_connection_is_open(start: Start) -> None:
    """The user is announced with the first connection, and after the grace of the last one."""
    one, two = await start("one"), await start("two")
    watcher = one.watcher("alice")
    assert (await one.watches.watch(watcher, ["bob"]))["bob"].state == "offline"
    two.online.entered("bob", "phone")
    await eventually(lambda: one.states("bob") == ["online"])
    one.online.entered("bob", "laptop")
    two.online.left("bob", "phone")
    await two.online.flush()
    await one.online.flush()
    one.online.left("bob", "laptop")
    gone = time.monotonic()
    await eventually(lambda: one.states("bob") == ["online", "offline"])
    assert time.monotonic() - gone >= TIMES["presence_grace"]
    found = (await two.presences.read(["bob", "nobody"]))["bob"]
    assert (found.state, found.last > 0) == ("offline", True)


async def test_a_reconnect_within_the_grace_is_no_event(start: Start) -> None:
    """A thousand reconnects from one instance to the other announce nothing (E2)."""
    one, two = await start("one", presence_grace=5.0), await start("two", presence_grace=5.0)
    await one.watches.watch(one.watcher("alice"), ["bob"])
    one.online.entered("bob", "0")
    await eventually(lambda: one.states("bob") == ["online"])
    for n in range(1000):
        old, new = (one, two) if n % 2 == 0 else (two, one)
        old.online.left("bob", str(n))
        await old.online.flush()
        new.online.entered("bob", str(n + 1))
        await new.online.flush()
    await asyncio.gather(one.sweep.sweep_once(), two.sweep.sweep_once())
    assert one.states("bob") == ["online"]


async def test_users_of_a_silent_instance_go_offline_once(start: Start) -> None:
    """They are announced once, by the first sweeper, within lease, sweep and grace (E1)."""
    one, two, dead = await start("one"), await start("two"), await start("dead")
    for instance in (one, two):
        await instance.watches.watch(instance.watcher("alice"), ["bob", "carol"])
    dead.online.entered("bob", "phone")
    dead.online.entered("carol", "phone")
    two.online.entered("carol", "laptop")
    await eventually(lambda: len(one.written) == 2 == len(two.written))
    await dead.stop()
    took = await eventually(lambda: one.states("bob")[1:] == ["offline"] == two.states("bob")[1:])
    print(f"\noffline {took:.1f} s after the silence (lease 1, sweep 0.1, grace 0.5)")
    assert one.states("carol") == ["online"] == two.states("carol")


async def test_connections_of_a_dead_instance_are_not_counted(start: Start) -> None:
    """A user who reconnects from a dead instance does not exceed the limit before the sweep."""
    one, dead = await start("one", presence_sweep=60.0), await start("dead")
    for device in ("phone", "laptop"):
        dead.online.entered("bob", device)
    await dead.online.flush()
    await dead.stop()
    await asyncio.sleep(TIMES["presence_lease"] * 1.1)
    one.online.entered("bob", "phone")
    await eventually(lambda: one.counted == [1])


async def test_a_paused_instance_brings_no_swept_user_back(start: Start) -> None:
    """An instance that was swept while paused returns under another name, without its users."""
    one, zombie = await start("one"), await start("zombie")
    await one.watches.watch(one.watcher("alice"), ["bob"])
    zombie.online.entered("bob", "phone")
    await eventually(lambda: one.states("bob") == ["online"])
    await zombie.stop()
    await eventually(lambda: one.states("bob") == ["online", "offline"])
    name = zombie.lease.instance
    zombie.online.entered("bob", "laptop")  # said before it knows
    zombie.resume()
    await eventually(lambda: zombie.lost == 1 and zombie.lease.registered.is_set())
    assert zombie.lease.instance != name
    await zombie.online.flush()
    assert one.states("bob") == ["online", "offline"]


async def test_nothing_is_counted_under_a_swept_lease(start: Start, redis: Redis) -> None:
    """A paused instance that does not know of its sweep is refused: nobody would sweep it again."""
    one, zombie = await start("one"), await start("zombie")
    await zombie.stop()

    async def is_swept() -> bool:
        return await redis.zrange(keys.PRESENCE.instances, 0, -1) == [b"one.1"]

    await eventually(is_swept)
    zombie.online.entered("bob", "phone")
    await zombie.online.flush()
    assert not zombie.lease.registered.is_set()
    assert not await redis.exists(
        keys.PRESENCE.of_instance + "zombie.1", keys.PRESENCE.users + "bob"
    )
    assert (await one.presences.read(["bob"]))["bob"].state == "offline"


async def test_after_a_loss_nobody_is_swept_for_one_lease(start: Start, redis: Redis) -> None:
    """The first instance to register does not sweep those that have not registered yet (E3)."""
    one, two = await start("one", presence_sweep=60.0), await start("two", presence_sweep=60.0)
    two.online.entered("bob", "phone")
    await two.online.flush()
    await two.stop()
    await redis.zadd(keys.PRESENCE.instances, {"two.1": 1})  # Redis was away for long
    await redis.delete(keys.PRESENCE.fence)
    one.lease.invalidate()
    await eventually(lambda: one.lease.instance == "one.2" and one.lease.registered.is_set())
    assert not await one.sweep.sweep_once()
    assert await redis.scard(keys.PRESENCE.of_instance + "two.1") == 1
    await asyncio.sleep(TIMES["presence_lease"])
    await one.sweep.sweep_once()
    assert await redis.scard(keys.PRESENCE.of_instance + "two.1") == 0


async def test_a_late_renewal_before_any_sweep_keeps_the_lease(start: Start) -> None:
    """After an outage of Redis longer than a lease nobody loses their connections."""
    one = await start("one", presence_sweep=60.0)
    one.online.entered("bob", "phone")
    await one.online.flush()
    await one.stop()
    await asyncio.sleep(TIMES["presence_lease"] * 1.1)
    await one.lease.renew()
    assert (one.lost, one.lease.instance) == (0, "one.1")
    assert not await one.sweep.sweep_once()
    assert (await one.presences.read(["bob"]))["bob"].state == "online"


async def test_after_a_flush_presence_is_right_again(start: Start, redis: Redis) -> None:
    """No connected user is announced offline; one in the grace is, after the loss (E3)."""
    one, two = await start("one"), await start("two")
    watcher = one.watcher("alice")
    await one.watches.watch(watcher, ["bob", "carol"])
    two.online.entered("bob", "phone")
    two.online.entered("carol", "phone")
    await eventually(lambda: len(one.written) == 2)
    two.online.left("carol", "phone")
    await two.online.flush()
    await redis.flushall()

    async def is_known() -> bool:
        found = await two.presences.read(["bob"])
        return bool(found["bob"].state == "online")

    found = await eventually(is_known)
    missed = await eventually(lambda: one.states("carol") == ["online", "offline"])
    print(f"\nbob is found again after {found:.1f} s, carol missed after {missed:.1f} s (lease 1)")
    assert one.states("bob") == ["online"]


async def test_away_and_status_text_are_announced(start: Start) -> None:
    """Both belong to the user, not to a device; going offline ends `away` and keeps the text."""
    one = await start("one")
    await one.watches.watch(one.watcher("alice"), ["bob"])
    one.online.entered("bob", "phone")
    first = await one.presences.set_state("bob", "away", "at lunch")
    assert (first.state, first.text) == ("away", "at lunch")
    await eventually(lambda: one.states("bob")[-1:] == ["away"])
    again = await one.presences.set_state("bob", None, None)
    assert (again.state, again.text, again.v) == ("away", "at lunch", first.v)
    assert (await one.presences.set_state("bob", "online", "")).text == ""
    await one.presences.set_state("bob", "away", "gone")
    one.online.left("bob", "phone")
    await eventually(lambda: one.states("bob")[-1:] == ["offline"])
    one.online.entered("bob", "phone")
    await eventually(lambda: one.states("bob")[-1:] == ["online"])
    assert (await one.presences.read(["bob"]))["bob"].text == "gone"


async def test_an_entry_written_after_the_last_socket_expires(start: Start, redis: Redis) -> None:
    """A command that outlives its connection leaves no entry for ever."""
    one = await start("one")
    assert (await one.presences.set_state("bob", "away", "gone")).state == "offline"
    assert await redis.pttl(keys.PRESENCE.users + "bob") > 0


async def test_many_users_of_a_dead_instance_are_swept_in_slices(
    start: Start, redis: Redis
) -> None:
    """Nothing is left of the instance then: neither its lease nor its users."""
    one, dead = await start("one", presence_sweep=60.0), await start("dead", presence_sweep=60.0)
    for n in range(450):
        dead.online.entered(f"user{n}", "phone")
    await dead.online.flush()
    await dead.stop()
    await asyncio.sleep(TIMES["presence_lease"] + TIMES["presence_grace"])
    calls = 1
    while await one.sweep.sweep_once():
        calls += 1
    assert calls >= 3
    assert await redis.zrange(keys.PRESENCE.instances, 0, -1) == [b"one.1"]
    assert await redis.hkeys(keys.PRESENCE.about) == [b"one.1"]
    assert not await redis.exists(keys.PRESENCE.of_instance + "dead.1")
    states = await one.presences.read(f"user{n}" for n in range(450))
    assert {found.state for found in states.values()} == {"offline"}


async def test_presence_of_an_erased_user_is_deleted(start: Start, redis: Redis) -> None:
    """Watchers see the user offline; open connections end silently, the next one starts afresh."""
    one = await start("one")
    await one.watches.watch(one.watcher("alice"), ["bob"])
    one.online.entered("bob", "phone")
    await one.presences.set_state("bob", "away", "at sea")
    await eventually(lambda: one.states("bob")[-1:] == ["away"])
    assert await one.presences.forget("bob")
    await eventually(lambda: one.states("bob")[-1:] == ["offline"])
    assert not await one.presences.forget("bob")
    assert (await one.presences.read(["bob"]))["bob"][1:] == ("offline", 0, "")
    one.online.left("bob", "phone")
    await one.online.flush()
    assert await redis.exists(f"{keys.PRESENCE.users}bob") == 0
    one.online.entered("bob", "phone")
    await eventually(lambda: one.states("bob")[-1:] == ["online"])


async def test_an_instance_that_ends_is_gone_at_once(
    start: Start, redis: Redis, valkey_url: str
) -> None:
    """Its lease need not expire; users it still had are swept by the other instances."""
    one, two, three = await start("one"), await start("two"), await start("three")
    await one.watches.watch(one.watcher("alice"), ["bob"])
    three.online.entered("bob", "phone")
    await eventually(lambda: one.states("bob") == ["online"])
    for ending in (two, three):
        await ending.stop()
        await ending.lease.leave()
    async with pipe_to(valkey_url) as pipe:
        living = await InstanceRegistry(pipe).instances()
    assert [each["instance_id"] for each in living] == [one.lease.instance]
    assert await redis.hexists(keys.PRESENCE.about, two.lease.instance) == 0
    await eventually(lambda: one.states("bob") == ["online", "offline"])
    assert await redis.zcard(keys.PRESENCE.instances) == 1
