"""JSON texts with placeholders that only append.lua can fill: position, seq, time, members.

Python serialises an event once and cuts its text at the placeholders; the script joins the
segments with the values. So the script needs no JSON encoder for what users wrote, and no text of
a user can be mistaken for a placeholder.
"""

from __future__ import annotations

import re
import secrets
from enum import IntEnum
from typing import Any, cast

import orjson

from rts_server.types.objects import Message

_NONCE = secrets.token_hex(8)  # unknown outside this process: no user can write a placeholder
_PLACEHOLDER = re.compile(rf'"@{_NONCE}:(\d)@"')

Segments = list[str | int]
"""Literal texts and numbers of slots, in order."""


class Slot(IntEnum):
    """The values that append.lua puts in the place of placeholders."""

    EPOCH = 1
    OFFSET = 2
    SEQ = 3
    TS = 4
    MEMBER_COUNT = 5
    MEMBERS = 6
    USER_IDS = 7


def placeholder(slot: Slot) -> Any:
    """A text that stands for a slot inside an object given to `segments`.

    Its type is Any: it takes the place of a number, a time or a list.
    """
    return f"@{_NONCE}:{int(slot)}@"


_TS = placeholder(Slot.TS)


def with_timestamp(message: Message, ts: str) -> Message:
    """A message as the log has it; the time must be its only placeholder."""
    return cast(Message, {name: ts if item == _TS else item for name, item in message.items()})


def segments(value: object) -> Segments:
    """The JSON of a value, cut at its placeholders. Times keep their quotes, other slots do not."""
    parts = _PLACEHOLDER.split(orjson.dumps(value).decode())
    cut: Segments = [parts[0]]
    for number, literal in zip(parts[1::2], parts[2::2], strict=True):
        if int(number) == Slot.TS:
            cut += ['"', int(number), '"' + literal]
        else:
            cut += [int(number), literal]
    return cut
