"""Outbox entries and room queues: which records are sent together, without any I/O."""

from __future__ import annotations

import json
from collections import Counter
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rts_server.persistence import outbox
from rts_server.persistence.outbox import Entry, Key
from rts_server.relay import room_queues
from rts_server.relay.room_queues import RoomQueues

IDS = count(1)


def entry(room: str, *, nonce: str | None = None, size: int = 10, part: int = 0) -> Entry:
    number = next(IDS)
    position = "" if nonce else f"1:{number}"
    return Entry(part, f"{number}-0", "m", room, position, "k", "origin", "x" * size, nonce)


def accept(batch: list[Entry]) -> set[Key]:
    return {one.key for one in batch}


def test_an_entry_of_the_stream() -> None:
    """The fields of the contract become an entry whose body is ASCII and equal as JSON."""
    record = '{"text":"Größe 😀 \\n \\u0041"}'
    fields = {
        b"q": b"r",
        b"r": b"room",
        b"e": b"3:14",
        b"k": b"request",
        b"o": b"me",
        b"d": record.encode(),
        b"u": b'[["alice","in"],["bob","out"]]',
    }
    one = outbox.parse(17, b"5-1", fields)
    assert (one.partition, one.entry_id, one.queue, one.dedup) == (17, "5-1", "r", "room:3:14")
    assert one.users == (("alice", "in"), ("bob", "out"))
    assert one.body.isascii()
    assert json.loads(one.body) == json.loads(record)


def test_a_barrier_has_a_dedup_id_of_its_own() -> None:
    """A barrier has a nonce instead of a position."""
    fields = {b"q": b"m", b"r": b"room", b"k": b"n", b"o": b"me", b"b": b"n", b"d": b"{}"}
    assert outbox.parse(0, b"5-1", fields).dedup == "room:barrier:n"


@pytest.mark.parametrize("without", [b"q", b"r", b"d", b"e"])
def test_a_stream_entry_without_a_field_is_refused(without: bytes) -> None:
    """A stream entry without one of its fields is a ValueError, not a KeyError."""
    fields = {b"q": b"m", b"r": b"room", b"e": b"1:1", b"k": b"k", b"o": b"o", b"d": b"{}"}
    del fields[without]
    with pytest.raises(ValueError, match="not an outbox entry"):
        outbox.parse(0, b"1-1", fields)


@given(st.text())
def test_ascii_json_is_the_same_json(text: str) -> None:
    """Whatever the text, the escaped record reads as the original one."""
    record = json.dumps({"text": text}, ensure_ascii=False)
    try:
        raw = record.encode()
    except UnicodeEncodeError:
        return
    assert outbox.ascii_json(raw).isascii()
    assert json.loads(outbox.ascii_json(raw)) == {"text": text}


def test_a_batch_holds_ten_entries_and_a_mebibyte() -> None:
    """Both bounds hold; an entry that is too large alone is still sent, alone."""
    queues = RoomQueues()
    for _ in range(12):
        queues.offer(entry("a"))
    assert len(queues.take(0)) == 10
    queues = RoomQueues()
    for room in ("a", "a", "b", "c"):
        queues.offer(entry(room, size=400_000))
    assert [one.room_id for one in queues.take(0)] == ["a", "a"]
    assert [one.room_id for one in queues.take(0)] == ["b", "c"]
    queues = RoomQueues()
    queues.offer(entry("big", size=2_000_000))
    queues.offer(entry("small"))
    assert [one.room_id for one in queues.take(0)] == ["big"]


def test_a_barrier_waits_for_all_before_it_and_goes_alone() -> None:
    """Nothing of its room is in the barrier's batch, and everything before it was accepted."""
    queues = RoomQueues()
    sent = [entry("a"), entry("a"), entry("a", nonce="n"), entry("a"), entry("b")]
    for one in sent:
        queues.offer(one)
    first = queues.take(0)
    assert first == [sent[0], sent[1], sent[4]]
    assert queues.take(0) == []
    queues.finish_batch(first, {sent[0].key, sent[4].key}, 0)
    assert queues.take(0) == []
    again = queues.take(1)
    assert again == [sent[1]]
    queues.finish_batch(again, accept(again), 1)
    alone = queues.take(1)
    assert alone == [sent[2]]
    assert queues.take(1) == []
    queues.finish_batch(alone, accept(alone), 1)
    assert queues.take(1) == [sent[3]]


def test_a_refused_room_waits_longer_each_time_and_the_others_go_on() -> None:
    """The backoff of a room doubles up to one second and holds nobody else."""
    queues = RoomQueues()
    queues.offer(entry("sick"))
    now, waits = 0.0, []
    for _ in range(7):
        batch = queues.take(now)
        queues.finish_batch(batch, set(), now)
        queues.offer(entry("well"))
        well = queues.take(now)
        assert [one.room_id for one in well] == ["well"]
        queues.finish_batch(well, accept(well), now)
        due = queues.seconds_until_due(now)
        assert due
        waits.append(due)
        now += due
    assert waits == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


def test_when_the_queue_is_away_one_batch_at_a_time_tries() -> None:
    """A request that fails as a whole closes the queue; the first success reopens it."""
    queues = RoomQueues()
    for i in range(40):
        queues.offer(entry(f"room-{i}"))
    in_flight = [queues.take(0), queues.take(0)]
    for batch in in_flight:
        queues.finish_batch(batch, None, 0)
    assert queues.take(0) == []
    assert queues.seconds_until_due(0) == pytest.approx(0.1)
    probe = queues.take(0.2)
    assert len(probe) == 10
    assert queues.take(0.2) == []
    assert queues.seconds_until_due(0.2) is None
    queues.finish_batch(probe, accept(probe), 0.3)
    assert queues.take(0.3)
    assert queues.take(0.3)


def test_a_refused_room_does_not_fill_the_memory() -> None:
    """Beyond 200 entries a room's rest stays in the stream, until it has space again."""
    queues = RoomQueues()
    sent = [entry("a", part=5) for _ in range(300)]
    assert [queues.offer(one) for one in sent] == [True] * 200 + [False] * 100
    assert queues.truncated_partitions() == {5}
    assert queues.held == 200
    while not queues.rescan:
        batch = queues.take(0)
        queues.finish_batch(batch, accept(batch), 0)
    assert queues.rescan == {5}
    assert not queues.truncated_partitions()
    assert queues.held == 100
    assert queues.offer(sent[200])


def test_a_dropped_partition_leaves_only_what_is_in_flight() -> None:
    """After a lost lease nothing more is sent, and what SQS accepts then is not ours to delete."""
    queues = RoomQueues()
    for _ in range(12):
        queues.offer(entry("a", part=1))
    queues.offer(entry("b", part=2))
    batch = queues.take(0)
    queues.drop({1})
    again = entry("a", part=1)
    queues.offer(again)
    assert [one.room_id for one in queues.take(0)] == ["b"]
    assert queues.finish_batch(batch, accept(batch), 0) == []
    assert queues.take(0) == [again]
    assert queues.held == 2


def test_the_same_entry_id_in_two_partitions() -> None:
    """Ids are unique within a stream only: an accepted entry never stands for a refused one."""
    queues = RoomQueues()
    one, other = (
        Entry(part, "5-0", "m", room, "1:1", "k", "o", "{}") for part, room in ((1, "a"), (2, "b"))
    )
    assert queues.offer(one)
    assert queues.offer(other)
    assert queues.finish_batch(queues.take(0), {one.key}, 0) == [one]
    assert queues.take(1) == [other]


ROOMS = st.sampled_from("abcd")
ENTRY = st.tuples(ROOMS, st.booleans(), st.sampled_from([10, 10, 10, 600_000]))


@given(st.lists(ENTRY, max_size=60), st.data())
def test_the_rules_of_the_outbox_hold_under_any_refusals(
    plan: list[tuple[str, bool, int]], data: st.DataObject
) -> None:
    """Order per room, one batch per room in flight, bounds, barriers; and at last all is sent."""
    queues = RoomQueues()
    waiting = [entry(room, nonce="n" if bar else None, size=size) for room, bar, size in plan]
    order = {room: [one for one in waiting if one.room_id == room] for room in "abcd"}
    gone: set[Key] = set()
    in_flight: list[list[Entry]] = []
    now = 0.0
    for step in count():
        calm = step > 300
        while waiting and (calm or data.draw(st.booleans())):
            assert queues.offer(waiting.pop(0))
        while batch := queues.take(now):
            in_flight.append(batch)
            _check(batch, in_flight, order, gone)
        if in_flight:
            answered = in_flight.pop(0 if calm else data.draw(st.integers(0, len(in_flight) - 1)))
            fates = st.lists(st.booleans(), min_size=len(answered), max_size=len(answered))
            fate = [True] * len(answered) if calm else data.draw(st.none() | fates)
            got = (
                None
                if fate is None
                else {one.key for one, ok in zip(answered, fate, strict=True) if ok}
            )
            done = queues.finish_batch(answered, got, now)
            assert accept(done) == (got or set())
            gone |= got or set()
        now += queues.seconds_until_due(now) or 0.0
        if not waiting and not in_flight and not queues.held:
            break
        assert step < 2_000
    assert len(gone) == len(plan)


def _check(
    batch: list[Entry], in_flight: list[list[Entry]], order: dict[str, list[Entry]], gone: set[Key]
) -> None:
    assert len(batch) <= room_queues.MAX_BATCH_ENTRIES
    assert len(batch) == 1 or sum(one.size for one in batch) <= room_queues.MAX_BATCH_BYTES
    rooms = Counter(room for one in in_flight for room in {entry.room_id for entry in one})
    assert max(rooms.values()) == 1
    for room in {one.room_id for one in batch}:
        mine = [one for one in batch if one.room_id == room]
        left = [one for one in order[room] if one.key not in gone]
        assert mine == left[: len(mine)]
        assert len(mine) == 1 or not any(one.nonce for one in mine)
