"""A record on its way to the tables, parsed strictly; what it may be is in `shapes`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from marshmallow import Schema, ValidationError

from rts_server.persistence.records import shapes
from rts_server.persistence.records.keys import LARGEST, position
from rts_server.persistence.records.write import Step

PARTS = ("event", "barrier", "settings", "cursors", "files", "expiry")
QUARANTINED_CHARACTERS = 85_000


class Poison(Exception):
    """No number of retries makes this record applicable; `reason` names fields, never a text."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Record:
    """A valid record. `data` is the event's own, unknown fields included; where the event tells
    only what changed, it is the whole message. `erases`: attachments that go with a message."""

    kind: str
    room_id: str
    epoch: int
    offset: int
    data: dict[str, Any] = field(repr=False)
    hash: str | None = None
    ts: str = ""
    erases: tuple[str, ...] = ()
    traceparent: str = ""

    @property
    def pos(self) -> str:
        """Position of the event in its room's log."""
        return position(self.epoch, self.offset)


@dataclass(frozen=True)
class Rule:
    """One kind of record: the shape of its data and what it does to the tables."""

    data: Schema
    decide: Callable[[Record], list[Step]]


def parse(body: str, kinds: Mapping[str, Rule]) -> Record:
    """The record in a message body. Raises Poison, naming the fields that are wrong."""
    raw = _decoded(body)
    _must(shapes.RECORD, raw)
    record = _alone(raw) or _event(raw)
    rule = kinds.get(record.kind)
    if rule is None:
        raise Poison(f"unknown kind {record.kind[:64]!a}")
    _must(rule.data, record.data)
    named = (_object(record.data, part).get("room_id") for part in ("message", "room"))
    if any(room_id not in (None, record.room_id) for room_id in named):
        raise Poison("room_id differs between the event and its data")
    return record


def _decoded(body: str) -> dict[str, Any]:
    try:
        raw = json.loads(body, parse_constant=_no_constant)
        json.dumps(raw, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Poison(f"not JSON: {type(error).__name__}") from None
    if not isinstance(raw, dict):
        raise Poison("not a JSON object")
    return raw


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _must(schema: Schema, raw: dict[str, Any]) -> None:
    try:
        schema.load(raw)
    except ValidationError as error:
        raise Poison(f"invalid: {json.dumps(error.messages, default=str)[:500]}") from None


def _alone(raw: dict[str, Any]) -> Record | None:
    """A record that carries no event of a room's log."""
    for kind in ("barrier", "settings", "cursors", "files", "expiry"):
        if data := raw.get(kind):
            return Record(kind, data["room_id"], data.get("epoch", 0), data.get("offset", 0), data)
    return None


def _event(raw: dict[str, Any]) -> Record:
    event = raw.get("event")
    if event is None:
        raise Poison("neither event nor barrier, settings, cursors, files or expiry")
    return Record(
        event["type"],
        event["room_id"],
        event["epoch"],
        event["offset"],
        {"message": raw["message"]} if "message" in raw else event["data"],
        raw.get("hash"),
        event.get("ts") or "",
        tuple(raw.get("erases", ())),
        str(raw.get("traceparent") or ""),
    )


def quarantined(body: str, reason: str) -> str:
    """ASCII JSON for the quarantine queue: reason, record, and what could be recognised of it."""
    kept = body[:QUARANTINED_CHARACTERS]
    entry = {"reason": reason, "record": kept, **recognised(body)}
    if len(kept) < len(body):
        entry["truncated"] = True
    return json.dumps(entry)


def recognised(body: str) -> dict[str, Any]:
    """Those of room_id, epoch, offset, message_id, client_msg_id, seq that can be made out."""
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    parts = (_object(raw, name) for name in PARTS)
    outer = next(filter(None, parts), {})
    data = _object(outer, "data")
    inner = _object(data, "message") or data
    found = {name: outer.get(name) for name in ("room_id", "epoch", "offset")}
    found |= {name: inner.get(name) for name in ("message_id", "client_msg_id", "seq")}
    return {name: value for name, value in found.items() if _plausible(name, value)}


def _object(raw: Any, name: str) -> dict[str, Any]:
    value = raw.get(name) if isinstance(raw, dict) else None
    return value if isinstance(value, dict) else {}


def _plausible(name: str, value: Any) -> bool:
    if name in ("epoch", "offset", "seq"):
        return type(value) is int and 0 <= value <= LARGEST
    return isinstance(value, str) and 0 < len(value) <= 128


def decide(record: Record, kinds: Mapping[str, Rule]) -> list[Step]:
    """The writes of one record, in the order in which they must happen."""
    return kinds[record.kind].decide(record)
