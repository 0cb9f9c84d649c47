"""chat-message-to-db: applies message records and barriers of the FIFO queue to both tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import zip_longest
from typing import Any

from lambdas import batch, fingerprint, tables
from lambdas.batch import Group
from lambdas.batch_report import BatchReport
from lambdas.heads import raise_head
from rts_server.persistence import records


def lambda_handler(event: dict[str, Any], context: Any) -> Any:
    """Return `{"batchItemFailures": [{"itemIdentifier": …}]}` for a batch of SQS.

    A probe (`{"probe": true}`) is answered by the fingerprint of the code.
    """
    if proof := fingerprint.answer_probe(event):
        return proof
    report = BatchReport("chat-message-to-db", event, context)
    entries = batch.parse_entries(event, records.MESSAGE_KINDS)
    groups = batch.group_entries(entries)
    # With the first wave: a barrier behind messages has a later one, so that it does not pass while
    # the room's seq is behind them (D1). Until the batch ends, the queue has its records.
    units = [partial(_raise, group, one) for group in groups for one in _watermarks(group)]
    for wave in zip_longest(*(group.waves() for group in groups), fillvalue=()):
        for group, targets in zip(groups, wave, strict=True):
            if not group.failed:
                units += [partial(batch.apply_entries, one) for one in targets]
        batch.at_once(units)
        units = []
    returned = [entry for group in groups for entry in group.from_first_failed]
    return batch.finish(entries, returned, report)


def _watermarks(group: Group) -> Iterator[Callable[[], None]]:
    """Yield what raises the head of each room of a group, and the cursors of its senders."""
    parsed = (entry.parsed for entry in group.entries if entry.parsed)
    for room_id, raising in records.raising_records(parsed).items():
        yield partial(raise_head, room_id, raising)
        for write in records.read_cursor_writes(room_id, raising):
            yield partial(tables.execute, [write])


def _raise(group: Group, raise_watermark: Callable[[], None]) -> None:
    """Raise a watermark; if that fails, all of the group returns."""
    try:
        raise_watermark()
    except Exception as error:
        batch.fail(group.entries[0], error)
