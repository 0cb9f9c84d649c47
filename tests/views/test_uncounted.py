"""Uncounted messages are those of one version of a room, or not known."""

from __future__ import annotations

import pytest

from rts_server.views import uncounted
from rts_server.views.uncounted import UncountedMessages, Version

NOW = Version(b"fence", 1, 3)


@pytest.mark.parametrize("other", [NOW._replace(size=4), NOW._replace(epoch=2), (b"new", 1, 3)])
def test_another_version_is_not_known(other: Version) -> None:
    """Another message, another epoch or another Redis: the set is read again."""
    messages = UncountedMessages()
    messages.keep("r", NOW, [2, 4, 6])
    assert messages.above("r", NOW, 3) == 2
    assert messages.above("r", Version(*other), 3) is None
    assert messages.above("other", NOW, 3) is None
    assert not messages.has("r", Version(*other))


def test_messages_above_a_cursor_are_counted() -> None:
    """The message at the cursor is read."""
    messages = UncountedMessages()
    messages.keep("r", NOW, [2, 4, 6])
    assert [messages.above("r", NOW, read) for read in (0, 2, 3, 6, 9)] == [3, 2, 2, 0, 0]


def test_a_cursor_below_the_kept_ones_is_not_known() -> None:
    """Only the newest are kept."""
    messages, many = UncountedMessages(), NOW._replace(size=9)
    messages.keep("r", many, [12, 14])
    assert messages.has("r", many)
    assert [messages.above("r", many, read) for read in (11, 12, 13)] == [None, 1, 1]


def test_a_bounded_number_of_rooms_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The room that was kept first makes room."""
    monkeypatch.setattr(uncounted, "MAX_KEPT_ROOMS", 2)
    messages = UncountedMessages()
    for room_id in ("a", "b", "a", "c"):
        messages.keep(room_id, NOW, [1])
    assert [messages.has(room_id, NOW) for room_id in ("a", "b", "c")] == [True, False, True]
