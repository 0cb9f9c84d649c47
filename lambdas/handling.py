"""What both functions do with one record: applied, put aside, or back into its queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from lambdas import spans, tables
from lambdas.batch import Batch
from rts_server.persistence import records
from rts_server.persistence.records.record import Rule


def handling(
    batch: Batch,
    kinds: Mapping[str, Rule],
    before: Callable[[records.Record], None] = lambda parsed: None,
) -> Callable[[SQSRecord], None]:
    """The handler of each record of a batch. It raises what makes the record come again."""

    def handle(record: SQSRecord) -> None:
        try:
            parsed = records.parse(record.body, kinds)
            before(parsed)
            with spans.applying(parsed):
                tables.apply(records.decide(parsed, kinds))
            batch.applied(record, parsed)
        except records.Poison as poison:
            tables.quarantine(record.body, poison.reason)
            batch.put_aside()
        except Exception as error:
            tables.failed(record.body, error)
            raise

    return handle
