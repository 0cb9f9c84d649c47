"""What a Lambda could never apply comes back: each such message is told as failed to its room."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from rts_server import metrics
from rts_server.config import Settings
from rts_server.persistence.queues import Queue, connect, kept
from rts_server.runtime.loops import backoff
from rts_server.runtime.throttled_log import ThrottledLog

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

WAIT = 2
AGAIN = 10
BATCH = 10
POSITION = ("room_id", "epoch", "offset", "message_id", "client_msg_id", "seq")

Failed = Callable[[str, str, str | None, int, str], Awaitable[object]]
"""failed(room_id, message_id, client_msg_id, seq, reason). Raises on temporary trouble."""

log = logging.getLogger(__name__)


class Quarantine:
    """Consumer of the quarantine queue, in one thread of its own: polling must not stop sending."""

    def __init__(self, settings: Settings, failed: Failed) -> None:
        self._failed = failed
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="quarantine")
        self._client = connect(settings, WAIT + 3.0, 1)
        self._queue = Queue(self._client, settings.quarantine_queue, self._pool)
        self._kept = Queue(self._client, kept(settings.quarantine_queue), self._pool)
        self._complaints = ThrottledLog(log)

    async def run(self) -> None:
        """Consume until cancelled. A message stays in the queue until it is handled."""
        failures = 0
        this = asyncio.current_task()
        try:
            # Asked again and again: on its way through `failed` a cancellation can get lost.
            while this is None or not this.cancelling():
                try:
                    for message in await self._in_thread(self._receive):
                        await self._consume(message)
                    failures = 0
                except Exception as error:
                    failures += 1
                    self._complaints.say("quarantine cannot be read", error)
                    await asyncio.sleep(backoff(failures))
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._client.close()

    async def _consume(self, message: MessageTypeDef) -> None:
        place, reason = parse(message.get("Body", ""))
        if {"room_id", "message_id", "seq"} <= place.keys():
            try:
                await self._failed(
                    place["room_id"],
                    place["message_id"],
                    place.get("client_msg_id"),
                    place["seq"],
                    reason,
                )
            except Exception as error:
                self._complaints.say("quarantined message cannot be failed yet", error)
                return
        await self._in_thread(self._keep, message)
        metrics.QUARANTINED.inc()
        log.error("record quarantined", extra={**place, "reason": reason})

    async def _in_thread(self, call: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *given)

    def _receive(self) -> list[MessageTypeDef]:
        answer = self._client.receive_message(
            QueueUrl=self._queue.url(),
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=WAIT,
            VisibilityTimeout=AGAIN,
        )
        return answer.get("Messages", [])

    def _keep(self, message: MessageTypeDef) -> None:
        """Where operators find it, for as long as SQS keeps anything."""
        url, receipt = self._kept.url(), message["ReceiptHandle"]
        self._client.send_message(QueueUrl=url, MessageBody=message.get("Body") or "empty")
        self._client.delete_message(QueueUrl=self._queue.url(), ReceiptHandle=receipt)


def parse(body: str) -> tuple[dict[str, Any], str]:
    """Position and reason of what a Lambda put aside; an empty position for anything else."""
    try:
        entry = json.loads(body)
        return {name: entry[name] for name in POSITION if name in entry}, str(entry["reason"])
    except (ValueError, RecursionError, KeyError, TypeError):
        return {}, "unreadable"
