"""For operators: how much waits in the queues, and what their dead-letter queues hold."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from rts_server import errors
from rts_server.config import Settings
from rts_server.persistence.queues import connect, dead, kept
from rts_server.persistence.records import LARGEST, recognised
from rts_server.relay.quarantine import parse

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

Which = Literal["messages", "rooms"]
Json = dict[str, Any]
T = TypeVar("T")

MAX_BATCH = 10
"""Messages of one request (Amazon SQS quotas)."""
PEEK_VISIBILITY_SECONDS = 3
"""How long a message that was only looked at is not received again."""
REPLAY_VISIBILITY_SECONDS = 60
"""How long a message that is being replayed is received by nobody else."""
REPLAY_SECONDS = 20.0
"""How long one replay may take; the operator calls again for the rest."""
COUNTS = {
    "waiting": "ApproximateNumberOfMessages",
    "in_flight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}


@dataclass(frozen=True)
class QuarantinedRecord:
    """A record that was quarantined; `record` is empty where it was too long to be kept whole."""

    position: Json
    reason: str
    record: str = field(repr=False)
    receipt: str = field(repr=False)

    @classmethod
    def of(cls, message: MessageTypeDef) -> QuarantinedRecord:
        """As the relay kept it."""
        body = message.get("Body", "")
        try:
            entry = json.loads(body)
            whole = "" if entry.get("truncated") else str(entry["record"])
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            whole = ""
        place, reason = parse(body)
        return cls(place, reason, whole, message["ReceiptHandle"])

    @property
    def place(self) -> tuple[str, int, int]:
        """Room, epoch and offset."""
        told = self.position
        return str(told.get("room_id", "")), told.get("epoch", LARGEST), told.get("offset", LARGEST)

    def told(self) -> Json:
        """For operators."""
        return {**self.position, "reason": self.reason, "whole": bool(self.record)}


class QueueAdmin:
    """Reads and replays. Raises Unavailable when SQS does not answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names: dict[Which, str] = {
            "messages": settings.message_queue,
            "rooms": settings.room_queue,
        }
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="backlog")
        self._client: SQSClient | None = None

    async def close(self) -> None:
        """Close the connection."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def queues(self, peek: int) -> list[Json]:
        """Every queue with its counts; of the DLQs the positions of up to `peek` records."""
        return await self._run(self._queues, peek)

    async def replay(self, which: Which, most: int) -> tuple[int, int]:
        """Put up to `most` records of a DLQ back, in the order of each room; (how many, left)."""
        return await self._run(self._replay, which, most)

    async def kept(self, most: int) -> list[Json]:
        """Position and reason of up to `most` quarantined records; never what they say."""
        return [one.told() for one in await self._run(self._keeping, most, PEEK_VISIBILITY_SECONDS)]

    async def take(self, most: int) -> list[QuarantinedRecord]:
        """Up to `most` of them, in the order of each room; for a minute nobody else has them."""
        return await self._run(self._keeping, most, REPLAY_VISIBILITY_SECONDS)

    async def forget(self, one: QuarantinedRecord) -> None:
        """It was sent again."""
        await self._run(self._forget, one)

    async def send(self, which: Which, room_id: str, body: str) -> None:
        """A record into its queue once more. Raises Unavailable."""
        await self._run(self._again, which, room_id, body)

    async def keeping(self) -> int:
        """How many are left, taken ones included; SQS's guess."""
        counts = await self._run(self._counts, kept(self._settings.quarantine_queue))
        return int(counts["waiting"]) + int(counts["in_flight"])

    async def _run(self, work: Callable[..., T], *given: Any) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *given)
        except (ClientError, BotoCoreError, OSError):
            raise errors.Unavailable("SQS does not answer.") from None

    # In the thread

    def _sqs(self) -> SQSClient:
        if self._client is None:
            self._client = connect(self._settings, 5.0, 1)
        return self._client

    def _url(self, name: str) -> str:
        return self._sqs().get_queue_url(QueueName=name)["QueueUrl"]

    def _queues(self, peek: int) -> list[Json]:
        found = []
        for name in self._names.values():
            found += [self._counts(name), self._counts(dead(name)) | self._peeked(name, peek)]
        quarantine = self._settings.quarantine_queue
        return [*found, self._counts(quarantine), self._counts(kept(quarantine))]

    def _counts(self, name: str) -> Json:
        names: Any = list(COUNTS.values())
        answer = self._sqs().get_queue_attributes(QueueUrl=self._url(name), AttributeNames=names)
        known: Any = answer["Attributes"]
        return {"name": name, **{told: int(known.get(it, 0)) for told, it in COUNTS.items()}}

    def _peeked(self, name: str, peek: int) -> Json:
        if not peek:
            return {}
        found = self._receive(self._url(dead(name)), min(peek, MAX_BATCH), 0, 0)
        return {"records": [position(one) for one in found]}

    def _replay(self, which: Which, most: int) -> tuple[int, int]:
        name = self._names[which]
        source, target = self._url(dead(name)), self._url(name)
        done, until = 0, time.monotonic() + REPLAY_SECONDS
        while done < most and time.monotonic() < until:
            batch = self._receive(source, min(MAX_BATCH, most - done), REPLAY_VISIBILITY_SECONDS, 1)
            if not batch:
                break
            sent = self._send(target, in_order(batch), fifo=name.endswith(".fifo"))
            for one in sent:
                self._sqs().delete_message(QueueUrl=source, ReceiptHandle=one["ReceiptHandle"])
            done += len(sent)
            if len(sent) < len(batch):
                break
        return done, self._counts(dead(name))["waiting"]

    def _keeping(self, most: int, held: int) -> list[QuarantinedRecord]:
        url, found = (
            self._url(kept(self._settings.quarantine_queue)),
            dict[str, QuarantinedRecord](),
        )
        while len(found) < most:
            batch = self._receive(url, min(MAX_BATCH, most - len(found)), held, 1)
            new = {one["MessageId"]: QuarantinedRecord.of(one) for one in batch}
            if new.keys() <= found.keys():
                break
            found |= new
        return sorted(found.values(), key=lambda one: one.place)

    def _forget(self, one: QuarantinedRecord) -> None:
        url = self._url(kept(self._settings.quarantine_queue))
        self._sqs().delete_message(QueueUrl=url, ReceiptHandle=one.receipt)

    def _again(self, which: Which, room_id: str, body: str) -> None:
        name = self._names[which]
        more: Json = {}
        if name.endswith(".fifo"):
            dedup = f"{room_id}:replay:{secrets.token_hex(8)}"
            more = {"MessageGroupId": room_id, "MessageDeduplicationId": dedup}
        self._sqs().send_message(QueueUrl=self._url(name), MessageBody=body, **more)

    def _receive(self, url: str, most: int, held: int, wait: int) -> list[MessageTypeDef]:
        answer = self._sqs().receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=most,
            VisibilityTimeout=held,
            WaitTimeSeconds=wait,
            AttributeNames=["All"],
        )
        return answer.get("Messages", [])

    def _send(
        self, url: str, batch: Sequence[MessageTypeDef], *, fifo: bool
    ) -> list[MessageTypeDef]:
        """Those that were taken; of a FIFO queue none behind the first of its room that was not.

        The dedup id is new: the first one may still be remembered, as what has failed.
        """
        sent, stopped = [], set()
        for one in batch:
            group = room_of(one)
            if group in stopped:
                continue
            more: Json = {}
            if fifo:
                dedup = f"{group}:replay:{secrets.token_hex(8)}"
                more = {"MessageGroupId": group, "MessageDeduplicationId": dedup}
            try:
                self._sqs().send_message(QueueUrl=url, MessageBody=one["Body"], **more)
            except (ClientError, BotoCoreError):
                stopped.add(group)
                continue
            sent.append(one)
        return sent


def position(message: MessageTypeDef) -> Json:
    """Where a record belongs, how often it was tried and since when; never what it says."""
    attributes: Any = message.get("Attributes", {})
    return {
        **recognised(message.get("Body", "")),
        "receives": int(attributes.get("ApproximateReceiveCount", 0)),
        "sent_ms": int(attributes.get("SentTimestamp", 0)),
    }


def room_of(message: MessageTypeDef) -> str:
    """The room a record is about; its group where that cannot be made out."""
    attributes: Any = message.get("Attributes", {})
    told = recognised(message.get("Body", "")).get("room_id")
    return str(told or attributes.get("MessageGroupId") or "unknown")


def in_order(batch: Sequence[MessageTypeDef]) -> list[MessageTypeDef]:
    """By position in each room; a record without one (a barrier, cursors) stays behind them."""

    def place(message: MessageTypeDef) -> tuple[str, int, int]:
        told = recognised(message.get("Body", ""))
        return room_of(message), told.get("epoch", LARGEST), told.get("offset", LARGEST)

    return sorted(batch, key=place)
