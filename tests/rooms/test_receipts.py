"""Receipts of many sessions, gathered by an instance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import pytest
from redis.exceptions import ConnectionError as Lost

from rts_server import errors, keys
from rts_server.roomlog.log import RoomLog
from rts_server.rooms.receipts import ReceiptWriter
from tests.helpers.bench import Bench, message
from tests.helpers.waiting import PATIENCE

MEMBERS, ROOMS, MESSAGES = 10, 10, 5


class Loads:
    """A room log that loads rooms by installing what they had."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.loaded: list[str] = []

    async def load_if_cold(self, room_id: str) -> None:
        """Install the room with alice and bob, or fail."""
        self.loaded.append(room_id)
        if room_id == "lost":
            raise errors.Unavailable
        assert await self.bench.outcome(message(room_id, "alice", "claim")) == "cold"
        await self.bench.install(room_id, ["alice", "bob"], epoch=2, seq=1)


@pytest.fixture
async def loads(bench: Bench) -> Loads:
    return Loads(bench)


@pytest.fixture
async def receipts(bench: Bench, loads: Loads) -> AsyncIterator[ReceiptWriter]:
    """A writer that gathers for 0.2 s."""
    settings = replace(bench.settings, receipt_interval=0.2)
    writer = ReceiptWriter(settings, bench.redis, cast(RoomLog, loads))
    yield writer
    await writer.close()


async def scripts(bench: Bench) -> int:
    """How many scripts were run."""
    return int((await bench.redis.info("commandstats"))["cmdstat_evalsha"]["calls"])


async def test_a_delivered_message_costs_a_twentieth_of_a_command_per_member(
    bench: Bench, receipts: ReceiptWriter
) -> None:
    """Members who are online report it each by themselves; it was a script for each of them."""
    users = [f"user{n}" for n in range(MEMBERS)]
    rooms = [await bench.group(*users, room=f"r{n}") for n in range(ROOMS)]
    await receipts.move(users[0], dict.fromkeys(rooms, (0, 0)))  # the script is loaded
    before = await scripts(bench)
    for seq in range(1, MESSAGES + 1):
        for room_id in rooms:
            await bench.append(message(room_id, users[0], f"m{seq}"))
        reports = (
            receipts.move_gathered(user, {room_id: (0, seq)})
            for room_id in rooms
            for user in users[1:]
        )
        for moved in await asyncio.gather(*reports):
            (cursors,) = moved.values()
            assert cursors.delivered_seq == seq
    deliveries = MESSAGES * ROOMS * (MEMBERS - 1)
    each = (await scripts(bench) - before) / deliveries
    print(f"{each:.3f} scripts for each delivered message and member")
    assert 0 < each <= 0.05


async def test_a_receipt_is_answered_when_it_is_written(
    bench: Bench, receipts: ReceiptWriter
) -> None:
    """With the cursors and the unread messages of its own user (D9)."""
    room_id = await bench.group("alice", "bob", "carol")
    for n in range(3):
        await bench.append(message(room_id, "alice", f"m{n}"))
    bob, carol, eve = await asyncio.gather(
        receipts.move_gathered("bob", {room_id: (2, 0)}),
        receipts.move_gathered("carol", {room_id: (0, 3)}),
        receipts.move_gathered("eve", {room_id: (1, 0)}),
    )
    assert (bob[room_id].read_seq, bob[room_id].delivered_seq, bob[room_id].unread) == (2, 2, 1)
    assert (carol[room_id].read_seq, carol[room_id].delivered_seq) == (0, 3)
    assert eve == {}
    stored = await bench.redis.hget(keys.room(room_id).cursors, "r:bob")
    assert stored == b"2"


async def test_the_farthest_of_several_reports_of_a_user_counts(
    bench: Bench, receipts: ReceiptWriter
) -> None:
    """They are one move, whatever their order."""
    room_id = await bench.group("alice", "bob")
    for n in range(3):
        await bench.append(message(room_id, "alice", f"m{n}"))
    at = ((0, 3), (2, 0), (1, 0))
    answers = await asyncio.gather(
        *(receipts.move_gathered("bob", {room_id: cursors}) for cursors in at)
    )
    assert [(one[room_id].read_seq, one[room_id].delivered_seq) for one in answers] == [(2, 3)] * 3


async def test_cold_rooms_are_loaded_and_hold_up_no_others(
    bench: Bench, receipts: ReceiptWriter, loads: Loads
) -> None:
    """A room that cannot be loaded is refused to who asked for it."""
    warm = await bench.group("alice", "bob")
    await bench.append(message(warm, "alice"))
    cold = await bench.group("alice", "bob", room="cold")
    await bench.redis.delete(*keys.room(cold).script_keys[:7])
    answers: Any = await asyncio.gather(
        receipts.move_gathered("bob", {warm: (1, 0)}),
        receipts.move_gathered("bob", {cold: (1, 0)}),
        receipts.move_gathered("bob", {"lost": (1, 0)}),
        return_exceptions=True,
    )
    assert answers[0][warm].read_seq == 1
    assert answers[1][cold].read_seq == 1
    assert isinstance(answers[2], errors.Unavailable)
    assert sorted(loads.loaded) == sorted([cold, "lost"])


async def test_what_waits_is_published_with_a_later_batch(
    bench: Bench, receipts: ReceiptWriter
) -> None:
    """Once for all moves of the interval, without a further receipt."""
    room_id = await bench.group("alice", "bob", "carol")
    await bench.append(message(room_id, "alice"))
    async with bench.redis.pubsub() as channel:
        await channel.subscribe(keys.room_channel(room_id))
        assert await channel.get_message(timeout=PATIENCE) is not None
        for user in ("alice", "bob", "carol"):
            await receipts.move(user, {room_id: (0, 1)})
        heard: list[str] = []
        while len(heard) < 2:
            word = await channel.get_message(timeout=PATIENCE)
            assert word is not None
            heard.append(word["data"].decode())
    assert '"bob"' in heard[0]
    assert '"carol"' in heard[1]


async def test_who_waits_for_a_batch_that_fails_is_told(
    receipts: ReceiptWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody whose receipt was in it, and the next batch is tried anew."""

    async def lost(*_: object) -> Any:
        raise Lost

    monkeypatch.setattr(receipts._script, "move", lost)
    for _ in range(2):
        answers = await asyncio.gather(
            *(receipts.move_gathered(user, {"r": (1, 0)}) for user in ("alice", "bob")),
            return_exceptions=True,
        )
        assert [type(one) for one in answers] == [Lost, Lost]
