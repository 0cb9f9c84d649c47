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
        if not isinstance(cursor, list) or len(cursor) < 2 or not all(map(_is_number, cursor[:2])):
            continue
        positions[room_id] = (cursor[0], cursor[1])
        if len(cursor) > 2 and all(map(_is_number, cursor[2:4])):
            read, delivered = [*cursor[2:4], 0][:2]
            receipts[room_id] = (read, delivered)
    return positions, receipts


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 10**10
