"""The summary line of one invocation, for people, for `rts-server trace` and for CloudWatch.

The line is a document in CloudWatch's embedded metric format ("Specification: Embedded metric
format" in the CloudWatch user guide), from which CloudWatch takes METRICS. It holds ids and
positions, never a text.
"""

from __future__ import annotations

import json
import os
import time
from datetime import datetime
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from rts_server.persistence.records import Record

METRICS = {
    "Stored": "Count",
    "Returned": "Count",
    "Quarantined": "Count",
    "AcceptedToStored": "Milliseconds",
    "QueuedToStored": "Milliseconds",
}
"""Units by name."""


class BatchReport:
    """Collects the results of a batch, with the lags (ms) of each record."""

    def __init__(self, function: str, event: dict[str, Any], context: Any) -> None:
        self._function = function
        self._records = len(event["Records"])
        self._request_id = getattr(context, "aws_request_id", None)
        self._applied: list[dict[str, object]] = []
        self._lags: dict[str, list[int]] = {"AcceptedToStored": [], "QueuedToStored": []}
        self._quarantined = 0

    def add_stored(self, record: SQSRecord, parsed: Record[Any]) -> None:
        """Add a record that is in the tables."""
        now = time.time() * 1000
        self._applied.append(log_fields(parsed))
        if parsed.ts:
            accepted = datetime.fromisoformat(parsed.ts).timestamp() * 1000
            self._lags["AcceptedToStored"].append(max(0, round(now - accepted)))
        if sent := record.raw_event["attributes"].get("SentTimestamp"):
            self._lags["QueuedToStored"].append(max(0, round(now - int(sent))))

    def add_quarantined(self) -> None:
        """Add a record that is in the quarantine queue."""
        self._quarantined += 1

    def print_summary(self, answer: Any) -> None:
        """Print the line. `answer` is that of the function: `{"batchItemFailures": [...]}`."""
        failed = len(answer["batchItemFailures"])
        values: dict[str, int | list[int]] = {
            "Stored": len(self._applied),
            "Returned": failed,
            "Quarantined": self._quarantined,
            **{name: lags for name, lags in self._lags.items() if lags},
        }
        directive = {
            "Namespace": os.environ.get("RTS_EMF_NAMESPACE") or "rts/chat",
            "Dimensions": [["Process"]],
            "Metrics": [{"Name": name, "Unit": METRICS[name]} for name in values],
        }
        line = {
            "level": "info",
            "message": "batch",
            "records": self._records,
            "failed": failed,
            "applied": self._applied,
            "Process": self._function,
            "_aws": {"Timestamp": round(time.time() * 1000), "CloudWatchMetrics": [directive]},
            **({"request_id": self._request_id} if self._request_id else {}),
            **values,
        }
        print(json.dumps(line), flush=True)


def log_fields(parsed: Record[Any]) -> dict[str, object]:
    """Return what identifies a record in logs and spans.

    `{kind, room_id, epoch?, offset?, message_id?, seq?}`.
    """
    fields: dict[str, object] = {"kind": parsed.kind, "room_id": parsed.room_id}
    if parsed.epoch:
        fields |= {"epoch": parsed.epoch, "offset": parsed.offset}
    nested = parsed.data.get("message")
    message = nested if isinstance(nested, dict) else parsed.data
    return fields | {name: message[name] for name in ("message_id", "seq") if name in message}
