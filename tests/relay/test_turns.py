"""Partitions in turn."""

from __future__ import annotations

from rts_server.relay.turns import PARTITIONS_PER_TURN, Turns


def test_each_partition_has_one_turn_in_a_round() -> None:
    """One that was lost meanwhile has none; one that was gained has it in the next round."""
    held = set(range(PARTITIONS_PER_TURN + 5))
    turns = Turns(lambda: held)
    first = turns.next()
    assert len(first) == PARTITIONS_PER_TURN
    lost = next(iter(held - set(first)))
    held.remove(lost)
    held.add(99)
    assert sorted(first + turns.next()) == sorted(held - {99})
    assert sorted(turns.next() + turns.next()) == sorted(held)


def test_without_partitions_there_is_no_turn() -> None:
    """A relay that holds no lease asks nothing."""
    assert Turns(list).next() == []
