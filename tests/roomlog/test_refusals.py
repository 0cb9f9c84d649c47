"""The refusals of the room log."""

from __future__ import annotations

import pytest

from rts_server import errors
from rts_server.roomlog.refusals import _REFUSALS, NotAMember, refusal


@pytest.mark.parametrize("outcome", _REFUSALS)
def test_each_refusal_is_a_new_exception(outcome: str) -> None:
    """An instance that is raised twice would keep the frames of both raises."""
    one, other = refusal(outcome), refusal(outcome)
    assert one is not other
    assert type(one) is type(other)
    assert one.message == other.message != ""


def test_refusals_that_may_be_repeated_say_when() -> None:
    """A full queue names a delay; an unknown member is not found."""
    assert refusal("full").retry_after_ms == 1000
    assert isinstance(refusal("no_member"), NotAMember)
    assert isinstance(refusal("no_member"), errors.NotFound)
