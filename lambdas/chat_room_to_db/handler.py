"""chat-room-to-db: applies room and member records of the standard queue to chat-rooms."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)

from lambdas import fingerprint, spans
from lambdas.batch_report import BatchReport
from lambdas.record_handler import record_handler
from rts_server.persistence import records

processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def lambda_handler(event: dict[str, Any], context: Any) -> Any:
    """Return `{"batchItemFailures": [{"itemIdentifier": …}]}` for a batch of SQS.

    A probe (`{"probe": true}`) is answered by the fingerprint of the code.
    """
    if proof := fingerprint.answer_probe(event):
        return proof
    report = BatchReport("chat-room-to-db", event, context)
    handle = record_handler(report, records.ROOM_KINDS)
    answer = process_partial_response(event, handle, processor, context)
    report.print_summary(answer)
    spans.flush()
    return answer
