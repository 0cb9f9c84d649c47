"""The number of records in queues of SQS."""

from __future__ import annotations

from collections.abc import Iterable

from rts_server.config import Settings
from rts_server.tools.dev import aws

COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


def queue_depth(settings: Settings, queues: Iterable[str]) -> int:
    """Return the records that wait in the queues or are being handled, all together."""
    sqs = aws.client(settings, "sqs")
    depth = 0
    for queue in queues:
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(COUNTS))["Attributes"]
        depth += sum(int(found[count]) for count in COUNTS)
    return depth
