"""The handler of one record, shared by both functions: apply, quarantine, or return it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from lambdas import spans, tables
from lambdas.batch_report import BatchReport
from rts_server.persistence import records
from rts_server.persistence.records.record import Rule


def record_handler(
    report: BatchReport,
    kinds: Mapping[str, Rule],
    before: Callable[[records.Record[Any]], None] = lambda parsed: None,
) -> Callable[[SQSRecord], None]:
    """Return the handler of each record of a batch; `before` is called with the parsed record.

    The handler raises any error that a later attempt may not meet: the record then returns to its
    queue. Poison, which no attempt could apply, goes to the quarantine queue.
    """

    def handle(record: SQSRecord) -> None:
        try:
            parsed = records.parse(record.body, kinds)
            before(parsed)
            with spans.store_span(parsed):
                tables.apply_record(records.decide(parsed, kinds))
            report.add_stored(record, parsed)
        except records.Poison as poison:
            tables.quarantine(record.body, poison.reason)
            report.add_quarantined()
        except Exception as error:
            tables.log_returned(record.body, error)
            raise

    return handle
