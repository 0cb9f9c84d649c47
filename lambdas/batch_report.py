"""The summary line of one invocation, for people, for `rts-server trace` and for CloudWatch.

The line is a document in CloudWatch's embedded metric format ("Specification: Embedded metric
format" in the CloudWatch user guide), from which CloudWatch takes METRICS. It holds ids and
positions, never a text.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from datetime import datetime
from typing import Any

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
        self._stored: list[Record[Any]] = []
        self._lags: dict[str, list[int]] = {"AcceptedToStored": [], "QueuedToStored": []}
        self._quarantined = 0

    def add_stored(self, parsed: Record[Any], sent_ms: int) -> None:
        """Add a record that is in the tables; `sent_ms`: when SQS got it (ms since 1970), or 0."""
        now = time.time() * 1000
        self._stored.append(parsed)
        if parsed.ts:
            accepted = datetime.fromisoformat(parsed.ts).timestamp() * 1000
            self._lags["AcceptedToStored"].append(max(0, round(now - accepted)))
        if sent_ms:
            self._lags["QueuedToStored"].append(max(0, round(now - sent_ms)))

    def add_quarantined(self) -> None:
        """Add a record that is in the quarantine queue."""
        self._quarantined += 1

    def print_summary(self, returned: int) -> None:
        """Print the line. `returned`: how many records go back to their queue."""
        values: dict[str, int | list[int]] = {
            "Stored": len(self._stored),
            "Returned": returned,
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
            "kinds": Counter(one.kind for one in self._stored),
            **self._ends(),
            "Process": self._function,
            "_aws": {"Timestamp": round(time.time() * 1000), "CloudWatchMetrics": [directive]},
            **({"request_id": self._request_id} if self._request_id else {}),
            **values,
        }
        print(json.dumps(line, separators=(",", ":")), flush=True)

    def _ends(self) -> dict[str, dict[str, object]]:
        """Return the first and the last stored record: the ids of all would cost most of the logs.

        Returned and quarantined records have lines of their own.
        """
        named = {"first": self._stored[:1], "last": self._stored[1:][-1:]}
        return {name: log_fields(one) for name, found in named.items() for one in found}


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
