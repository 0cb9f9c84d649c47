"""Queues of SQS through boto3, in bounded threads with short deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import ClientError

from rts_server.config import Settings
from rts_server.persistence import aws
from rts_server.persistence.outbox import Entry, Key

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


class SqsQueue:
    """A queue by its name. A FIFO queue (.fifo) gets a group per room and deduplication ids."""

    def __init__(self, client: SQSClient, name: str, pool: ThreadPoolExecutor) -> None:
        self._client, self._pool = client, pool
        self.name = name
        self._fifo = name.endswith(".fifo")
        self._url = ""

    async def send(self, batch: Sequence[Entry]) -> set[Key]:
        """Send a batch; return the keys of the entries that SQS accepted.

        Raises BotoCoreError or ClientError if it is unknown which were accepted.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._send, batch)

    def _send(self, batch: Sequence[Entry]) -> set[Key]:
        entries: list[Any] = [self._batch_entry(str(i), entry) for i, entry in enumerate(batch)]
        try:
            answer = self._client.send_message_batch(QueueUrl=self.url(), Entries=entries)
        except ClientError:
            self._url = ""  # the queue may have been created again under another URL
            raise
        return {batch[int(one["Id"])].key for one in answer.get("Successful", ())}

    def _batch_entry(self, number: str, entry: Entry) -> dict[str, str]:
        fields = {"Id": number, "MessageBody": entry.body}
        if self._fifo:
            fields |= {"MessageGroupId": entry.room_id, "MessageDeduplicationId": entry.dedup}
        return fields

    def url(self) -> str:
        """Return the queue's URL; it is looked up once. Blocks, so call it in a thread."""
        if not self._url:
            self._url = self._client.get_queue_url(QueueName=self.name)["QueueUrl"]
        return self._url
