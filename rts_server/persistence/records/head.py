"""The item HEAD of a room: its highest seq, its last event and message, and the newest message ids.

chat-messages is keyed by message id, because a repeated send must find the first one (D7). The
order of a room's messages is kept in chat-rooms, in blocks of message ids: the newest in HEAD, so
that a message pays for no item of the index, older ones in items of their own. A block is filed
when a later one begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rts_server.persistence.records.keys import (
    IDS_PER_BLOCK,
    ROOMS,
    block_and_slot,
    head_key,
    index_key,
    parse_position,
    position,
)
from rts_server.persistence.records.messages import rank, silent
from rts_server.persistence.records.record import Record
from rts_server.persistence.records.record_data import MessageData
from rts_server.persistence.records.write import UpdateArguments, Write, stored_text, update

PREVIEW_CHARACTERS = 200
HEAD_VALUES = ("seq", "head", "last", "last_position", "block")
"""Attributes of HEAD that only rise; `last_position` ranks `last`."""
SLOTS = tuple(f"m{slot}" for slot in range(IDS_PER_BLOCK))
"""Attributes of a block: the message id of each seq."""


class IndexEntry(NamedTuple):
    """A message's place in its room, as text that sorts, and its id."""

    position: str
    message_id: str


@dataclass
class _Head:
    """HEAD, with the blocks that leave it or never were in it; `values` has no slots."""

    values: dict[str, Any]
    ids: dict[str, str]
    filed: dict[str, dict[str, str]] = field(default_factory=dict)

    def raise_to(self, **values: Any) -> None:
        """Raise attributes together, by the last of them, which ranks them."""
        name = next(reversed(values))
        if name not in self.values or self.values[name] < values[name]:
            self.values |= values

    def add(self, epoch: int, seq: int, message_id: str) -> None:
        """Add a message to its block."""
        block, slot = block_and_slot(epoch, seq)
        newest = self.values.get("block", "")
        if block > newest:
            if self.ids:
                self.filed.setdefault(newest, {}).update(self.ids)
            self.values["block"], self.ids = block, {}
        ids = self.ids if block >= newest else self.filed.setdefault(block, {})
        ids[slot] = message_id


class HeadChange(NamedTuple):
    """What raises HEAD: first blocks to file, then HEAD itself, unless it changed meanwhile.

    In this order a crash in between doubles a block and loses none (Q2). `head` is None if HEAD
    has all of it already.
    """

    filed: list[Write]
    head: UpdateArguments | None


def raised_head(
    room_id: str, item: Mapping[str, Any] | None, records: Iterable[Record[Any]]
) -> HeadChange:
    """Return what makes HEAD, which was read as `item`, hold some records too.

    The result is the same for any order and repetition of records (D8): maxima, and each message
    in its own block.
    """
    item = item or {}
    known = {name: item[name] for name in HEAD_VALUES if name in item}
    head = _Head(dict(known), {slot: item[slot] for slot in SLOTS if slot in item})
    for record in records:
        _add(head, record)
    filed = [
        Write(ROOMS, update(index_key(room_id, block), ids)) for block, ids in head.filed.items()
    ]
    values = head.values | head.ids
    if values.items() <= item.items():
        return HeadChange(filed, None)
    gone = [slot for slot in SLOTS if slot in item and slot not in head.ids]
    # Another batch may have raised HEAD meanwhile, or added to the block that leaves it here.
    moves = head.values.get("block") != item.get("block")
    seen = HEAD_VALUES + SLOTS if moves else HEAD_VALUES
    absent = [name for name in seen if name not in item]
    same = {name: value for name, value in known.items() if name != "last"}
    return HeadChange(
        filed, update(head_key(room_id), values, same=same, absent=absent, remove=gone)
    )


def _add(head: _Head, record: Record[Any]) -> None:
    head.raise_to(head=record.pos)
    data = record.data.get("message", record.data)
    if "seq" in data:
        head.raise_to(seq=data["seq"])
    if "message" in record.data and not silent(data):
        head.raise_to(last=stored_text(preview(data)), last_position=_last_position(record))
    if record.kind == "message.new":
        head.add(data["epoch"], data["seq"], data["message_id"])


def _last_position(record: Record[MessageData]) -> str:
    """Rank by message, then by the state of the message."""
    message = record.data["message"]
    return f"{position(message['epoch'], message['seq'])}#{rank(record)}"


def index_entries(block: str, item: Mapping[str, Any]) -> list[IndexEntry]:
    """Return the entries of a block, ascending; `item` is its item, or HEAD."""
    epoch, first = parse_position(block)
    return [
        IndexEntry(position(epoch, first + number), item[slot])
        for number, slot in enumerate(SLOTS)
        if slot in item
    ]


def preview(message: Mapping[str, Any]) -> dict[str, object]:
    """Return `last_message` of a room, with the beginning of the text only."""
    shown = {name: message.get(name) for name in ("message_id", "seq", "sender_id", "type")}
    return {
        **shown,
        "preview": preview_text(message),
        "deleted": bool(message.get("deleted_at")),
        "created_at": message["created_at"],
    }


def preview_text(message: Mapping[str, Any]) -> str:
    """Return the beginning of the text, or the name of the first file if there is no text."""
    if text := message.get("text"):
        return str(text)[:PREVIEW_CHARACTERS]
    names = [str(one.get("name", "")) for one in message.get("attachments", ())]
    return names[0][:PREVIEW_CHARACTERS] if names else ""
