"""The inbox: rooms by activity, with totals, in few round trips."""

from __future__ import annotations

import pytest

from rts_server import keys
from rts_server.persistence.user_rooms import IndexedMembership, UserRooms
from rts_server.roomlog.room_events import settings_changed
from tests.helpers.bench import Bench, message, round_trips
from tests.views.inboxes import inbox_reader

ROOMS = 500


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


async def test_the_list_is_by_activity_and_pages_by_cursor(bench: Bench) -> None:
    """Newest first, hidden rooms apart; muted and hidden rooms count in no total."""
    one, two, three = await of_alice(bench, 3)
    for n, room_id in enumerate((two, one, three, two)):
        await bench.append(message(room_id, "bob", f"m-{n}"))
        await bench.redis.hset(keys.room(room_id).head, "last_ms", n)
    inboxes = inbox_reader(bench.redis)
    found = await inboxes.read("alice")
    assert found.unread == {"total": 4, "rooms": 3}
    order = [row.room_id for row in found.rows]
    assert order == [two, three, one]
    first = found.rows[0]
    rest = found.after((first.active_ms, first.room_id), hidden=False)
    assert [row.room_id for row in rest] == order[1:]
    await bench.append(settings_changed(two, "alice", {"muted": True}))
    await bench.append(settings_changed(three, "alice", {"hidden": True}))
    found = await inboxes.read("alice")
    assert found.unread == {"total": 1, "rooms": 1}
    assert {row.room_id for row in found.after(None, hidden=False)} == {one, two}
    assert [row.room_id for row in found.after(None, hidden=True)] == [three]
