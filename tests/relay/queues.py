"""Queues of the relay's tests, and what they hold."""

from __future__ import annotations

from typing import Any

MESSAGES, ROOMS = "chat-message-queue.fifo", "chat-room-queue"
CURSORS = "chat-cursor-queue"


def received(sqs: Any, name: str) -> list[str]:
    """Receive and delete all messages of a queue; return their bodies."""
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    found = []
    while got := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for one in got:
            found.append(one["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
    return found
