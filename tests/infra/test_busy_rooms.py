"""How far rooms get behind in the message queue, and who notices it (docs/operations.md)."""

from __future__ import annotations

from heapq import merge
from itertools import repeat

import pytest

from rts_server.rates import RATES
from tests.helpers.fifo_queue import BATCH_RECORDS, stored
from tests.helpers.template import resources

DRAINED_PER_SECOND = 300
"""Of one room, at least: `python -m bench.functions`."""
BATCH_SECONDS = BATCH_RECORDS / DRAINED_PER_SECOND
SECONDS = 30
OTHERS = [(number / 1_000, f"other-{number % 400}") for number in range(SECONDS * 1_000)]
"""A thousand messages a second in 400 rooms."""


def functions() -> int:
    mapping = resources()["MessageMapping"]["Properties"]
    assert mapping["BatchSize"] == BATCH_RECORDS
    return int(mapping["ScalingConfig"]["MaximumConcurrency"])


def busy(room: str, behind: int) -> list[tuple[float, str]]:
    """A room that is behind by so many records, and goes on at the rate of a room."""
    rate = RATES["room"].per_second
    goes_on = ((number / rate, room) for number in range(int(SECONDS * rate)))
    return [*repeat((0.0, room), behind), *goes_on]


def slowest(*rooms: list[tuple[float, str]]) -> tuple[float, float]:
    """The longest times (s) until a record of others, and of these rooms, is stored."""
    others = rest = 0.0
    for room, seconds in stored(merge(OTHERS, *rooms), functions(), BATCH_SECONDS):
        if room.startswith("other"):
            others = max(others, seconds)
        else:
            rest = max(rest, seconds)
    return others, rest


def test_a_room_at_its_rate_is_never_behind() -> None:
    """It drains three times as fast, so its burst is stored within two seconds."""
    assert RATES["room"].per_second * 3 <= DRAINED_PER_SECOND
    others, rest = slowest(busy("busy", int(RATES["room"].burst)))
    assert others <= 2 * BATCH_SECONDS
    assert rest < 2


def test_others_do_not_notice_a_room_that_is_far_behind() -> None:
    """They are stored as if 100,000 records of one room were not there."""
    alone, _ = slowest()
    others, rest = slowest(busy("busy", 100_000))
    assert others == pytest.approx(alone, abs=BATCH_SECONDS)
    assert rest == pytest.approx(100_000 / DRAINED_PER_SECOND, rel=0.05)


def test_others_wait_while_more_are_behind_than_sqs_looks_at() -> None:
    """Two such rooms hold them up until fewer than 120,000 records are left."""
    others, _ = slowest(busy("first", 100_000), busy("second", 100_000))
    assert others == pytest.approx(80_000 / (2 * DRAINED_PER_SECOND), rel=0.05)
