"""The inbox: rooms by activity, with totals, in few round trips."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from rts_server import keys
from rts_server.persistence.user_rooms import IndexedMembership, UserRooms
from rts_server.roomlog.room_events import settings_changed
from rts_server.types.objects import Totals
from rts_server.views.inbox import InboxReader
from tests.helpers.archive_calls import counted_calls
from tests.helpers.bench import Bench, message, round_trips
from tests.helpers.deployed import Deployed
from tests.views.inboxes import inbox_reader

ROOMS = 500
INDEX_SCRIPTS = 2
"""Scripts that read the index of a user's rooms."""


async def of_alice(bench: Bench, rooms: int) -> list[str]:
    """Rooms of alice and bob, with a complete user index."""
    room_ids = [await bench.group("alice", "bob", room=f"r{n}") for n in range(rooms)]
    index = UserRooms(bench.redis)
    await index.note_all([("alice", IndexedMembership(r, 1, 2, "in")) for r in room_ids])
    await index.rebuild("alice", [])
    return room_ids


async def test_five_hundred_rooms_in_three_round_trips(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index is read, then all rooms at once."""
    room_ids = await of_alice(bench, ROOMS)
    inboxes = inbox_reader(bench.redis)
    await inboxes.read("alice")  # scripts are loaded now
    trips = round_trips(monkeypatch)
    found = await inboxes.read("alice")
    assert {row.room_id for row in found.rows} == set(room_ids)
    assert len(trips) <= 3


async def listed(
    inboxes: InboxReader, limit: int = 100, *, hidden: bool = False
) -> tuple[list[str], Totals]:
    """The ids of alice's rooms over all pages, and the totals of the last one."""
    found: list[str] = []
    after: str | None = None
    while True:
        page = await inboxes.page("alice", limit, after, hidden=hidden)
        found += [room["room_id"] for room in page["rooms"]]
        after = page["next_cursor"]
        if after is None:
            return found, page["unread"]


async def test_the_list_is_by_activity_and_pages_by_cursor(bench: Bench) -> None:
    """Newest first, hidden rooms apart; muted and hidden rooms count in no total."""
    one, two, three, silent = await of_alice(bench, 4)
    for n, room_id in enumerate((two, one, three, two)):
        await bench.append(message(room_id, "bob", f"m-{n}"))
        await bench.redis.hset(keys.room(room_id).head, "last_ms", n)
    inboxes = inbox_reader(bench.redis)
    for limit in (1, 2, 100):
        assert await listed(inboxes, limit) == (
            [silent, two, three, one],
            {"total": 4, "rooms": 3},
        )
    assert (await inboxes.read("alice")).unread == await inboxes.unread("alice")
    await bench.append(settings_changed(two, "alice", {"muted": True}))
    await bench.append(settings_changed(three, "alice", {"hidden": True}))
    assert await listed(inboxes) == ([silent, two, one], {"total": 1, "rooms": 1})
    assert (await listed(inboxes, hidden=True))[0] == [three]
    assert (await inboxes.read("alice")).unread == await inboxes.unread("alice")


@pytest.mark.parametrize("rooms", [12, 150])
async def test_a_page_evaluates_a_script_for_its_own_rooms_alone(bench: Bench, rooms: int) -> None:
    """Of all others it reads three plain commands each, and totals evaluate none."""
    room_ids = await of_alice(bench, rooms)
    for room_id in room_ids[::2]:
        await bench.append(message(room_id, "bob", "m"))
    inboxes = inbox_reader(bench.redis)
    await listed(inboxes, 10)  # scripts are loaded now
    before = await calls(bench)
    page = await inboxes.page("alice", 10, None, hidden=False)
    cost = await calls(bench) - before
    assert len(page["rooms"]) == 10
    assert page["unread"]["rooms"] == len(room_ids[::2])
    assert cost["evalsha"] <= 10 + INDEX_SCRIPTS
    before = await calls(bench)
    assert await inboxes.unread("alice") == page["unread"]
    cost = await calls(bench) - before
    assert cost["evalsha"] <= INDEX_SCRIPTS
    assert cost.total() <= 5 * rooms + 20


async def calls(bench: Bench) -> Counter[str]:
    """Calls of each command so far, those inside scripts included."""
    stats: Any = await bench.redis.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()})


@pytest.mark.parametrize("rooms", [3, 30])
async def test_rooms_that_left_redis_are_read_in_batches(deployed: Deployed, rooms: int) -> None:
    """Three items of each, and a query for each with unread messages; none while they are warm."""
    reader = f"reader-{rooms}"
    room_ids = [await deployed.group("alice", reader) for _ in range(rooms)]
    for room_id in room_ids[:2]:
        await deployed.send(room_id, "alice", "unread")
    await deployed.store()
    inboxes = deployed.services.inboxes
    await inboxes.read(reader)  # the index is rebuilt now
    with counted_calls(deployed.services.archive) as asked:
        assert (await inboxes.read(reader)).unread == {"total": 2, "rooms": 2}
        assert not asked
        for room_id in room_ids:
            await deployed.expire(room_id)
        assert (await inboxes.read(reader)).unread == {"total": 2, "rooms": 2}
    assert asked == {"_batch": 2, "items": 3 * rooms, "_under": 2}
