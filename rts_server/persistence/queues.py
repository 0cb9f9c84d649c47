"""Queues of SQS, and a client of boto3 for calls that are rare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.config import Config

from rts_server.config import Settings
from rts_server.persistence import aws
from rts_server.persistence.outbox import Entry, Key
from rts_server.persistence.sqs_endpoint import CallRefused, SqsEndpoint

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


def connect(settings: Settings, read_timeout: float, connections: int) -> SQSClient:
    """Return a client that tries once: retries are up to the caller, who keeps the order."""
    config = Config(
        connect_timeout=0.5,
        read_timeout=read_timeout,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=connections,
    )
    return aws.session(settings).client(
        "sqs", endpoint_url=settings.aws_endpoint_url, config=config
    )


def dead_letter_queue(name: str) -> str:
    """Return the name of a queue's dead-letter queue (DLQ), as in the template."""
    base, fifo, _ = name.partition(".fifo")
    return f"{base}-dlq{fifo}"


def quarantine_archive(name: str) -> str:
    """Return the name of the queue that keeps quarantined records after they were reported."""
    return f"{name}-kept"


class QueueUrls:
    """URLs of queues by name, each looked up once. Blocks, so use it in a thread."""

    def __init__(self, client: SQSClient) -> None:
        self._client = client
        self._urls: dict[str, str] = {}

    def of(self, name: str) -> str:
        """Return the URL of a queue."""
        if name not in self._urls:
            self._urls[name] = self._client.get_queue_url(QueueName=name)["QueueUrl"]
        return self._urls[name]


class SqsQueue:
    """A queue by its name. A FIFO queue (.fifo) gets a group per room and deduplication ids."""

    def __init__(self, sqs: SqsEndpoint, name: str) -> None:
        self._sqs = sqs
        self.name = name
        self._fifo = name.endswith(".fifo")
        self._url = ""

    async def send(self, batch: Sequence[Entry]) -> set[Key]:
        """Send a batch; return the keys of the entries that SQS accepted.

        Raises what `SqsEndpoint` raises.
        """
        entries = [self._batch_entry(str(i), entry) for i, entry in enumerate(batch)]
        try:
            self._url = self._url or await self._sqs.get_queue_url(self.name)
            accepted = await self._sqs.send_message_batch(self._url, entries)
        except CallRefused:
            self._url = ""  # the queue may have been created again under another URL
            raise
        return {batch[int(number)].key for number in accepted}

    def _batch_entry(self, number: str, entry: Entry) -> dict[str, str]:
        if not self._fifo:
            return {"Id": number, "MessageBody": entry.body}
        return {
            "Id": number,
            "MessageBody": entry.body,
            "MessageGroupId": entry.room_id,
            "MessageDeduplicationId": entry.dedup,
        }
