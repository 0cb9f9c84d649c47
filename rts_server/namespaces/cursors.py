"""Parses the cursors in the `auth` payload of a connecting client."""

from __future__ import annotations

import re
from typing import Any

_ROOM_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def read_cursors(
    given: Any, max_rooms: int
) -> tuple[dict[str, tuple[int, int]], dict[str, tuple[int, int]]]:
    """Parse `{room_id: [epoch, offset, read_seq?, delivered_seq?]}`.

    Returns positions (room id → (epoch, offset)) and receipts (room id → (read_seq,
    delivered_seq)). Invalid entries, and those beyond `max_rooms`, are ignored: the client then
    gets these rooms as if it had no cursor.
    """
    positions: dict[str, tuple[int, int]] = {}
    receipts: dict[str, tuple[int, int]] = {}
    for room_id, cursor in given.items() if isinstance(given, dict) else ():
        if len(positions) >= max_rooms:
            break
        if not isinstance(room_id, str) or not _ROOM_ID.fullmatch(room_id):
            continue
        if not isinstance(cursor, list) or len(cursor) < 2:
            continue
        epoch, offset, *receipt = cursor
        if not (_is_number(epoch) and _is_number(offset)):
            continue
        positions[room_id] = (epoch, offset)
        if receipt:
            read, delivered = receipt[0], receipt[1] if len(receipt) > 1 else 0
            if _is_number(read) and _is_number(delivered):
                receipts[room_id] = (read, delivered)
    return positions, receipts


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 10**10
