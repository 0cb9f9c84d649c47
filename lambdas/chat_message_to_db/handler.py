"""chat-message-to-db: message records and barriers of the FIFO queue, into both tables."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.batch import (
    SqsFifoPartialProcessor,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from lambdas import fingerprint, spans, tables
from lambdas.batch import Batch
from rts_server.persistence import records

processor = SqsFifoPartialProcessor(skip_group_on_error=True)
# All failed is an answer like any other; raising would count as a crash of the function.
processor.raise_on_entire_batch_failure = False


def lambda_handler(event: dict[str, Any], context: Any) -> Any:
    """A batch of SQS → `{"batchItemFailures": [{"itemIdentifier": …}]}`; a probe → its hash."""
    if proof := fingerprint.answer(event):
        return proof
    batch = Batch("chat-message-to-db", event, context)
    lifts = records.lifts(record["body"] for record in event["Records"])

    def handle(record: SQSRecord) -> None:
        try:
            parsed = records.parse(record.body, records.MESSAGE_KINDS)
            tables.lift(lifts.get(parsed.room_id, ()))
            lifts.pop(parsed.room_id, None)
            with spans.applying(parsed):
                tables.apply(records.decide(parsed, records.MESSAGE_KINDS))
            batch.applied(record, parsed)
        except records.Poison as poison:
            tables.quarantine(record.body, poison.reason)
            batch.put_aside()
        except Exception as error:
            tables.failed(record.body, error)
            raise

    answer = process_partial_response(event, handle, processor, context)
    batch.tell(answer)
    spans.flush()
    return answer
