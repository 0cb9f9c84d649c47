"""An instance learns from its metadata that Auto Scaling is about to terminate it."""

from __future__ import annotations

import asyncio

import pytest

from rts_server.runtime import target_lifecycle
from rts_server.runtime.target_lifecycle import wait_for_termination
from tests.helpers.instance_metadata import instance_metadata
from tests.helpers.waiting import PATIENCE, eventually
from tests.helpers.world import free_port


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_lifecycle, "CHECK_EVERY_SECONDS", 0.01)


@pytest.mark.parametrize("before", ["InService", "Standby", None])
async def test_the_watcher_returns_when_the_target_state_is_terminated(before: str | None) -> None:
    """Other states, and none at all, are waited through."""
    async with instance_metadata() as service:
        service.state = before
        waiting = asyncio.ensure_future(wait_for_termination(service.url))
        await eventually(lambda: service.asked > 2)
        assert not waiting.done()
        service.state = "Terminated"
        await asyncio.wait_for(waiting, PATIENCE)


async def test_a_token_that_expired_is_replaced() -> None:
    """IMDSv2 refuses it with 401; the next look has a new one."""
    async with instance_metadata() as service:
        waiting = asyncio.ensure_future(wait_for_termination(service.url))
        await eventually(lambda: service.asked > 0)
        service.expire_tokens()
        await eventually(lambda: service.refused > 0)
        service.state = "Terminated"
        await asyncio.wait_for(waiting, PATIENCE)
        assert service.refused == 1


async def test_an_answer_that_cannot_be_understood_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is raised, the instance still learns of its end and drains."""
    asked = 0

    async def state(*_: object) -> tuple[int, str]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise ValueError("not a state")
        return 200, "Terminated"

    monkeypatch.setattr(target_lifecycle, "_state", state)
    async with instance_metadata() as service:
        await asyncio.wait_for(wait_for_termination(service.url), PATIENCE)


async def test_a_service_that_does_not_answer_is_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The wait goes on, with one line in the log."""
    url = f"http://127.0.0.1:{free_port()}"
    waiting = asyncio.ensure_future(wait_for_termination(url))
    await eventually(lambda: bool(caplog.records))
    assert caplog.messages == ["instance metadata do not answer"]
    assert not waiting.done()
    waiting.cancel()
