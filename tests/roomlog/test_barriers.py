"""Rooms that wait for their barrier, while the archive has its troubles."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rts_server.roomlog.barriers import Barriers
from tests.helpers.deployed import Deployed
from tests.helpers.waiting import PATIENCE


async def test_a_look_that_fails_is_not_the_last(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it raised: who waits is answered when the archive shows the barrier."""
    archive, raised = deployed.parts.archive, 0
    real = archive.rooms
    room_id = await deployed.group("alice")
    await deployed.store()

    async def rooms(room_ids: list[str]) -> dict[str, object]:
        nonlocal raised
        raised += 1
        if raised < 3:
            raise RuntimeError("cannot schedule new futures")
        return {one: replace(room, barrier="nonce") for one, room in (await real(room_ids)).items()}

    monkeypatch.setattr(archive, "rooms", rooms)
    barriers = Barriers(archive)
    async with asyncio.timeout(PATIENCE):
        await barriers.passed(room_id, "nonce")
    await barriers.close()
