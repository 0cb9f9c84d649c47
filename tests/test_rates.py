"""Rate limits are pure arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rts_server.rates import MAX_IDLE_KEYS, RATES, Buckets, RateLimit, parse

RATE = RateLimit(5, 10)


@given(st.lists(st.floats(0, 2), max_size=60), st.floats(0, 2))
def test_never_more_than_burst_and_rate(pauses: list[float], max_wait: float) -> None:
    """In any period at most the burst and what the rate gives is taken."""
    buckets, now, taken = Buckets({"messages": RATE}), 0.0, list[float]()
    for pause in pauses:
        now += pause
        wait = buckets.take("messages", "alice", now, max_wait=max_wait)
        if wait <= max_wait:
            taken.append(now + wait)
    for first, begun in enumerate(taken):
        for last in range(first, len(taken)):
            span = taken[last] - begun
            assert last - first + 1 <= RATE.burst + RATE.per_second * span + 1e-6


@given(st.integers(1, 100))
def test_waiting_as_long_as_returned_is_enough(times: int) -> None:
    """A refused call takes nothing."""
    buckets, now = Buckets({"messages": RATE}), 0.0
    for _ in range(times):
        wait = buckets.take("messages", "alice", now)
        if wait:
            assert not buckets.take("messages", "alice", now + wait + 1e-9)
            now += wait + 1e-9


@given(st.floats(0, 1e8))
def test_a_whole_burst_can_be_taken_at_any_time(now: float) -> None:
    """Rounding refuses nothing."""
    for rate in RATES.values():
        buckets = Buckets({"messages": rate})
        assert buckets.take("messages", "alice", now, rate.burst) == 0


def test_each_key_has_its_own_bucket_and_a_cost_counts() -> None:
    """A cost of fifty takes fifty tokens of one user only."""
    buckets = Buckets({"presence_ids": RateLimit(50, 500)})
    assert buckets.take("presence_ids", "alice", 0.0, 500) == 0
    assert buckets.take("presence_ids", "alice", 0.0, 50) == pytest.approx(1.0)
    assert buckets.take("presence_ids", "bob", 0.0, 500) == 0


def test_full_buckets_are_forgotten() -> None:
    """Memory is bounded by the keys that are used at the same time."""
    buckets = Buckets({"commands": RateLimit(20, 40)})
    for n in range(3 * MAX_IDLE_KEYS):
        buckets.take("commands", str(n), n / 1000)
    assert len(buckets._full_at) <= MAX_IDLE_KEYS + 1


def test_many_used_buckets_are_not_scanned_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as many keys cost twice as much, not four times."""
    buckets, forget = Buckets({"typing": RateLimit(1 / 3, 1)}), Buckets._forget
    swept = 0

    def counted(self: Buckets, now: float) -> None:
        nonlocal swept
        swept += len(self._full_at)
        forget(self, now)

    monkeypatch.setattr(Buckets, "_forget", counted)
    for n in range(4 * MAX_IDLE_KEYS):
        buckets.take("typing", str(n), n / 1e6)
    assert swept <= 8 * MAX_IDLE_KEYS


def test_rates_are_changed_by_name() -> None:
    """Other rates stay; an invalid text is an error that quotes it."""
    assert parse("") == RATES
    changed = parse("messages=2/4, history=0.5/1")
    assert (changed["messages"], changed["history"]) == (RateLimit(2, 4), RateLimit(0.5, 1))
    assert changed["commands"] == RATES["commands"]
    for text in ("messages", "messages=5", "nobody=1/1", "messages=0/1", "messages=1/0"):
        with pytest.raises(ValueError, match="="):
            parse(text)
