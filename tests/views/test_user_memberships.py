"""Memberships of users: questions about strangers cost the same, whoever they are (A4)."""

from __future__ import annotations

import pytest

from rts_server.persistence.archive import Archive
from rts_server.persistence.stored_items import StoredMembership
from tests.helpers.deployed import Deployed

KNOWN = [f"stranger-{n}" for n in range(60)]
UNKNOWN = [f"nobody-{n}" for n in range(60)]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The user ids of all queries to the archive."""
    seen: list[str] = []
    ask = Archive.rooms_of

    async def counted(self: Archive, user_id: str) -> list[StoredMembership]:
        seen.append(user_id)
        return await ask(self, user_id)

    monkeypatch.setattr(Archive, "rooms_of", counted)
    return seen


async def test_a_stranger_costs_as_much_as_a_user_who_does_not_exist(
    deployed: Deployed, asked: list[str]
) -> None:
    """One query to the archive for each, of a key of its own, and no read of their rooms (A4)."""
    services = deployed.services
    for user_id in ("alice", *KNOWN):
        await services.user_rooms.note(user_id, f"room-of-{user_id}", 1, 1, "in")
        await services.user_rooms.rebuild(user_id, [])
    assert await services.user_memberships.share_room("alice", [*KNOWN, *UNKNOWN]) == set()
    assert len(asked) == len(set(asked)) == len(KNOWN) + len(UNKNOWN)
    assert sum(" " in user_id for user_id in asked) == len(KNOWN)
    assert set(UNKNOWN) < set(asked)
