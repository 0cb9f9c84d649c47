"""SQS through boto3, in threads that are bounded and never wait long."""

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
    """A client that tries once: what failed is tried again by who knows the order."""
    config = Config(
        connect_timeout=0.5,
        read_timeout=read_timeout,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=connections,
    )
    return aws.session(settings).client(
        "sqs", endpoint_url=settings.aws_endpoint_url, config=config
    )


def dead(name: str) -> str:
    """The DLQ of a queue, as the template names it."""
    base, fifo, _ = name.partition(".fifo")
    return f"{base}-dlq{fifo}"


def kept(name: str) -> str:
    """Where what the quarantine held is kept once it was told, as the template names it."""
    return f"{name}-kept"


class Queue:
    """One queue by its name. A name that ends in .fifo gets a group per room and dedup ids."""

    def __init__(self, client: SQSClient, name: str, pool: ThreadPoolExecutor) -> None:
        self._client, self._pool = client, pool
        self.name = name
        self._fifo = name.endswith(".fifo")
        self._url = ""

    async def send(self, batch: Sequence[Entry]) -> set[Key]:
        """The keys of the accepted entries. Raises BotoCoreError, ClientError: none is known."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._send, batch)

    def _send(self, batch: Sequence[Entry]) -> set[Key]:
        wires: list[Any] = [self._wire(str(i), entry) for i, entry in enumerate(batch)]
        try:
            answer = self._client.send_message_batch(QueueUrl=self.url(), Entries=wires)
        except ClientError:
            self._url = ""  # the queue may have been made anew elsewhere
            raise
        return {batch[int(one["Id"])].key for one in answer.get("Successful", ())}

    def _wire(self, number: str, entry: Entry) -> dict[str, str]:
        wire = {"Id": number, "MessageBody": entry.body}
        if self._fifo:
            wire |= {"MessageGroupId": entry.room_id, "MessageDeduplicationId": entry.dedup}
        return wire

    def url(self) -> str:
        """The queue's URL, asked for once. To be called in a thread."""
        if not self._url:
            self._url = self._client.get_queue_url(QueueName=self.name)["QueueUrl"]
        return self._url
