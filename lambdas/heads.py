"""Raises the item HEAD of a room: read, merge, and write unless it changed meanwhile."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from lambdas import tables
from rts_server.persistence import records
from rts_server.persistence.records import Record


def raise_head(room_id: str, raising: Sequence[Record[Any]]) -> None:
    """Let HEAD of a room hold these records too. Raises ClientError.

    FIFO gives a room's records to one function at a time: only repetitions come in between.
    """
    client, table = tables.client(), os.environ["RTS_ROOMS_TABLE"]
    for retries_left in range(tables.MAX_CONFLICT_RETRIES, -1, -1):
        found = client.get_item(
            TableName=table, Key=records.head_key(room_id), ConsistentRead=True
        ).get("Item")
        change = records.raised_head(room_id, found, raising)
        tables.execute(change.filed)
        if change.head is None:
            return
        try:
            client.update_item(TableName=table, **change.head)
            return
        except ClientError as error:
            if not tables.is_conflict(error) or not retries_left:
                raise
            tables.pause(tables.MAX_CONFLICT_RETRIES - retries_left)
