"""Which event of a room may be delivered next: pure decisions on positions."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import orjson

from rts_server.domain.position import Position


class PublishedEvent(NamedTuple):
    """An event as published: `epoch offset type json`. `text` is the JSON that clients get.

    An ephemeral event (`~type`) has no position of its own; `position` is the room's head when it
    was published. `~type@user` is for the devices of one user (`to`).
    """

    position: Position
    type: str
    text: str
    durable: bool = True
    to: str | None = None


class Verdict(Enum):
    """The relation of a published position to the last one delivered."""

    NEXT = "next"
    STALE = "stale"
    GAP = "gap"
    EPOCH = "epoch"


def parse(data: bytes) -> PublishedEvent:
    """Parse a published payload."""
    epoch, offset, kind, text = data.decode().split(" ", 3)
    position = (int(epoch), int(offset))
    if not kind.startswith("~"):
        return PublishedEvent(position, kind, text)
    name, _, user_id = kind[1:].partition("@")
    return PublishedEvent(position, name, text, False, user_id or None)


def parse_stored(data: bytes) -> PublishedEvent:
    """Parse an entry of the hot log: `epoch offset json`; the type is read from the JSON."""
    epoch, offset, text = data.decode().split(" ", 2)
    return PublishedEvent((int(epoch), int(offset)), orjson.loads(text)["type"], text)


def position_of(stored: bytes) -> Position:
    """Return the position of an entry of the hot log."""
    epoch, offset, _ = stored.split(b" ", 2)
    return int(epoch), int(offset)


def classify(current: Position, published: Position) -> Verdict:
    """Compare a published position with the last delivered one.

    NEXT is delivered, STALE is dropped, GAP is filled first from the hot log, and EPOCH begins the
    stream anew unless the event `is_contiguous`.
    """
    if published <= current:
        return Verdict.STALE
    if published[0] != current[0]:
        return Verdict.EPOCH
    return Verdict.NEXT if published[1] == current[1] + 1 else Verdict.GAP


def is_contiguous(current: Position | None, event: PublishedEvent) -> bool:
    """Return whether an epoch's first event follows `current` without loss.

    `room.epoch` names the last position before it that survived (`prev`): an epoch begins after a
    loss of Redis, and only who stands exactly there has missed nothing (D4).
    """
    if event.type != "room.epoch" or event.position[1] != 1 or current is None:
        return False
    return tuple(orjson.loads(event.text)["data"]["prev"]) == current
