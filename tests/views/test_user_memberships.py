"""Memberships of users: questions about strangers cost the same, whoever they are (A4)."""

from __future__ import annotations

import pytest

from rts_server.persistence.archive import Archive
from rts_server.persistence.stored_items import StoredMembership
from rts_server.views.user_memberships import NONEXISTENT_USER_ID
from tests.helpers.deployed import Deployed


async def test_a_stranger_costs_as_much_as_a_user_who_does_not_exist(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One query to the archive for each, and no read of the stranger's rooms (A4)."""
    services = deployed.services
    asked: list[str] = []
    ask = Archive.rooms_of

    async def counted(self: Archive, user_id: str) -> list[StoredMembership]:
        asked.append(user_id)
        return await ask(self, user_id)

    monkeypatch.setattr(Archive, "rooms_of", counted)
    for user_id in ("alice", "bob"):
        await services.user_rooms.note(user_id, f"room-of-{user_id}", 1, 1, "in")
        await services.user_rooms.rebuild(user_id, [])
    assert await services.user_memberships.share_room("alice", ["bob", "nobody"]) == set()
    assert asked == [NONEXISTENT_USER_ID, "nobody"]
