"""Notices of the relay."""

from __future__ import annotations

import orjson

from rts_server.roomlog import notices
from rts_server.roomlog.notices import EARLY_NOTICES_MAX, EarlyNotices


def test_a_notice_names_rooms_requests_and_entries() -> None:
    """One message of the relay has the notices of several appends."""
    data = orjson.dumps({"queued": [["room", "m1", "1-0"], ["room", "m2", "1-1"]]})
    assert notices.parse_notice(data) == [("room", "m1", "1-0"), ("room", "m2", "1-1")]


def test_early_notices_are_bounded_and_the_oldest_go_first() -> None:
    """Notices whose appends were never tracked here do not add up (R1)."""
    early = EarlyNotices()
    for n in range(EARLY_NOTICES_MAX + 1):
        early.keep(("room", "m", str(n)))
    assert ("room", "m", "0") not in early
    assert ("room", "m", "1") in early
    assert ("room", "m", str(EARLY_NOTICES_MAX)) in early
    assert ("other", "m", "1") not in early
