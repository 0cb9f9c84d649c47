"""The write batcher flushes what one turn wrote, in bounded slices."""

from __future__ import annotations

import asyncio

from rts_server.engine.write_batcher import MAX_FLUSHES_PER_TURN, WriteBatcher


class Noted:
    """A connection that notes its flush."""

    def __init__(self, name: int, notes: list[int | str]) -> None:
        self._name, self._notes = name, notes

    def flush(self) -> None:
        """Note it."""
        self._notes.append(self._name)


async def two_turns() -> None:
    """Let the loop run twice."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_all_connections_are_flushed_in_order_at_the_end_of_the_turn() -> None:
    """Nothing is written during the turn, everything at its end."""
    notes: list[int | str] = []
    batcher = WriteBatcher()
    for n in range(3):
        batcher.schedule(Noted(n, notes))
    assert notes == []
    await asyncio.sleep(0)
    assert notes == [0, 1, 2]


async def test_a_failed_flush_does_not_delay_other_connections() -> None:
    """Others are flushed all the same, and the loop is told of the error."""
    notes: list[int | str] = []
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: told.append(context["exception"])
    )
    batcher, broken = WriteBatcher(), RuntimeError("the handler is closed")

    class Breaks(Noted):
        def flush(self) -> None:
            raise broken

    for one in (Noted(1, notes), Breaks(2, notes), Noted(3, notes)):
        batcher.schedule(one)
    await two_turns()
    batcher.schedule(Noted(4, notes))
    await two_turns()
    assert notes == [1, 3, 4]
    assert told == [broken]


async def test_flushing_a_large_room_yields_to_other_work() -> None:
    """Other work runs between the slices."""
    notes: list[int | str] = []
    batcher, loop = WriteBatcher(), asyncio.get_running_loop()
    for n in range(MAX_FLUSHES_PER_TURN + 2):
        batcher.schedule(Noted(n, notes))
    loop.call_soon(notes.append, "somebody else")
    await two_turns()
    assert notes == [
        *range(MAX_FLUSHES_PER_TURN),
        "somebody else",
        MAX_FLUSHES_PER_TURN,
        MAX_FLUSHES_PER_TURN + 1,
    ]


async def test_a_write_during_a_flush_is_flushed_too() -> None:
    """A write during a flush is not lost."""
    notes: list[int | str] = []
    batcher = WriteBatcher()

    class Asks(Noted):
        def flush(self) -> None:
            super().flush()
            batcher.schedule(Noted(2, notes))

    batcher.schedule(Asks(1, notes))
    await two_turns()
    assert notes == [1, 2]
