"""The consumer of the quarantine queue, on the real protocol of SQS."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from rts_server.config_loading import load
from rts_server.relay import quarantine
from rts_server.relay.quarantine import Quarantine
from tests.helpers.waiting import eventually
from tests.relay.queues import received


async def test_quarantined_messages_are_reported_as_failed(
    sqs: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is reported, again after an error; others are logged, never with a text."""
    monkeypatch.setattr(quarantine, "QUARANTINE_POLL_SECONDS", 1)
    monkeypatch.setattr(quarantine, "VISIBILITY_SECONDS", 1)
    calls: list[tuple[object, ...]] = []

    async def failed(*given: object) -> None:
        calls.append(given)
        if len(calls) == 1:
            raise RuntimeError("the room is loading")

    entry = {"room_id": "r", "epoch": 1, "offset": 2, "message_id": "m", "seq": 3}
    url = sqs.get_queue_url(QueueName="chat-quarantine-queue")["QueueUrl"]
    for body in (
        {**entry, "client_msg_id": "c", "reason": "why", "record": "a secret text"},
        {"room_id": "r", "reason": "no message", "record": "a secret text"},
    ):
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))
    sqs.send_message(QueueUrl=url, MessageBody="not json, a secret text")
    consumer = Quarantine(load(), failed)
    with caplog.at_level(logging.ERROR):
        task = asyncio.create_task(consumer.run_forever())
        await eventually(
            lambda: sum(one.msg == "record quarantined" for one in caplog.records) == 3
        )
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert calls == [("r", "m", "c", 3, "why")] * 2
    assert "secret" not in caplog.text + str([one.__dict__ for one in caplog.records])
    assert await asyncio.to_thread(received, sqs, "chat-quarantine-queue") == []
    kept = await asyncio.to_thread(received, sqs, "chat-quarantine-queue-kept")
    assert len(kept) == 3
