"""Which event of a room may go out next: pure decisions on positions."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import orjson

Position = tuple[int, int]
"""(epoch, offset)"""


class PublishedEvent(NamedTuple):
    """An event as published: `epoch offset type json`. `text` is the client's event, untouched.

    An ephemeral one (`~type`) has no position of its own: it carries the head it was told at;
    `~type@user` is for one user's devices.
    """

    position: Position
    type: str
    text: str
    durable: bool = True
    to: str | None = None


class Verdict(Enum):
    """What a position means to somebody who stands at another."""

    NEXT = "next"
    STALE = "stale"
    GAP = "gap"
    EPOCH = "epoch"


def parse(data: bytes) -> PublishedEvent:
    """The event in a published payload."""
    epoch, offset, kind, text = data.decode().split(" ", 3)
    position = (int(epoch), int(offset))
    if not kind.startswith("~"):
        return PublishedEvent(position, kind, text)
    name, _, user_id = kind[1:].partition("@")
    return PublishedEvent(position, name, text, False, user_id or None)


def parse_stored(data: bytes) -> PublishedEvent:
    """The event in an entry of the hot log: `epoch offset json`, the type read from the event."""
    epoch, offset, text = data.decode().split(" ", 2)
    return PublishedEvent((int(epoch), int(offset)), orjson.loads(text)["type"], text)


def position_of(stored: bytes) -> Position:
    """The position of an entry of the hot log."""
    epoch, offset, _ = stored.split(b" ", 2)
    return int(epoch), int(offset)


def judge(stands: Position, heard: Position) -> Verdict:
    """NEXT is delivered, STALE dropped, GAP filled first, EPOCH asks for a new start."""
    if heard <= stands:
        return Verdict.STALE
    if heard[0] != stands[0]:
        return Verdict.EPOCH
    return Verdict.NEXT if heard[1] == stands[1] + 1 else Verdict.GAP


def continues(stands: Position | None, heard: PublishedEvent) -> bool:
    """Whether an epoch's first event follows without loss on where somebody stands."""
    if heard.type != "room.epoch" or heard.position[1] != 1 or stands is None:
        return False
    return tuple(orjson.loads(heard.text)["data"]["prev"]) == stands
