"""What the tests of the relay share: queues behind the real protocol of SQS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from redis.asyncio import ConnectionPool, Redis

from rts_server.redis_client.pipeline import RedisPipeline
from tests.helpers import aws
from tests.relay.queues import CURSORS, MESSAGES, ROOMS


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server of moto with the queues."""
    for name, value in aws.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    client = boto3.client("sqs", endpoint_url=f"http://{host}:{port}")
    client.create_queue(QueueName=MESSAGES, Attributes={"FifoQueue": "true"})
    client.create_queue(QueueName=ROOMS)
    client.create_queue(QueueName=CURSORS)
    client.create_queue(QueueName="chat-quarantine-queue")
    client.create_queue(QueueName="chat-quarantine-queue-kept")
    yield client
    client.close()
    server.stop()


@pytest.fixture
async def pipe(redis: Redis, valkey_url: str) -> AsyncIterator[RedisPipeline]:
    """Return a pipe to an empty Redis."""
    made = RedisPipeline(ConnectionPool.from_url(valkey_url, protocol=2))
    yield made
    await made.close()
