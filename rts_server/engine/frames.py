"""Parses incoming Socket.IO packets (protocol v5) strictly, without I/O."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import orjson

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)
MAX_ACK_ID = 2**31 - 1

_PACKET = re.compile(
    r"(?P<type>[0-6])(?:(?P<attachments>[0-9]{1,10})-)?"
    r"(?:(?P<namespace>/[^,]{0,200})(?:,|\Z))?(?P<id>[0-9]{1,10})?(?P<data>[\[{\"ntf-].*)?\Z",
    re.DOTALL | re.ASCII,
)


_HEAD = re.compile(
    r"(?P<type>[25])(?:[0-9]{1,10}-)?(?:(?P<namespace>/[^,]{0,200}),)?(?P<id>[0-9]{1,10})"
    r"\[(?:\"(?P<name>[a-z_.]{1,40})\")?",
    re.ASCII,
)


class Malformed(ValueError):
    """The text is not a Socket.IO packet, or has an ack id that cannot be answered."""


class Frame(NamedTuple):
    """A Socket.IO packet. `data` is its parsed payload.

    `broken`: the payload is not strict JSON. `large`: the packet was too large; `data` then holds
    only the name of the event.
    """

    type: int
    namespace: str
    ack_id: int | None
    data: Any
    broken: bool = False
    large: bool = False


def parse(text: str) -> Frame:
    """Return the packet in the text of an Engine.IO MESSAGE. Raises Malformed."""
    match = _PACKET.match(text)
    if match is None:
        raise Malformed
    ack_id = int(match["id"]) if match["id"] else None
    if ack_id is not None and ack_id > MAX_ACK_ID:
        raise Malformed
    namespace = (match["namespace"] or "/").partition("?")[0]
    data, broken = None, False
    if match["data"]:
        try:
            data = orjson.loads(match["data"])
        except ValueError:
            broken = True
    return Frame(int(match["type"]), namespace, ack_id, data, broken)


def parse_head(text: str) -> Frame | None:
    """Return the command of which a text is the beginning; None if it has no ack id."""
    match = _HEAD.match(text)
    if match is None or int(match["id"]) > MAX_ACK_ID:
        return None
    namespace = (match["namespace"] or "/").partition("?")[0]
    data = [match["name"]] if match["name"] else []
    return Frame(int(match["type"]), namespace, int(match["id"]), data, large=True)
