"""Queues for operators: counts, dead-letter queues (DLQ) and quarantined records."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from rts_server import errors
from rts_server.config import Settings
from rts_server.persistence.queues import connect, dead_letter_queue, quarantine_archive
from rts_server.persistence.records import (
    MAX_NUMBER,
    RecordPosition,
    recognized_fields,
    recognized_kind,
)
from rts_server.relay.quarantine import MAX_RECEIVED, parse
from rts_server.types.operator_answers import (
    DeadRecordAnswer,
    QuarantinedRecordAnswer,
    QueueAnswer,
)

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

QueueName = Literal["messages", "rooms", "cursors"]
T = TypeVar("T")


class Fifo(TypedDict, total=False):
    """The attributes of a message of a FIFO queue."""

    MessageGroupId: str
    MessageDeduplicationId: str


PEEK_VISIBILITY_SECONDS = 3
"""Time for which a message that was only read is hidden from other consumers."""
REPLAY_VISIBILITY_SECONDS = 60
"""Time for which a message that is being replayed is hidden from other consumers."""
REPLAY_SECONDS = 20.0
"""Time that one replay may take; the operator repeats the request for the rest."""
WAITING: Final = "ApproximateNumberOfMessages"
IN_FLIGHT: Final = "ApproximateNumberOfMessagesNotVisible"
DELAYED: Final = "ApproximateNumberOfMessagesDelayed"


@dataclass(frozen=True)
class QuarantineEntry:
    """A quarantined record. `record` is empty if it was too long to be kept as a whole."""

    position: RecordPosition
    reason: str
    record: str = field(repr=False)
    receipt: str = field(repr=False)

    @classmethod
    def of(cls, message: MessageTypeDef) -> QuarantineEntry:
        """Parse a message of the queue in which the relay keeps quarantined records."""
        body = message.get("Body", "")
        try:
            entry = json.loads(body)
            whole = "" if entry.get("truncated") else str(entry["record"])
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            whole = ""
        position, reason = parse(body)
        return cls(position, reason, whole, message["ReceiptHandle"])

    @property
    def sort_key(self) -> tuple[str, int, int]:
        """(room, epoch, offset); a record without a position comes last in its room."""
        known = self.position
        return (
            str(known.get("room_id", "")),
            known.get("epoch", MAX_NUMBER),
            known.get("offset", MAX_NUMBER),
        )

    def summary(self) -> QuarantinedRecordAnswer:
        """Return position and reason, and whether the whole record was kept; never its text."""
        kind = recognized_kind(self.record)
        return {**self.position, "kind": kind, "reason": self.reason, "whole": bool(self.record)}


class QueueAdmin:
    """Reads and replays the queues. All methods raise Unavailable if SQS does not answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names: dict[QueueName, str] = {
            "messages": settings.message_queue,
            "rooms": settings.room_queue,
            "cursors": settings.cursor_queue,
        }
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="queue-admin")
        self._client: SQSClient | None = None

    async def close(self) -> None:
        """Drop waiting work and close the connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def queues(self, peek: int) -> list[QueueAnswer]:
        """Return every queue with its counts, DLQs also with positions of up to `peek` records."""
        return await self._in_thread(self._queues, peek)

    async def replay_dead_letters(self, queue: QueueName, limit: int) -> tuple[int, int]:
        """Put up to `limit` records of a DLQ back into its queue, in the order of each room.

        Return (number of replayed records, number of records left).
        """
        return await self._in_thread(self._replay_dead_letters, queue, limit)

    async def quarantined(self, limit: int) -> list[QuarantinedRecordAnswer]:
        """Return position and reason of up to `limit` quarantined records, never their texts."""
        entries = await self._in_thread(self._receive_quarantined, limit, PEEK_VISIBILITY_SECONDS)
        return [entry.summary() for entry in entries]

    async def take_quarantined(self, limit: int) -> list[QuarantineEntry]:
        """Return up to `limit` records, in the order of each room, hidden from others for 60 s."""
        return await self._in_thread(self._receive_quarantined, limit, REPLAY_VISIBILITY_SECONDS)

    async def delete_quarantined(self, entry: QuarantineEntry) -> None:
        """Delete a record after it was replayed."""
        await self._in_thread(self._delete_quarantined, entry)

    async def enqueue(self, queue: QueueName, room_id: str, body: str) -> None:
        """Send a record to its queue."""
        await self._in_thread(self._enqueue, queue, room_id, body)

    async def quarantined_count(self) -> int:
        """Return the number of quarantined records, taken ones included, as SQS estimates it."""
        counts = await self._in_thread(
            self._counts, quarantine_archive(self._settings.quarantine_queue)
        )
        return counts["waiting"] + counts["in_flight"]

    async def _in_thread(self, work: Callable[..., T], *args: Any) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)
        except (ClientError, BotoCoreError, OSError):
            raise errors.Unavailable("SQS does not answer.") from None

    # In the thread

    def _sqs(self) -> SQSClient:
        if self._client is None:
            self._client = connect(self._settings, 5.0, 1)
        return self._client

    def _url(self, name: str) -> str:
        return self._sqs().get_queue_url(QueueName=name)["QueueUrl"]

    def _queues(self, peek: int) -> list[QueueAnswer]:
        found: list[QueueAnswer] = []
        for name in self._names.values():
            dead_letters = self._counts(dead_letter_queue(name))
            if peek:
                dead_letters["records"] = self._peeked(name, peek)
            found += [self._counts(name), dead_letters]
        quarantine = self._settings.quarantine_queue
        return [*found, self._counts(quarantine), self._counts(quarantine_archive(quarantine))]

    def _counts(self, name: str) -> QueueAnswer:
        answer = self._sqs().get_queue_attributes(
            QueueUrl=self._url(name), AttributeNames=[WAITING, IN_FLIGHT, DELAYED]
        )
        counts = answer["Attributes"]
        return {
            "name": name,
            "waiting": int(counts.get(WAITING, 0)),
            "in_flight": int(counts.get(IN_FLIGHT, 0)),
            "delayed": int(counts.get(DELAYED, 0)),
        }

    def _peeked(self, name: str, peek: int) -> list[DeadRecordAnswer]:
        found = self._receive(self._url(dead_letter_queue(name)), min(peek, MAX_RECEIVED), 0, 0)
        return [dead_record(one) for one in found]

    def _replay_dead_letters(self, queue: QueueName, limit: int) -> tuple[int, int]:
        name = self._names[queue]
        source, target = self._url(dead_letter_queue(name)), self._url(name)
        done, until = 0, time.monotonic() + REPLAY_SECONDS
        while done < limit and time.monotonic() < until:
            batch = self._receive(
                source, min(MAX_RECEIVED, limit - done), REPLAY_VISIBILITY_SECONDS, 1
            )
            if not batch:
                break
            sent = self._send(target, in_order(batch), fifo=name.endswith(".fifo"))
            for one in sent:
                self._sqs().delete_message(QueueUrl=source, ReceiptHandle=one["ReceiptHandle"])
            done += len(sent)
            if len(sent) < len(batch):  # those not sent are hidden now and come again later
                break
        return done, self._counts(dead_letter_queue(name))["waiting"]

    def _receive_quarantined(self, limit: int, visibility_seconds: int) -> list[QuarantineEntry]:
        url, found = (
            self._url(quarantine_archive(self._settings.quarantine_queue)),
            dict[str, QuarantineEntry](),
        )
        while len(found) < limit:
            batch = self._receive(url, min(MAX_RECEIVED, limit - len(found)), visibility_seconds, 1)
            new = {one["MessageId"]: QuarantineEntry.of(one) for one in batch}
            if new.keys() <= found.keys():
                break
            found |= new
        return sorted(found.values(), key=lambda entry: entry.sort_key)

    def _delete_quarantined(self, entry: QuarantineEntry) -> None:
        url = self._url(quarantine_archive(self._settings.quarantine_queue))
        self._sqs().delete_message(QueueUrl=url, ReceiptHandle=entry.receipt)

    def _enqueue(self, queue: QueueName, room_id: str, body: str) -> None:
        name = self._names[queue]
        more: Fifo = {}
        if name.endswith(".fifo"):
            dedup = f"{room_id}:replay:{secrets.token_hex(8)}"
            more = {"MessageGroupId": room_id, "MessageDeduplicationId": dedup}
        self._sqs().send_message(QueueUrl=self._url(name), MessageBody=body, **more)

    def _receive(
        self, url: str, limit: int, visibility_seconds: int, wait_seconds: int
    ) -> list[MessageTypeDef]:
        answer = self._sqs().receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=limit,
            VisibilityTimeout=visibility_seconds,
            WaitTimeSeconds=wait_seconds,
            AttributeNames=["All"],
        )
        return answer.get("Messages", [])

    def _send(
        self, url: str, batch: Sequence[MessageTypeDef], *, fifo: bool
    ) -> list[MessageTypeDef]:
        """Send messages and return those that SQS accepted.

        After the first failure of a room its later messages are not sent, to keep their order (D3).
        The deduplication id is new, because SQS may still know the old one from the first time.
        """
        sent, failed_rooms = [], set()
        for one in batch:
            group = room_of(one)
            if group in failed_rooms:
                continue
            more: Fifo = {}
            if fifo:
                dedup = f"{group}:replay:{secrets.token_hex(8)}"
                more = {"MessageGroupId": group, "MessageDeduplicationId": dedup}
            try:
                self._sqs().send_message(QueueUrl=url, MessageBody=one["Body"], **more)
            except (ClientError, BotoCoreError):
                failed_rooms.add(group)
                continue
            sent.append(one)
        return sent


def dead_record(message: MessageTypeDef) -> DeadRecordAnswer:
    """Return a record's kind and position, receive count and time of sending, never its text.

    The room of a record that cannot be parsed is its message group, if its queue has groups.
    """
    attributes, body = message.get("Attributes", {}), message.get("Body", "")
    known = recognized_fields(body)
    if group := attributes.get("MessageGroupId"):
        known.setdefault("room_id", group)
    return {
        **known,
        "kind": recognized_kind(body),
        "sqs_message_id": message.get("MessageId", ""),
        "receives": int(attributes.get("ApproximateReceiveCount", 0)),
        "sent_ms": int(attributes.get("SentTimestamp", 0)),
    }


def room_of(message: MessageTypeDef) -> str:
    """Return the room of a record, or its message group if the record names none."""
    attributes = message.get("Attributes", {})
    room_id = recognized_fields(message.get("Body", "")).get("room_id")
    return str(room_id or attributes.get("MessageGroupId") or "unknown")


def in_order(batch: Sequence[MessageTypeDef]) -> list[MessageTypeDef]:
    """Sort by room and position; records without one (a barrier, cursors) come last in a room."""

    def sort_key(message: MessageTypeDef) -> tuple[str, int, int]:
        known = recognized_fields(message.get("Body", ""))
        return room_of(message), known.get("epoch", MAX_NUMBER), known.get("offset", MAX_NUMBER)

    return sorted(batch, key=sort_key)
