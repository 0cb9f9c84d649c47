"""What one invocation did, told in one line: for people, for `rts-server trace`, for CloudWatch.

The line is a document of CloudWatch's embedded metric format (Specification in the CloudWatch
user's guide): CloudWatch takes METRICS out of it. Ids and positions only, never a text.
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


class Batch:
    """A batch of `function` from its beginning to its line. Lags are told for each record."""

    def __init__(self, function: str, event: dict[str, Any], context: Any) -> None:
        self._function = function
        self._records = len(event["Records"])
        self._request_id = getattr(context, "aws_request_id", None)
        self._applied: list[dict[str, Any]] = []
        self._lags: dict[str, list[int]] = {"AcceptedToStored": [], "QueuedToStored": []}
        self._quarantined = 0

    def applied(self, record: SQSRecord, parsed: Record) -> None:
        """The tables have this record."""
        now = time.time() * 1000
        self._applied.append(place(parsed))
        if parsed.ts:
            accepted = datetime.fromisoformat(parsed.ts).timestamp() * 1000
            self._lags["AcceptedToStored"].append(max(0, round(now - accepted)))
        if sent := record.raw_event["attributes"].get("SentTimestamp"):
            self._lags["QueuedToStored"].append(max(0, round(now - int(sent))))

    def put_aside(self) -> None:
        """The quarantine has this record."""
        self._quarantined += 1

    def tell(self, answer: Any) -> None:
        """Print the line. `answer` is that of the function."""
        failed = len(answer["batchItemFailures"])
        values: dict[str, Any] = {
            "Stored": len(self._applied),
            "Returned": failed,
            "Quarantined": self._quarantined,
            **{name: lags for name, lags in self._lags.items() if lags},
        }
        directive = {
            "Namespace": os.environ.get("RTS_EMF_NAMESPACE") or "rts",
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


def place(parsed: Record) -> dict[str, Any]:
    """What names a record in a log: its kind, room and position, and the message it is about."""
    told: dict[str, Any] = {"kind": parsed.kind, "room_id": parsed.room_id}
    if parsed.epoch:
        told |= {"epoch": parsed.epoch, "offset": parsed.offset}
    about = parsed.data.get("message")
    message = about if isinstance(about, dict) else parsed.data
    return told | {name: message[name] for name in ("message_id", "seq") if name in message}
