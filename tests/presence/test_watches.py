"""Watches on a real Valkey: what a session receives about other users, and what it must not."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.domain.changes import Changes
from rts_server.engine.packets import Encoded
from rts_server.persistence.user_rooms import LEFT_A_ROOM, UserRooms
from rts_server.presence import watches
from rts_server.presence.scripts import PresenceState
from rts_server.presence.watches import ShareRoom
from tests.helpers.waiting import eventually
from tests.presence.instance import Start


async def test_a_watch_ends_with_the_last_shared_room(
    start: Start, redis: Redis, friends: set[frozenset[str]]
) -> None:
    """Nothing is written between the removal and the answer whether a common room is left (A2)."""
    one = await start("one")
    watcher = one.watcher("alice")
    await one.watches.watch(watcher, ["bob", "carol"])
    friends.discard(frozenset(("alice", "bob")))
    async with redis.pipeline(transaction=True) as pipe:
        for user_id in ("bob", "carol"):  # carol left one room of several
            pipe.publish(keys.presence_channel(user_id), "-")
        await pipe.execute()
    one.online.entered("bob", "phone")
    one.online.entered("carol", "phone")
    await eventually(lambda: one.states("carol") == ["online"])
    await eventually(lambda: watcher.targets == {"carol"})
    assert one.states("bob") == []


async def test_changes_are_held_back_until_the_shared_room_is_confirmed(
    start: Start, friends: set[frozenset[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer from before another removal does not confirm anything."""
    one = await start("one")
    watcher = one.watcher("alice")
    await one.watches.watch(watcher, ["bob", "carol"])
    ask: ShareRoom = one.watches._share_room
    asked, answers = asyncio.Event(), asyncio.Event()

    async def slow(user_id: str, others: list[str]) -> set[str]:
        asked.set()
        await answers.wait()
        return await ask(user_id, others)

    monkeypatch.setattr(one.watches, "_share_room", slow)
    friends.discard(frozenset(("alice", "bob")))
    one.watches.on_publish("bob", LEFT_A_ROOM)
    await asked.wait()
    one.watches.on_publish("carol", LEFT_A_ROOM)  # of one room of several
    for user_id in ("bob", "carol"):
        later = int(time.time() * 1000) + 60_000
        text = f'{{"v":{later},"state":"online","last":1,"text":""}}'
        one.watches.on_publish(user_id, text.encode())
    assert one.written == []
    answers.set()
    await eventually(lambda: not watcher.unconfirmed)
    assert (one.written, watcher.targets) == ([("alice", "carol", "online")], {"carol"})


async def test_a_removal_during_a_check_is_not_undone_by_it(
    start: Start, friends: set[frozenset[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer of the check may be older than the removal and arrive after it."""
    one = await start("one")
    ask: ShareRoom = one.watches._share_room
    asked = 0

    async def stale(user_id: str, others: list[str]) -> set[str]:
        nonlocal asked
        visible, asked = await ask(user_id, others), asked + 1
        if asked == 1:
            friends.discard(frozenset(("alice", "bob")))
            one.watches.on_publish("bob", LEFT_A_ROOM)
            await eventually(lambda: "bob" not in watcher.targets)
        return visible

    monkeypatch.setattr(one.watches, "_share_room", stale)
    watcher = one.watcher("alice")
    assert set(await one.watches.watch(watcher, ["bob", "carol"])) == {"carol"}
    assert watcher.targets == {"carol"}


async def test_a_removed_watcher_gets_no_more_changes(
    start: Start, redis: Redis, friends: set[frozenset[str]]
) -> None:
    """The watcher's own removal is published on the watcher's own channel."""
    one = await start("one")
    watcher = one.watcher("alice")
    await one.watches.watch(watcher, ["bob", "carol", "alice"])
    friends.clear()
    await redis.publish(keys.presence_channel("alice"), "-")
    await eventually(lambda: watcher.targets == {"alice"})
    one.online.entered("bob", "phone")
    one.online.entered("alice", "phone")
    await eventually(lambda: one.states("alice") == ["online"])
    assert one.states("bob") == []


async def test_strangers_are_left_out(start: Start) -> None:
    """A watcher gets nothing about users with whom they share no room (A1)."""
    one = await start("one")
    watcher = one.watcher("bob")
    assert set(await one.watches.watch(watcher, ["alice", "carol"])) == {"alice"}
    one.online.entered("carol", "phone")
    one.online.entered("alice", "phone")
    await eventually(lambda: one.states("alice") == ["online"])
    assert one.states("carol") == []


async def test_a_watch_list_replaces_the_one_before_and_ends_with_its_session(
    start: Start, redis: Redis
) -> None:
    """Nothing is kept of it, neither here nor in Redis."""
    one = await start("one")
    first, second = one.watcher("alice"), one.watcher("alice")
    await one.watches.watch(first, ["bob", "carol"])
    await one.watches.watch(first, ["carol", "dave"])
    await one.watches.watch(second, ["dave"])
    one.online.entered("bob", "phone")
    one.online.entered("dave", "phone")
    await eventually(lambda: one.states("dave") == ["online", "online"])
    assert one.states("bob") == []
    one.watches.end(first)
    one.watches.end(second)

    async def is_quiet() -> bool:
        return not await redis.pubsub_channels()

    await eventually(is_quiet)
    assert not any(vars(one.watches)[name] for name in ("_watchers", "_known", "_by_watcher"))


async def test_a_watch_of_an_ended_session_keeps_nothing(start: Start, redis: Redis) -> None:
    """A command may outlive its session: no channel stays subscribed for it."""
    one = await start("one")
    watcher = one.watcher("alice")
    one.watches.end(watcher)
    assert await one.watches.watch(watcher, ["bob"]) == {}
    assert await redis.pubsub_channels() == []


async def test_a_removal_before_the_subscription_is_noticed(
    start: Start, friends: set[frozenset[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removal between the first check and the subscription was published to nobody here."""
    one = await start("one")
    subscribe = one.subscriber.subscribe

    async def late(channels: Iterable[str]) -> None:
        friends.discard(frozenset(("alice", "bob")))
        await subscribe(channels)

    monkeypatch.setattr(one.subscriber, "subscribe", late)
    watcher = one.watcher("alice")
    assert set(await one.watches.watch(watcher, ["bob", "carol"])) == {"carol"}
    assert watcher.targets == {"carol"}


async def test_a_removal_is_checked_again_when_the_index_has_it(
    start: Start, redis: Redis, friends: set[frozenset[str]]
) -> None:
    """The room's event comes before the index: a check at that time still finds a common room."""
    one = await start("one")
    watcher = one.watcher("alice")
    await one.watches.watch(watcher, ["bob"])
    await redis.publish(keys.presence_channel("bob"), "-")
    await eventually(lambda: watcher.unconfirmed_version == 1 and not watcher.unconfirmed)
    friends.clear()
    await UserRooms(redis).note("bob", "room", 1, 5, "out")
    await eventually(lambda: not watcher.targets)


async def announced_without_publish(redis: Redis, user_id: str) -> None:
    """A user is online, and the publish is lost."""
    now_ms = int(time.time() * 1000)
    fields: list[str | int] = ["state", "online", "v", now_ms + 60_000, "last", 5]
    await redis.hset(keys.PRESENCE.users + user_id, items=fields)
    await redis.zadd(keys.PRESENCE.recent, {user_id: now_ms})


async def test_a_lost_publish_comes_again_with_the_next_sweep(start: Start, redis: Redis) -> None:
    """Only differences are written, and each of them once (E3); nothing is published for ever."""
    one, two = await start("one"), await start("two")
    await one.watches.watch(one.watcher("alice"), ["bob", "carol"])
    await announced_without_publish(redis, "bob")
    await eventually(lambda: one.states("bob") == ["online"])
    two.online.entered("carol", "phone")
    await eventually(lambda: one.states("carol") == ["online"])
    await one.sweep.sweep_once()
    async with redis.pubsub() as channel:
        await channel.subscribe(keys.presence_channel("bob"))
        await one.sweep.sweep_once()
        assert await channel.get_message(ignore_subscribe_messages=True, timeout=0.2) is None
    assert one.written == [("alice", "bob", "online"), ("alice", "carol", "online")]


async def test_after_a_break_who_was_announced_in_it_is_read(
    start: Start, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a break costs does not grow with the watched users."""
    one = await start("one", presence_sweep=60.0)
    await one.watches.watch(one.watcher("alice"), ["bob", "carol", "dave"])
    asked: list[list[str]] = []
    read = one.presences.read_known

    async def counting(users: list[str]) -> dict[str, PresenceState | None]:
        asked.append(users)
        return dict(await read(users))

    monkeypatch.setattr(one.presences, "read_known", counting)
    for user_id in ("bob", "nobody watches"):
        await announced_without_publish(redis, user_id)
    one.missed = Changes(5.0, set(), {})
    await redis.client_kill_filter(_type="pubsub")
    await eventually(lambda: one.states("bob") == ["online"])
    assert asked == [["bob"]]


async def test_after_a_break_watches_of_who_left_a_room_are_compared(
    start: Start, redis: Redis, friends: set[frozenset[str]]
) -> None:
    """A removal in the break ends the watch; nothing is written before that is known (A2)."""
    one = await start("one", presence_sweep=60.0)
    watcher = one.watcher("alice")
    await one.watches.watch(watcher, ["bob", "carol"])
    friends.discard(frozenset(("alice", "bob")))
    one.watches.on_resumed()
    later = int(time.time() * 1000) + 60_000
    for user_id in ("bob", "carol"):
        text = f'{{"v":{later},"state":"online","last":1,"text":""}}'
        one.watches.on_publish(user_id, text.encode())
    assert one.written == []
    one.watches.on_missed(Changes(5.0, set(), {"bob": {"any"}}))
    assert one.written == [("alice", "carol", "online")]
    await eventually(lambda: watcher.targets == {"carol"})
    assert one.states("bob") == []


async def test_who_is_watched_already_is_not_compared_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that watches one more costs one comparison."""
    one = await start("one")
    asked: list[list[str]] = []
    ask: ShareRoom = one.watches._share_room

    async def counting(user_id: str, others: list[str]) -> set[str]:
        asked.append(others)
        return await ask(user_id, others)

    monkeypatch.setattr(one.watches, "_share_room", counting)
    watcher = one.watcher("alice")
    assert set(await one.watches.watch(watcher, ["bob", "carol"])) == {"bob", "carol"}
    assert set(await one.watches.watch(watcher, ["bob", "carol", "dave"])) >= {"bob", "dave"}
    assert set(await one.watches.watch(watcher, ["dave", "bob"])) == {"bob", "dave"}
    assert asked == [["bob", "carol"], ["dave"]]


async def test_a_watch_that_fails_adds_nobody(
    start: Start, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was watched before still is."""
    one = await start("one")
    watcher = one.watcher("alice")
    await one.watches.watch(watcher, ["bob"])

    async def fail(user_id: str, others: list[str]) -> set[str]:
        raise ConnectionError

    monkeypatch.setattr(one.watches, "_share_room", fail)
    with pytest.raises(ConnectionError):
        await one.watches.watch(watcher, ["bob", "carol"])
    assert (watcher.targets, watcher.added) == ({"bob"}, set())
    await eventually(lambda: redis.pubsub_numsub(keys.presence_channel("carol")))
    one.online.entered("bob", "phone")
    await eventually(lambda: one.states("bob") == ["online"])


async def test_a_slow_reader_is_told_later(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that its connection had no space for is written after a while (E5)."""
    monkeypatch.setattr(watches, "SLOW_READER_SECONDS", 0.01)
    one = await start("one")
    watcher = one.watcher("alice")
    tries: list[Encoded] = []
    written = watcher.write

    def full_twice(packet: Encoded) -> bool:
        tries.append(packet)
        return len(tries) > 2 and written(packet)

    watcher.write = full_twice
    await one.watches.watch(watcher, ["bob"])
    one.online.entered("bob", "phone")
    await eventually(lambda: one.states("bob") == ["online"])
    assert (len(tries), watcher.undelivered) == (3, set())


@pytest.mark.parametrize("users", [3, 500])
async def test_watched_users_cost_redis_nothing_while_nothing_changes(
    start: Start, redis: Redis, friends: set[frozenset[str]], users: int
) -> None:
    """Only the lease and the sweep speak to Redis, as they do without any watch."""
    names = [f"user-{n}" for n in range(users)]
    friends |= {frozenset(("alice", user)) for user in names}
    one = await start("one")
    await eventually(lambda: asyncio.get_running_loop().time() > one.lease.complete_at)
    await eventually(lambda: not one.watches._tasks._tasks)  # one look after the registration
    await one.watches.watch(one.watcher("alice"), names)
    before = await calls(redis)

    async def swept() -> bool:
        return (await calls(redis))["evalsha"] >= before["evalsha"] + 10

    await eventually(swept)
    sent = await calls(redis) - before
    assert sent["hmget"] <= 2 * sent["evalsha"]  # of the fence, in each script


async def calls(redis: Redis) -> Counter[str]:
    """The commands that Redis has executed, by name."""
    stats = await redis.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()})


async def test_an_older_presence_never_wins(start: Start) -> None:
    """A publish that arrives after a newer reading changes nothing (D8)."""
    one = await start("one")
    await one.watches.watch(one.watcher("alice"), ["bob"])
    newer = int(time.time() * 1000) + 60_000
    for v, state in ((newer, "away"), (newer - 1, "online")):
        text = f'{{"v":{v},"state":"{state}","last":1,"text":""}}'
        one.watches.on_publish("bob", text.encode())
    assert one.states("bob") == ["away"]


def test_only_state_and_text_are_changes() -> None:
    """A later last_active_at alone is not written to watchers."""
    known = PresenceState(1, "online", 5, "")
    assert not PresenceState(2, "online", 9, "").differs_from(known)
    assert PresenceState(2, "away", 5, "").differs_from(known)
    assert PresenceState(2, "online", 5, "x").differs_from(known)
    assert known.shown("bob")["last_active_at"] == "1970-01-01T00:00:00.005Z"
    assert PresenceState(0, "offline", 0, "").shown("bob")["last_active_at"] is None
