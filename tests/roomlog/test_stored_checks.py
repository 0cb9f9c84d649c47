"""Which items of the archive show that an append is stored."""

from __future__ import annotations

from typing import Any

from rts_server.persistence.archive import Check
from rts_server.roomlog.member_events import (
    member_added,
    member_left,
    member_removed,
    member_renamed,
)
from rts_server.roomlog.request import AppendResult, Op
from rts_server.roomlog.room_events import settings_changed
from rts_server.roomlog.stored_checks import final_durability, stored_checks
from tests.helpers.bench import group, message


def test_the_archive_must_show_the_room_and_each_affected_member() -> None:
    """The item of the room and of each affected member, at the position of the event."""

    def checks(request: Any, picked: dict[Op, tuple[str, ...]], offset: int) -> list[Check]:
        none: frozenset[str] = frozenset()
        return stored_checks(request, AppendResult(1, offset, 0, "", none, picked, "pending"))

    created = group("alice", "bob")
    room, one, two = (f"0000000001#000000000{n}" for n in (1, 2, 4))
    assert checks(created, {"join": ("alice", "bob")}, 2) == [
        (created.room_id, "ROOM", "pos", room),
        (created.room_id, "MEMBER#alice", "pos", one),
        (created.room_id, "MEMBER#bob", "pos", one),
    ]
    add = member_added("r", "alice", ["bob", "carol"], "member")
    assert checks(add, {"join": ("carol",)}, 5) == [("r", "MEMBER#carol", "pos", two)]
    leave = member_left("r", "alice", "bob")
    assert checks(leave, {"role": ("bob",), "go": ("alice",)}, 5) == [
        ("r", "MEMBER#bob", "role_pos", one),
        ("r", "MEMBER#alice", "pos", two),
    ]
    assert checks(leave, {"go": ("alice",)}, 5) == [("r", "MEMBER#alice", "pos", two)]
    gone = member_removed("r", "alice", ["bob"])
    assert checks(gone, {"go": ("bob",)}, 5) == [("r", "MEMBER#bob", "pos", two)]
    renamed = member_renamed("r", "ops", "bob", "Bob")
    assert checks(renamed, {"name": ("bob",)}, 4) == [("r", "MEMBER#bob", "role_pos", two)]
    assert checks(message("r", "alice"), {}, 5) == []
    settings = settings_changed("r", "bob", {"muted": True})
    done = AppendResult(1, 5, 0, "", frozenset(), {}, "pending", settings_rev=3)
    position = "0000000001#0000000005#0000000003"
    assert stored_checks(settings, done) == [("r", "MEMBER#bob", "settings_pos", position)]


def test_messages_can_be_queued_and_changes_of_rooms_and_members_stored() -> None:
    """An append that affected nobody has nothing to show in the archive."""
    none: frozenset[str] = frozenset()
    added = member_added("r", "alice", ["bob"], "member")
    joined = AppendResult(1, 2, 0, "", none, {"join": ("bob",)}, "pending")
    assert final_durability(added, joined) == "stored"
    nobody = AppendResult(1, 2, 0, "", none, {}, "pending")
    assert final_durability(added, nobody) == "queued"
    assert final_durability(message("r", "alice"), nobody) == "queued"
