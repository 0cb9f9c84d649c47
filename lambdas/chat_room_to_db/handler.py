"""chat-room-to-db: applies room and member records of the standard queue to chat-rooms."""

from __future__ import annotations

from functools import partial
from typing import Any

from lambdas import batch, fingerprint
from lambdas.batch_report import BatchReport
from rts_server.persistence import records


def lambda_handler(event: dict[str, Any], context: Any) -> Any:
    """Return `{"batchItemFailures": [{"itemIdentifier": …}]}` for a batch of SQS.

    A probe (`{"probe": true}`) is answered by the fingerprint of the code.
    """
    if proof := fingerprint.answer_probe(event):
        return proof
    report = BatchReport("chat-room-to-db", event, context)
    entries = batch.parse_entries(event, records.ROOM_KINDS)
    # Rooms at once, but a room's records one by one: transactions of one room are in conflict.
    groups = batch.group_entries(entries)
    batch.at_once([partial(batch.apply_entries, one.entries, until_failed=False) for one in groups])
    return batch.finish(entries, [entry for entry in entries if entry.failed], report)
