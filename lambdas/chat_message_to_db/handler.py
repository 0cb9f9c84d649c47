"""chat-message-to-db: message records and barriers of the FIFO queue, into both tables."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.batch import (
    SqsFifoPartialProcessor,
    process_partial_response,
)

from lambdas import fingerprint, spans, tables
from lambdas.batch import Batch
from lambdas.handling import handling
from rts_server.persistence import records

processor = SqsFifoPartialProcessor(skip_group_on_error=True)
# All failed is an answer like any other; raising would count as a crash of the function.
processor.raise_on_entire_batch_failure = False


def lambda_handler(event: dict[str, Any], context: Any) -> Any:
    """A batch of SQS → `{"batchItemFailures": [{"itemIdentifier": …}]}`; a probe → its hash."""
    if proof := fingerprint.answer(event):
        return proof
    batch = Batch("chat-message-to-db", event, context)
    lifts = records.watermark_writes(record["body"] for record in event["Records"])

    def lift(parsed: records.Record) -> None:
        tables.lift(lifts.get(parsed.room_id, ()))
        lifts.pop(parsed.room_id, None)

    handle = handling(batch, records.MESSAGE_KINDS, lift)
    answer = process_partial_response(event, handle, processor, context)
    batch.tell(answer)
    spans.flush()
    return answer
