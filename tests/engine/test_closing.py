"""The codes and times of `session.closing`."""

from __future__ import annotations

import pytest

from rts_server.engine.closing import FINAL, LATER, RECONNECT, closing


@pytest.mark.parametrize("code", sorted(RECONNECT))
def test_a_retryable_close_has_a_random_retry_time(code: str) -> None:
    """`retry_after_ms` is drawn at random unless it is given."""
    told = closing(code)
    assert (told["code"], told["reconnect"]) == (code, True)
    assert told["retry_after_ms"] is not None
    assert 500 <= told["retry_after_ms"] <= 1_500
    assert closing(code, 20_000)["retry_after_ms"] == 20_000
    assert len({closing(code)["retry_after_ms"] for _ in range(50)}) > 1


@pytest.mark.parametrize("code", sorted(LATER))
def test_a_close_for_a_lasting_reason_has_a_longer_retry_time(code: str) -> None:
    """The time is long enough for the reason to pass."""
    told = closing(code)
    assert (told["code"], told["reconnect"]) == (code, True)
    assert told["retry_after_ms"] is not None
    assert 10_000 <= told["retry_after_ms"] <= 20_000


@pytest.mark.parametrize("code", sorted(FINAL))
def test_a_final_close_has_no_retry_time(code: str) -> None:
    """A final code has no `retry_after_ms`."""
    assert closing(code) == {"code": code, "reconnect": False, "retry_after_ms": None}
