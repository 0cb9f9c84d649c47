"""chat-message-to-db: applies message records and barriers of the FIFO queue to both tables."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.batch import (
    SqsFifoPartialProcessor,
    process_partial_response,
)

from lambdas import fingerprint, spans, tables
from lambdas.batch_report import BatchReport
from lambdas.record_handler import record_handler
from rts_server.persistence import records

processor = SqsFifoPartialProcessor(skip_group_on_error=True)
# A batch that failed as a whole is answered like any other; raising would count as a crash.
processor.raise_on_entire_batch_failure = False


def lambda_handler(event: dict[str, Any], context: Any) -> Any:
    """Return `{"batchItemFailures": [{"itemIdentifier": …}]}` for a batch of SQS.

    A probe (`{"probe": true}`) is answered by the fingerprint of the code.
    """
    if proof := fingerprint.answer_probe(event):
        return proof
    report = BatchReport("chat-message-to-db", event, context)
    watermarks = records.watermark_writes(record["body"] for record in event["Records"])

    def write_watermarks(parsed: records.Record[Any]) -> None:
        # Before the batch's first message of a room. Forgotten after success only, so that the
        # room's next record tries again what failed.
        tables.execute(watermarks.get(parsed.room_id, ()))
        watermarks.pop(parsed.room_id, None)

    handle = record_handler(report, records.MESSAGE_KINDS, write_watermarks)
    answer = process_partial_response(event, handle, processor, context)
    report.print_summary(answer)
    spans.flush()
    return answer
