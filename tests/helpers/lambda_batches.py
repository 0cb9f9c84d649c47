"""Batches of the Lambda functions: their answers, faults in botocore, the queues behind them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3

OK: dict[str, Any] = {"batchItemFailures": []}


def failing(*numbers: int) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": f"m{i}"} for i in numbers]}


@contextmanager
def fault(client: Any, call: str, error: Exception, when: Callable[[str], bool]) -> Iterator[None]:
    """Let calls whose body meets `when` fail inside botocore."""

    def fail(params: dict[str, Any], **_: Any) -> None:
        body = params["body"]
        if when(body.decode() if isinstance(body, bytes) else body):
            raise error

    client.meta.events.register_first(call, fail)
    try:
        yield
    finally:
        client.meta.events.unregister(call, fail)


def quarantined() -> list[dict[str, Any]]:
    """Receive and delete everything in the quarantine queue."""
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="chat-quarantine-queue")["QueueUrl"]
    found = []
    while got := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for one in got:
            found.append(json.loads(one["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
    return found


def taken() -> list[str]:
    """Receive and delete everything in the room queue; return the bodies."""
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="chat-room-queue")["QueueUrl"]
    found = []
    while got := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in got:
            found.append(message["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def forwarded() -> list[dict[str, Any]]:
    """Receive and delete everything in the room queue; return the `files` of the records."""
    return [json.loads(body)["files"] for body in taken()]
