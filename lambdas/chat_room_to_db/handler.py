"""chat-room-to-db: room and member records of the standard queue, into chat-rooms."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from lambdas import fingerprint, spans, tables
from lambdas.batch import Batch
from rts_server.persistence import records

processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def lambda_handler(event: dict[str, Any], context: Any) -> Any:
    """A batch of SQS → `{"batchItemFailures": [{"itemIdentifier": …}]}`; a probe → its hash."""
    if proof := fingerprint.answer(event):
        return proof
    batch = Batch("chat-room-to-db", event, context)

    def handle(record: SQSRecord) -> None:
        try:
            parsed = records.parse(record.body, records.ROOM_KINDS)
            with spans.applying(parsed):
                tables.apply(records.decide(parsed, records.ROOM_KINDS))
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
