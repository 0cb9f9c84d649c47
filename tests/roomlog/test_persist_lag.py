"""The time from accepted to stored, as an instance samples it."""

from __future__ import annotations

import asyncio

import pytest

from rts_server import metrics
from rts_server.roomlog import persist_lag as lag
from rts_server.roomlog.persist_lag import PersistLag
from tests.helpers.deployed import Deployed
from tests.helpers.waiting import eventually


def counted() -> float:
    """The number of observations, in all buckets."""
    return float(sum(bucket.get() for bucket in metrics.STORED_SECONDS._buckets))


async def test_a_sample_that_fails_is_not_the_last(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any error the next message is sampled."""
    monkeypatch.setattr(lag, "SAMPLE_SECONDS", 0.0)
    archive, asked = deployed.services.archive, 0

    async def message(room_id: str, message_id: str) -> object:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise RuntimeError("cannot schedule new futures")
        return object()

    monkeypatch.setattr(archive, "message", message)
    looking, before = PersistLag(archive), counted()

    async def offered() -> bool:
        looking.offer("room", "message", asyncio.get_running_loop().time())
        return counted() > before

    await eventually(offered)
    await looking.close()


async def test_one_message_at_a_time_is_sampled(deployed: Deployed) -> None:
    """It is observed when the archive shows it; messages queued meanwhile are not sampled."""
    room_id = await deployed.group("alice")
    before, seconds = counted(), metrics.STORED_SECONDS._sum.get()
    done = [await deployed.send(room_id, "alice", f"m{n}") for n in range(3)]
    waiting = await deployed.outbox()
    for _, entry, fields in waiting:
        notice = (fields[b"r"].decode(), fields[b"k"].decode(), entry.decode())
        deployed.services.durability.mark_queued([notice])
    assert [await one.durability for one in done] == ["queued"] * 3
    await asyncio.sleep(3 * lag.READ_DELAYS[0])
    assert counted() == before
    await deployed.store()
    await eventually(lambda: counted() == before + 1)
    assert metrics.STORED_SECONDS._sum.get() - seconds >= 3 * lag.READ_DELAYS[0]
