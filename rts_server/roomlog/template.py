"""JSON texts with holes that only the append script can fill: position, seq, time, members."""

from __future__ import annotations

import re
import secrets
from enum import IntEnum
from typing import Any

import orjson

_NONCE = secrets.token_hex(8)  # nobody outside this process can write a hole into a text
_HOLE = re.compile(rf'"@{_NONCE}:(\d)@"')

Segments = list[str | int]
"""Literal texts and the numbers of slots, in order."""


class Slot(IntEnum):
    """What append.lua puts into a hole."""

    EPOCH = 1
    OFFSET = 2
    SEQ = 3
    TS = 4
    MEMBER_COUNT = 5
    MEMBERS = 6
    USER_IDS = 7


def hole(slot: Slot) -> str:
    """A value that stands for a slot inside an object given to `pieces`."""
    return f"@{_NONCE}:{int(slot)}@"


_TS = hole(Slot.TS)


def stamped(value: dict[str, Any], ts: str) -> dict[str, Any]:
    """A flat object as it is in the log, its only open hole being the time."""
    return {name: ts if item == _TS else item for name, item in value.items()}


def pieces(value: Any) -> Segments:
    """The JSON of a value, cut at its holes. Times keep their quotes, all other slots lose them."""
    parts = _HOLE.split(orjson.dumps(value).decode())
    cut: Segments = [parts[0]]
    for number, literal in zip(parts[1::2], parts[2::2], strict=True):
        if int(number) == Slot.TS:
            cut += ['"', int(number), '"' + literal]
        else:
            cut += [int(number), literal]
    return cut
