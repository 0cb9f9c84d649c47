"""Waiting times that grow."""

from __future__ import annotations

from rts_server.runtime.backoff import delay


def test_the_last_delay_repeats() -> None:
    """However many tries there are."""
    assert [delay((0.1, 0.5, 2.0), attempt) for attempt in range(5)] == [0.1, 0.5, 2.0, 2.0, 2.0]
