"""Consumes the quarantine queue: reports each message in it as failed to its room (Q1)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

from rts_server import metrics
from rts_server.config import Settings
from rts_server.persistence.queues import QueueUrls, connect, quarantine_archive
from rts_server.persistence.records import RecordPosition
from rts_server.runtime.loops import repeat_forever
from rts_server.runtime.throttled_log import ThrottledLog

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

QUARANTINE_POLL_SECONDS = 2
"""How long one ReceiveMessage waits for a message (long polling)."""
VISIBILITY_SECONDS = 10
"""After this time a message that could not be handled is received again."""
MAX_RECEIVED = 10
"""Messages of one ReceiveMessage (Amazon SQS quotas)."""
POSITION_FIELDS = ("room_id", "epoch", "offset", "message_id", "client_msg_id", "seq")

ReportFailed = Callable[[str, str, str | None, int, str], Awaitable[object]]
"""Called with (room_id, message_id, client_msg_id, seq, reason). Raises on a temporary error."""

log = logging.getLogger(__name__)


class Quarantine:
    """The consumer. It polls in a thread of its own, so that polling never delays the relay."""

    def __init__(self, settings: Settings, report_failed: ReportFailed) -> None:
        self._report_failed = report_failed
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="quarantine")
        self._client = connect(settings, QUARANTINE_POLL_SECONDS + 3.0, 1)
        self._urls = QueueUrls(self._client)
        self._queue = settings.quarantine_queue
        self._throttled_log = ThrottledLog(log)

    async def run_forever(self) -> None:
        """Consume until cancelled. A message stays in the queue until it was handled."""
        try:
            await repeat_forever("quarantine", self._consume_next)
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._client.close()

    async def _consume_next(self) -> None:
        for message in await self._in_thread(self._receive):
            await self._consume(message)

    async def _consume(self, message: MessageTypeDef) -> None:
        """Report a message as failed, then keep it for operators.

        In this order: if the report fails, the message is received again (T9).
        """
        position, reason = parse(message.get("Body", ""))
        if {"room_id", "message_id", "seq"} <= position.keys():
            try:
                await self._report_failed(
                    position["room_id"],
                    position["message_id"],
                    position.get("client_msg_id"),
                    position["seq"],
                    reason,
                )
            except Exception as error:
                self._throttled_log.warning("quarantined message cannot be failed yet", error)
                return
        await self._in_thread(self._keep, message)
        metrics.QUARANTINED.inc()
        log.error("record quarantined", extra={**position, "reason": reason})

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    def _receive(self) -> list[MessageTypeDef]:
        answer = self._client.receive_message(
            QueueUrl=self._urls.of(self._queue),
            MaxNumberOfMessages=MAX_RECEIVED,
            WaitTimeSeconds=QUARANTINE_POLL_SECONDS,
            VisibilityTimeout=VISIBILITY_SECONDS,
        )
        return answer.get("Messages", [])

    def _keep(self, message: MessageTypeDef) -> None:
        """Move a message to the queue where operators find it, for as long as SQS retains it.

        It is sent before it is deleted: a crash in between doubles it, and loses nothing (Q2).
        """
        queue, kept = self._urls.of(self._queue), self._urls.of(quarantine_archive(self._queue))
        self._client.send_message(QueueUrl=kept, MessageBody=message.get("Body") or "empty")
        self._client.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def parse(body: str) -> tuple[RecordPosition, str]:
    """Return the position fields and the reason of a quarantined record.

    A body that no Lambda wrote yields no fields and the reason `unreadable`.
    """
    try:
        entry = json.loads(body)
        known = {name: entry[name] for name in POSITION_FIELDS if name in entry}
        return cast(RecordPosition, known), str(entry["reason"])
    except (ValueError, RecursionError, KeyError, TypeError):
        return {}, "unreadable"
