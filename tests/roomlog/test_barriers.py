"""Waiting for barriers while reads of the archive fail."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rts_server.roomlog.barriers import Barriers
from tests.helpers.deployed import Deployed
from tests.helpers.waiting import PATIENCE


async def test_a_read_that_fails_is_repeated(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any error the archive is read again, until it shows the barrier."""
    archive, raised = deployed.services.archive, 0
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
