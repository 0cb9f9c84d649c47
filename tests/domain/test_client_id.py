"""When a message was first tried, as its id says."""

from __future__ import annotations

from uuid import UUID

import pytest

from rts_server.domain.client_id import time_of
from tests.helpers.client_ids import uuid7


@pytest.mark.parametrize("seconds", [0.0, 1645557742.0, 281474976710.655])
def test_a_uuid_of_version_7_has_the_time_at_which_it_was_made(seconds: float) -> None:
    """In milliseconds; the second one is the example of RFC 9562, appendix A.6."""
    assert time_of(uuid7(seconds)) == seconds


def test_the_example_of_the_rfc_is_read() -> None:
    """RFC 9562, appendix A.6, in each spelling that an identifier may have."""
    example = "017F22E2-79B0-7CC3-98C4-DC0C0C07398F"
    spellings = [example, example.lower(), example.replace("-", "")]
    assert [time_of(one) for one in spellings] == [1645557742.0] * 3


@pytest.mark.parametrize(
    "other", ["m1", "", "7" * 32, "x" * 64, str(UUID(int=4 << 76)), str(UUID(int=0))]
)
def test_other_ids_have_no_time(other: str) -> None:
    """They are as good as any, for as long as Redis remembers ids."""
    assert time_of(other) is None
