"""JSON texts with placeholders that only append.lua can fill: position, seq, time, members.

Python serialises an event once and marks the places; the script puts the values there. So the
script needs no JSON encoder for what users wrote, and no text of a user can be mistaken for a
placeholder.
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

TextTemplate = str
"""JSON with a mark in the place of each value that is not known yet: the byte 1, which JSON never
contains, and the digit of a slot."""


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
    """A text that stands for a slot inside an object given to `text_template`.

    Its type is Any: it takes the place of a number, a time or a list.
    """
    return f"@{_NONCE}:{int(slot)}@"


_TS = placeholder(Slot.TS)
_MARKS = {str(int(slot)): f"\x01{int(slot)}" for slot in Slot}
_MARKS[str(int(Slot.TS))] = f'"\x01{int(Slot.TS)}"'


def with_timestamp(message: Message, ts: str) -> Message:
    """A message as the log has it; the time must be its only placeholder."""
    return cast(Message, {name: ts if item == _TS else item for name, item in message.items()})


def text_template(value: object) -> TextTemplate:
    """The JSON of a value, marked at its placeholders. Of these only times stay quoted."""
    return _PLACEHOLDER.sub(_mark, orjson.dumps(value).decode())


def _mark(found: re.Match[str]) -> str:
    return _MARKS[found[1]]
