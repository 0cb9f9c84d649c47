"""A fake of boto3's SQS client that keeps what the relay sends, with faults on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import EndpointConnectionError


class Post:
    """Replaces the SQS client. `batches`: the accepted ones, as (queue name, entries)."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[dict[str, Any]]]] = []
        self.away = False
        self.refuses: Callable[[dict[str, Any]], bool] = lambda entry: False
        self.before: Callable[[], object] = lambda: None
        self._lock = threading.Lock()

    def get_queue_url(self, QueueName: str) -> dict[str, str]:
        if self.away:
            raise EndpointConnectionError(endpoint_url="sqs")
        return {"QueueUrl": QueueName}

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.before()
        if self.away:
            raise EndpointConnectionError(endpoint_url="sqs")
        taken = [one for one in Entries if not self.refuses(one)]
        with self._lock:
            self.batches.append((QueueUrl, taken))
        ids = [one["Id"] for one in taken]
        failed = [{"Id": one["Id"], "Code": "Busy"} for one in Entries if one["Id"] not in ids]
        return {"Successful": [{"Id": name} for name in ids], "Failed": failed}

    def close(self) -> None:
        pass

    @property
    def sent(self) -> list[dict[str, Any]]:
        """Return every accepted entry, batch by batch."""
        return [one for _, batch in list(self.batches) for one in batch]

    def bodies(self, room_id: str) -> list[str]:
        """Return the accepted records of a room, in order."""
        return [one["MessageBody"] for one in self.sent if one.get("MessageGroupId") == room_id]
