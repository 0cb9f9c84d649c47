"""Positions: pure decisions on the next event."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rts_server.domain.position import Position
from rts_server.realtime.sequence import (
    PublishedEvent,
    Verdict,
    classify,
    is_contiguous,
    parse,
    parse_stored,
)

POSITIONS = st.tuples(st.integers(0, 5), st.integers(0, 5))


@pytest.mark.parametrize(
    ("stands", "heard", "verdict"),
    [
        ((1, 5), (1, 6), Verdict.NEXT),
        ((1, 5), (1, 5), Verdict.STALE),
        ((1, 5), (1, 1), Verdict.STALE),
        ((1, 5), (1, 7), Verdict.GAP),
        ((2, 1), (1, 9), Verdict.STALE),
        ((1, 5), (2, 1), Verdict.EPOCH),
        ((1, 5), (3, 6), Verdict.EPOCH),
        ((0, 0), (1, 1), Verdict.EPOCH),
    ],
)
def test_positions_are_classified_as_next_stale_gap_or_another_epoch(
    stands: Position, heard: Position, verdict: Verdict
) -> None:
    """The next event is delivered, a stale one dropped, a gap filled, another epoch begins anew."""
    assert classify(stands, heard) is verdict


@given(POSITIONS, POSITIONS)
def test_only_newer_events_move_the_position(stands: Position, heard: Position) -> None:
    """Stale is everything up to the current position; next is only the next offset."""
    verdict = classify(stands, heard)
    assert (verdict is Verdict.STALE) == (heard <= stands)
    assert (verdict is Verdict.NEXT) == (heard == (stands[0], stands[1] + 1))


def opening(position: Position, prev: list[int], kind: str = "room.epoch") -> PublishedEvent:
    """The first event of an epoch."""
    return PublishedEvent(position, kind, json.dumps({"type": kind, "data": {"prev": prev}}))


def test_an_epoch_follows_only_on_its_prev() -> None:
    """A client exactly at `prev` goes on; any other may have missed events."""
    assert is_contiguous((1, 5), opening((2, 1), [1, 5]))
    assert not is_contiguous((1, 6), opening((2, 1), [1, 5]))
    assert not is_contiguous((1, 4), opening((2, 1), [1, 5]))
    assert not is_contiguous(None, opening((2, 1), [1, 5]))
    assert not is_contiguous((1, 5), opening((2, 2), [1, 5]))
    assert not is_contiguous((1, 5), opening((2, 1), [1, 5], kind="room.created"))


@given(st.integers(0, 10**10), st.integers(0, 10**10), st.text("ab ~\n", max_size=8))
def test_an_event_as_published_and_as_stored(epoch: int, offset: int, text: str) -> None:
    """The JSON is kept to the byte; ephemeral events have a mark."""
    body = json.dumps({"type": "message.new", "text": text}, ensure_ascii=False)
    durable = parse(f"{epoch} {offset} message.new {body}".encode())
    assert durable == PublishedEvent((epoch, offset), "message.new", body)
    assert parse_stored(f"{epoch} {offset} {body}".encode()) == durable
    passing = parse(f"{epoch} {offset} ~typing.changed {body}".encode())
    assert passing == PublishedEvent((epoch, offset), "typing.changed", body, durable=False)
