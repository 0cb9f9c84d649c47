"""Which pending appends are asked for."""

from __future__ import annotations

from rts_server import keys
from rts_server.roomlog.late_appends import (
    APPEND_MEMORY_BYTES,
    POLL_SECONDS,
    POLLS_PER_SECOND,
    LateAppends,
)
from rts_server.roomlog.pending import PendingAppend
from tests.helpers.bench import message
from tests.roomlog.fakes import pending_append, request


def appended(name: str, room_id: str = "room", due: float = 0.0) -> PendingAppend:
    """An append of a room that is due for a poll at a time."""
    pending = pending_append(request(name, room_id), 1, 1, "1-0")
    pending.next_poll = due
    return pending


async def test_a_partition_is_polled_once_a_second() -> None:
    """However many of its appends are late, and however often one becomes late."""
    other = next(r for r in map(str, range(99)) if keys.partition(r) != keys.partition("room"))
    first, second, elsewhere = appended("a"), appended("b"), appended("c", other)
    late = LateAppends()
    assert late.due([first, appended("later", due=11.0)], 10.0) == [first]
    assert late.due([first, second, elsewhere], 10.5) == [elsewhere]
    assert late.due([first, second], 10.0 + POLL_SECONDS) == [first, second]


async def test_polls_are_bounded_however_many_partitions_have_late_appends() -> None:
    """Each partition has its turn, and none a second one before."""
    rooms = {keys.partition(room): room for room in map(str, range(20_000))}
    assert len(rooms) == keys.PARTITIONS
    late, appends = LateAppends(), [appended("a", room) for room in rooms.values()]
    seconds = keys.PARTITIONS // POLLS_PER_SECOND
    polled = [late.due(appends, 10.0 + second) for second in range(seconds)]
    assert {len(some) for some in polled} == {POLLS_PER_SECOND}
    assert {one.request.room_id for some in polled for one in some} == set(rooms.values())
    assert late.due(appends, 10.0 + seconds) == polled[0]


async def test_late_appends_hold_memory_until_they_are_resolved() -> None:
    """Also one that waits to be stored, for which nobody asks; a text counts with its length."""
    short, busy = appended("a"), appended("b")
    long = pending_append(message("room", "alice", text="x" * 1000), 1, 1, "1-0")
    busy.busy = True
    late = LateAppends()
    assert late.due([short, busy, long, appended("c", due=11.0)], 10.0) == [short, long]
    late.due([short, busy, long], 11.0)
    assert 0 < late.held_bytes - 3 * APPEND_MEMORY_BYTES - 1000 < 1000
    for one in (short, busy, long):
        late.resolved(one)
    assert late.held_bytes == 0
