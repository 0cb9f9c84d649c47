"""Watches of presence on a real Valkey: who sees whom, and until when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.persistence.user_rooms import UserRooms
from rts_server.presence.scripts import PresenceState
from rts_server.presence.watches import LEFT, ShareRoom
from tests.helpers.waiting import eventually
from tests.presence.instance import Start


async def test_a_watch_ends_with_the_last_shared_room(
    start: Start, redis: Redis, friends: set[frozenset[str]]
) -> None:
    """Nothing is told between the word that somebody left and the answer whether a room is left."""
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


async def test_what_happens_in_doubt_is_told_when_it_is_known_to_whom(
    start: Start, friends: set[frozenset[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing at all meanwhile; an answer from before another doubt decides nothing about it."""
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
    one.watches.on_publish("bob", LEFT)
    await asked.wait()
    one.watches.on_publish("carol", LEFT)  # of one room of several
    for user_id in ("bob", "carol"):
        later = int(time.time() * 1000) + 60_000
        text = f'{{"v":{later},"state":"online","last":1,"text":""}}'
        one.watches.on_publish(user_id, text.encode())
    assert one.told == []
    answers.set()
    await eventually(lambda: not watcher.unconfirmed)
    assert (one.told, watcher.targets) == ([("alice", "carol", "online")], {"carol"})


@pytest.mark.parametrize("during", [1, 2])
async def test_a_removal_heard_during_a_look_is_not_undone_by_it(
    start: Start, friends: set[frozenset[str]], monkeypatch: pytest.MonkeyPatch, during: int
) -> None:
    """The answer may be older than the word, and come behind what followed from it."""
    one = await start("one")
    ask: ShareRoom = one.watches._share_room
    asked = 0

    async def stale(user_id: str, others: list[str]) -> set[str]:
        nonlocal asked
        visible, asked = await ask(user_id, others), asked + 1
        if asked == during:
            friends.discard(frozenset(("alice", "bob")))
            one.watches.on_publish("bob", LEFT)
            await eventually(lambda: "bob" not in watcher.targets)
        return visible

    monkeypatch.setattr(one.watches, "_share_room", stale)
    watcher = one.watcher("alice")
    assert set(await one.watches.watch(watcher, ["bob", "carol"])) == {"carol"}
    assert watcher.targets == {"carol"}


async def test_who_is_put_out_himself_watches_no_more(
    start: Start, redis: Redis, friends: set[frozenset[str]]
) -> None:
    """The watcher's own leaving is heard on his own channel."""
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
    """Of whom he shares no room with a watcher gets nothing."""
    one = await start("one")
    watcher = one.watcher("bob")
    assert set(await one.watches.watch(watcher, ["alice", "carol"])) == {"alice"}
    one.online.entered("carol", "phone")
    one.online.entered("alice", "phone")
    await eventually(lambda: one.states("alice") == ["online"])
    assert one.states("carol") == []


async def test_a_list_replaces_the_one_before_and_ends_with_its_socket(
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


async def test_a_watch_of_a_socket_that_ended_meanwhile_keeps_nothing(
    start: Start, redis: Redis
) -> None:
    """A command may outlive its socket: no channel stays subscribed for nobody."""
    one = await start("one")
    watcher = one.watcher("alice")
    one.watches.end(watcher)
    assert await one.watches.watch(watcher, ["bob"]) == {}
    assert await redis.pubsub_channels() == []


async def test_a_removal_before_the_channels_are_heard_is_noticed(
    start: Start, friends: set[frozenset[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who left between the first look and the subscription: his word was published to nobody."""
    one = await start("one")
    subscribe = one.subscriber.subscribe

    async def late(channels: Iterable[str]) -> None:
        friends.discard(frozenset(("alice", "bob")))
        await subscribe(channels)

    monkeypatch.setattr(one.subscriber, "subscribe", late)
    watcher = one.watcher("alice")
    assert set(await one.watches.watch(watcher, ["bob", "carol"])) == {"carol"}
    assert watcher.targets == {"carol"}


async def test_a_removal_is_told_again_when_the_index_knows_it(
    start: Start, redis: Redis, friends: set[frozenset[str]]
) -> None:
    """The room's own word comes first: who asks then is told that a room is still shared."""
    one = await start("one")
    watcher = one.watcher("alice")
    await one.watches.watch(watcher, ["bob"])
    await redis.publish(keys.presence_channel("bob"), "-")
    await eventually(lambda: watcher.generation == 1 and not watcher.unconfirmed)
    friends.clear()
    await UserRooms(redis).note("bob", "room", 1, 5, "out")
    await eventually(lambda: not watcher.targets)


async def test_a_lost_publish_is_noticed_by_the_check(start: Start, redis: Redis) -> None:
    """Only differences are told, and each once."""
    one = await start("one")
    await one.watches.watch(one.watcher("alice"), ["bob", "carol"])
    soon_ms = int(time.time() * 1000) + 60_000
    fields: list[str | int] = ["state", "online", "v", soon_ms, "last", 5]
    await redis.hset(keys.PRESENCE_USERS + "bob", items=fields)
    await eventually(lambda: one.states("bob") == ["online"])
    await one.watches.check()
    assert one.told == [("alice", "bob", "online")]


async def test_an_older_word_never_wins(start: Start) -> None:
    """A publish that arrives behind a newer reading changes nothing."""
    one = await start("one")
    await one.watches.watch(one.watcher("alice"), ["bob"])
    newer = int(time.time() * 1000) + 60_000
    for v, state in ((newer, "away"), (newer - 1, "online")):
        text = f'{{"v":{v},"state":"{state}","last":1,"text":""}}'
        one.watches.on_publish("bob", text.encode())
    assert one.states("bob") == ["away"]


def test_only_state_and_text_are_news() -> None:
    """A later last_active_at alone tells nobody anything."""
    known = PresenceState(1, "online", 5, "")
    assert not PresenceState(2, "online", 9, "").differs_from(known)
    assert PresenceState(2, "away", 5, "").differs_from(known)
    assert PresenceState(2, "online", 5, "x").differs_from(known)
    assert known.shown("bob")["last_active_at"] == "1970-01-01T00:00:00.005Z"
    assert PresenceState(0, "offline", 0, "").shown("bob")["last_active_at"] is None
