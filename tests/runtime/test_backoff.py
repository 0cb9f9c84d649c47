"""Delays between tries."""

from __future__ import annotations

from rts_server.runtime.backoff import MAX_BACKOFF_SECONDS, backoff, delay


def test_the_last_delay_repeats() -> None:
    """A schedule of delays never ends: after its last one, that one is used again."""
    assert [delay((0.1, 0.5, 2.0), attempt) for attempt in range(5)] == [0.1, 0.5, 2.0, 2.0, 2.0]


def test_the_backoff_doubles_up_to_one_second() -> None:
    """It doubles with every failure and stays at its maximum after a million of them."""
    assert [backoff(failures) for failures in range(1, 7)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0]
    assert backoff(1_000_000) == MAX_BACKOFF_SECONDS == 1.0
