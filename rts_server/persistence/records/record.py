"""Records and how they are parsed; their schemas are in `shapes`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypedDict, TypeVar, cast

from marshmallow import Schema, ValidationError

from rts_server.persistence.records import shapes
from rts_server.persistence.records.keys import MAX_NUMBER, position
from rts_server.persistence.records.write import Step

PARTS = ("event", "barrier", "settings", "cursors", "files", "expiry")
REACTION = "reaction"
"""Kind of a `message.updated` that holds a change of reactions instead of a message."""
UNREADABLE = "unreadable"
"""Kind of a record that cannot be parsed."""
MAX_QUARANTINED_CHARACTERS = 85_000
"""Characters that a quarantine entry keeps of a record: as JSON they fit into one SQS message."""


Data = TypeVar("Data")
Json = dict[str, Any]
"""A record that is not validated yet."""


class Poison(Exception):
    """The record can never be applied. `reason` names its fields, never its text."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RecordPosition(TypedDict, total=False):
    """The position of a record, as far as it can be parsed."""

    room_id: str
    epoch: int
    offset: int
    message_id: str
    client_msg_id: str
    seq: int


@dataclass(frozen=True)
class Record(Generic[Data]):
    """A valid record.

    `data` is the data of the event, unknown fields included; if the event holds only a change, it
    is the whole message. `erases`: ids of the attachments to erase with a message. `hash`: the hash
    of the request, for idempotency. `member_count`: members after a change of members, None if
    absent. `ts` and `traceparent` are empty if absent.
    """

    kind: str
    room_id: str
    epoch: int
    offset: int
    data: Data = field(repr=False)
    hash: str | None = None
    ts: str = ""
    erases: tuple[str, ...] = ()
    traceparent: str = ""
    member_count: int | None = None

    @property
    def pos(self) -> str:
        """Position of the event in its room's log, as text that sorts."""
        return position(self.epoch, self.offset)


@dataclass(frozen=True)
class Rule:
    """One kind of record: the schema of its data, and the steps that apply it."""

    data: Schema
    decide: Callable[[Record[Any]], list[Step]]


def parse(body: str, kinds: Mapping[str, Rule]) -> Record[Any]:
    """Parse the body of an SQS message. Raises Poison, which names the invalid fields."""
    raw = _decoded(body)
    _validate(shapes.RECORD, raw)
    record = _without_event(raw) or _event(raw)
    rule = kinds.get(record.kind)
    if rule is None:
        raise Poison(f"unknown kind {record.kind[:64]!a}")
    _validate(rule.data, record.data)
    named = (_object(record.data, part).get("room_id") for part in ("message", "room"))
    if any(room_id not in (None, record.room_id) for room_id in named):
        raise Poison("room_id differs between the event and its data")
    return record


def _decoded(body: str) -> Json:
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


def _validate(schema: Schema, raw: Json) -> None:
    try:
        schema.load(raw)
    except ValidationError as error:
        raise Poison(f"invalid: {json.dumps(error.messages, default=str)[:500]}") from None


def _without_event(raw: Json) -> Record[Any] | None:
    """Return the record if it carries no event of a room's log, else None."""
    for kind in ("barrier", "settings", "cursors", "files", "expiry"):
        if data := raw.get(kind):
            return Record(kind, data["room_id"], data.get("epoch", 0), data.get("offset", 0), data)
    return None


def _event(raw: Json) -> Record[Any]:
    event = raw.get("event")
    if event is None:
        raise Poison("neither event nor barrier, settings, cursors, files or expiry")
    is_reaction = "reaction" in event["data"] and "message" not in raw
    return Record(
        REACTION if is_reaction else event["type"],
        event["room_id"],
        event["epoch"],
        event["offset"],
        {"message": raw["message"]} if "message" in raw else event["data"],
        raw.get("hash"),
        event.get("ts") or "",
        tuple(raw.get("erases", ())),
        str(raw.get("traceparent") or ""),
        raw.get("member_count"),
    )


def quarantine_entry(body: str, reason: str) -> str:
    """Return ASCII JSON for the quarantine queue: reason, record and its recognizable fields."""
    kept = body[:MAX_QUARANTINED_CHARACTERS]
    entry = {"reason": reason, "record": kept, **recognized_fields(body)}
    if len(kept) < len(body):
        entry["truncated"] = True
    return json.dumps(entry)


def recognized_fields(body: str) -> RecordPosition:
    """Return those of room_id, epoch, offset, message_id, client_msg_id and seq that are valid."""
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    parts = (_object(raw, name) for name in PARTS)
    outer = next(filter(None, parts), {})
    data = _object(outer, "data")
    inner = _object(data, "message") or data or _object(raw, "message")
    found = {name: outer.get(name) for name in ("room_id", "epoch", "offset")}
    found |= {name: inner.get(name) for name in ("message_id", "client_msg_id", "seq")}
    plausible = {name: value for name, value in found.items() if _plausible(name, value)}
    return cast(RecordPosition, plausible)


def recognized_kind(body: str) -> str:
    """Return the type of a record's event, the name of its other part, or UNREADABLE."""
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        return UNREADABLE
    part = next((name for name in PARTS if _object(raw, name)), UNREADABLE)
    kind = _object(raw, "event").get("type") if part == "event" else part
    return kind if isinstance(kind, str) and _plausible("type", kind) else UNREADABLE


def _object(raw: Any, name: str) -> Json:
    value = raw.get(name) if isinstance(raw, dict) else None
    return value if isinstance(value, dict) else {}


def _plausible(name: str, value: Any) -> bool:
    if name in ("epoch", "offset", "seq"):
        return type(value) is int and 0 <= value <= MAX_NUMBER
    return isinstance(value, str) and 0 < len(value) <= 128


def decide(record: Record[Any], kinds: Mapping[str, Rule]) -> list[Step]:
    """Return the steps of one record, in the order in which they must happen."""
    return kinds[record.kind].decide(record)
