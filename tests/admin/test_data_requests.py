"""What the export and the erasure of a user's data read, counted in pages."""

from __future__ import annotations

from typing import Any, cast

import pytest

from rts_server.admin import data_requests
from rts_server.admin.data_requests import DataRequests, Files, Presences
from rts_server.rooms.messages import Messages
from rts_server.views.history import History
from tests.helpers.deployed import Deployed

PAGE = 5
MESSAGES = {"own": 12, "left": 7}
"""Messages of each room, without the line that tells that the user left."""


class Nothing:
    """No files, and no presence."""

    last = 0

    async def attachments(self, room_id: str, user_id: str) -> list[Any]:
        """No file."""
        return []

    async def read(self, user_ids: list[str]) -> dict[str, Any]:
        """Nobody was ever active."""
        return dict.fromkeys(user_ids, self)


async def test_an_export_reads_all_messages_of_the_users_rooms_by_pages(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no index by sender: it costs what is in the rooms, and holds a page at a time."""
    monkeypatch.setattr(data_requests, "EXPORT_PAGE_MESSAGES", PAGE)
    services = deployed.services
    for name, number in MESSAGES.items():
        room_id = await deployed.group("alice", "reader", key=name)
        for n in range(number):
            await deployed.send(room_id, "alice" if n else "reader", f"m{n}")
    await services.memberships.remove(room_id, "alice", ["reader"])
    await deployed.store()
    sizes: list[int] = []
    page = History.page

    async def counted(self: History, *given: Any) -> Any:
        found = await page(self, *given)
        sizes.append(len(found[0]))
        return found

    monkeypatch.setattr(History, "page", counted)
    requests = DataRequests(
        services.system_log,
        Messages(services.statuses, services.system_log, services.history, system=True),
        history=services.history,
        archive=services.archive,
        user_rooms=services.user_rooms,
        files=cast(Files, Nothing()),
        presences=cast(Presences, Nothing()),
    )
    lines = [line["kind"] async for line in requests.export("reader")]
    assert lines.count("message") == len(MESSAGES)
    assert max(sizes) == PAGE
    assert sum(sizes) >= sum(MESSAGES.values())
    assert len(sizes) <= sum(sizes) / PAGE + len(MESSAGES)
