"""What a record means for the tables: parsed, judged, turned into conditional writes.

Shared with the Lambdas and pure: the standard library and marshmallow, no I/O. Every write is safe
to repeat and safe in any order: it only ever moves an attribute upwards.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.validate import Equal, Length, Range, Regexp

VERSION = 1
ROOMS, MESSAGES = "rooms", "messages"
ROOM, MEMBER, DELETED = "ROOM", "MEMBER#", "DELETED#"
BLOCK = 1_000
PREVIEW = 200
CHUNK = 50
LARGEST = 10**10 - 1
QUARANTINED_CHARACTERS = 85_000
ROOM_FIELDS = (
    "type",
    "name",
    "external_id",
    "metadata",
    "created_at",
    "created_by",
    "version",
    "frozen",
)
MEMBER_FIELDS = ("name", "role", "joined_at")


class Poison(Exception):
    """No number of retries makes this record applicable; `reason` names fields, never a text."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# Keys and positions


def room_key(room_id: str) -> dict[str, str]:
    """Key of a room's own item in chat-rooms."""
    return {"room_id": room_id, "sk": ROOM}


def member_key(room_id: str, user_id: str) -> dict[str, str]:
    """Key of one member's item in chat-rooms."""
    return {"room_id": room_id, "sk": MEMBER + user_id}


def deleted_key(room_id: str, seq: int) -> dict[str, str]:
    """Key of the block of 1,000 in which a seq is noted as not counting."""
    return {"room_id": room_id, "sk": f"{DELETED}{seq // BLOCK:06d}"}


def message_key(room_id: str, message_id: str) -> dict[str, str]:
    """Key of a message in chat-messages."""
    return {"room_id": room_id, "message_id": message_id}


def position(epoch: int, number: int) -> str:
    """(epoch, offset) or (epoch, seq) as text that sorts like the pair."""
    return f"{epoch:010d}#{number:010d}"


def pair(text: str) -> tuple[int, int]:
    """The pair behind a position text; (0, 0) for the empty text."""
    epoch, _, number = text.partition("#")
    return int(epoch or 0), int(number or 0)


def body_key(version: int, epoch: int, offset: int) -> str:
    """Rank of a body: the higher version wins, between equal ones the later record."""
    return f"{version:010d}#{position(epoch, offset)}"


def final_key(epoch: int, offset: int) -> str:
    """Rank of a tombstone, which absorbs all bodies: `~` sorts above every digit."""
    return f"~{position(epoch, offset)}"


def failure_key(epoch: int, offset: int) -> str:
    """Rank of a failure, which absorbs tombstones too."""
    return f"~{final_key(epoch, offset)}"


# What a record may be


def _text(pattern: str, **more: Any) -> fields.String:
    return fields.String(validate=Regexp(pattern + r"\Z"), **more)


def _id(**more: Any) -> fields.String:
    return _text(r"[A-Za-z0-9_-]{1,64}", **more)


def _user(**more: Any) -> fields.String:
    return _text(r"[!-~]{1,128}", **more)


def _number(**more: Any) -> fields.Integer:
    return fields.Integer(strict=True, validate=Range(0, LARGEST), **more)


def _optional() -> fields.String:
    return fields.String(allow_none=True)


def _schema(**members: fields.Field[Any]) -> Schema:
    return Schema.from_dict(members)(unknown=EXCLUDE)


_BARRIER = _schema(room_id=_id(required=True), nonce=_text(r"[!-~]{1,128}", required=True))
_EVENT = _schema(
    type=fields.String(required=True),
    ts=_optional(),
    room_id=_id(required=True),
    epoch=_number(required=True),
    offset=_number(required=True),
    data=fields.Dict(required=True),
)
_RECORD = _schema(
    v=fields.Integer(strict=True, required=True, validate=Equal(VERSION)),
    event=fields.Nested(_EVENT),
    barrier=fields.Nested(_BARRIER),
    hash=_optional(),
)
_MESSAGE = _schema(
    message_id=_id(required=True),
    client_msg_id=_optional(),
    room_id=_id(required=True),
    seq=_number(required=True),
    epoch=_number(required=True),
    sender_id=_user(allow_none=True),
    type=fields.String(required=True),
    text=_optional(),
    version=_number(required=True),
    created_at=fields.String(required=True),
)
_ROOM = _schema(
    room_id=_id(required=True),
    type=fields.String(required=True),
    name=_optional(),
    external_id=_optional(),
    metadata=fields.Dict(allow_none=True),
    created_at=fields.String(required=True),
    created_by=_user(allow_none=True),
    version=_number(required=True),
    frozen=fields.Boolean(truthy={True}, falsy={False}, allow_none=True),
)
_MEMBER = _schema(
    user_id=_user(required=True),
    name=_optional(),
    role=fields.String(required=True),
    joined_at=fields.String(required=True),
    read_seq=_number(required=True),
)
_ONE_MESSAGE = _schema(message=fields.Nested(_MESSAGE, required=True))
_ONE_FAILURE = _schema(
    message_id=_id(required=True),
    client_msg_id=_optional(),
    seq=_number(required=True),
    reason=_optional(),
)
_ONE_ROOM = _schema(room=fields.Nested(_ROOM, required=True))
_MEMBERS = _schema(
    members=fields.List(fields.Nested(_MEMBER), required=True, validate=Length(min=1))
)


@dataclass(frozen=True)
class Record:
    """A valid record. `data` is the event's own, unknown fields included."""

    kind: str
    room_id: str
    epoch: int
    offset: int
    data: dict[str, Any] = field(repr=False)
    hash: str | None = None
    ts: str = ""

    @property
    def pos(self) -> str:
        """Position of the event in its room's log."""
        return position(self.epoch, self.offset)


@dataclass(frozen=True)
class Write:
    """One conditional update. Condition failed: something newer is there, do `otherwise`."""

    table: str
    given: dict[str, Any]
    otherwise: tuple[Write, ...] = ()


@dataclass(frozen=True)
class Transaction:
    """Updates of one table under a check of the room's item, all or none."""

    table: str
    check: dict[str, Any]
    updates: tuple[dict[str, Any], ...]

    def items(self, name: str) -> list[dict[str, Any]]:
        """The argument TransactItems for the table of this name; the check comes first."""
        check = {"ConditionCheck": {"TableName": name, **self.check}}
        return [check, *({"Update": {"TableName": name, **each}} for each in self.updates)]

    def split(self) -> list[Transaction]:
        """One transaction per update, for when one of them stood in the way of the others."""
        return [Transaction(self.table, self.check, (each,)) for each in self.updates]


Step = Write | Transaction


@dataclass(frozen=True)
class Rule:
    """One kind of record: the shape of its data and what it does to the tables."""

    data: Schema
    decide: Callable[[Record], list[Step]]


# Parsing


def parse(body: str, kinds: Mapping[str, Rule]) -> Record:
    """The record in a message body. Raises Poison, naming the fields that are wrong."""
    raw = _decoded(body)
    _must(_RECORD, raw)
    record = _barrier(raw["barrier"]) if "barrier" in raw else _event(raw)
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


def _barrier(raw: dict[str, Any]) -> Record:
    return Record("barrier", raw["room_id"], 0, 0, raw)


def _event(raw: dict[str, Any]) -> Record:
    event = raw.get("event")
    if event is None:
        raise Poison("neither event nor barrier")
    return Record(
        event["type"],
        event["room_id"],
        event["epoch"],
        event["offset"],
        event["data"],
        raw.get("hash"),
        event.get("ts") or "",
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
    outer = _object(raw, "event") or _object(raw, "barrier")
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


# Writes


def _update(
    key: dict[str, str],
    values: Mapping[str, Any],
    *,
    above: Sequence[str] = (),
    absent: Sequence[str] = (),
    remove: Sequence[str] = (),
    epoch: int | None = None,
) -> dict[str, Any]:
    """Arguments of update_item: set `values`, but only if each of `above` is lower there now.

    `epoch`: and only if the room's epoch is not higher. Every name is an alias, since DynamoDB
    reserves words like `position` and `hash`.
    """
    assigned = ", ".join(f"#{name} = :{name}" for name in values)
    dropped = ", ".join(f"#{name}" for name in remove)
    conditions = [f"(attribute_not_exists(#{name}) OR #{name} < :{name})" for name in above]
    conditions += [f"attribute_not_exists(#{name})" for name in absent]
    given = {":" + name: value for name, value in values.items()}
    names = {*values, *remove, *above, *absent}
    if epoch is not None:
        conditions.append("(attribute_not_exists(#epoch) OR #epoch <= :newest)")
        given[":newest"] = epoch
        names.add("epoch")
    update = {
        "Key": key,
        "UpdateExpression": f"SET {assigned}" + (f" REMOVE {dropped}" if dropped else ""),
        "ExpressionAttributeNames": {"#" + name: name for name in sorted(names)},
        "ExpressionAttributeValues": given,
    }
    return update | ({"ConditionExpression": " AND ".join(conditions)} if conditions else {})


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _uncounted(room_id: str, seq: int) -> Write:
    given = {
        "Key": deleted_key(room_id, seq),
        "UpdateExpression": "ADD #seqs :seqs",
        "ExpressionAttributeNames": {"#seqs": "seqs"},
        "ExpressionAttributeValues": {":seqs": {seq}},
    }
    return Write(ROOMS, given)


def _new_message(record: Record) -> list[Step]:
    """Alone in the common case; where the message is already there, each part by its own rank."""
    message = record.data["message"]
    key = message_key(record.room_id, message["message_id"])
    place = {
        "position": position(message["epoch"], message["seq"]),
        "epoch": message["epoch"],
        "seq": message["seq"],
        "offset": record.offset,
    }
    body = {
        "body": _json(message),
        "body_key": body_key(message["version"], record.epoch, record.offset),
    }
    proof = {} if record.hash is None else {"hash": record.hash}
    parts = [
        Write(MESSAGES, _update(key, place, above=["position"], absent=["failed"])),
        Write(MESSAGES, _update(key, body, above=["body_key"])),
    ]
    if proof:
        parts.append(Write(MESSAGES, _update(key, proof, absent=["hash"])))
    first = _update(key, {**place, **body, **proof}, absent=["message_id"])
    steps: list[Step] = [Write(MESSAGES, first, tuple(parts))]
    return [*steps, _uncounted(record.room_id, message["seq"])] if _silent(message) else steps


def _message_updated(record: Record) -> list[Step]:
    return [_body(record, body_key(record.data["message"]["version"], record.epoch, record.offset))]


def _message_deleted(record: Record) -> list[Step]:
    """A tombstone that keeps its place; its seq does not count any more."""
    tombstone = _body(record, final_key(record.epoch, record.offset))
    return [tombstone, _uncounted(record.room_id, record.data["message"]["seq"])]


def _body(record: Record, rank: str) -> Write:
    message = record.data["message"]
    values = {"body": _json(message), "body_key": rank}
    key = message_key(record.room_id, message["message_id"])
    return Write(MESSAGES, _update(key, values, above=["body_key"]))


def _silent(message: Mapping[str, Any]) -> bool:
    return bool(message["type"] == "system")


def _failed_message(record: Record) -> list[Step]:
    """A tombstone without a place in the history; its seq stays taken and does not count."""
    data = record.data
    values = {
        "failed": True,
        "body": _json({**data, "room_id": record.room_id, "epoch": record.epoch}),
        "body_key": failure_key(record.epoch, record.offset),
        "epoch": record.epoch,
        "seq": data["seq"],
    }
    key = message_key(record.room_id, data["message_id"])
    tombstone = _update(key, values, above=["body_key"], remove=["position", "offset"])
    return [Write(MESSAGES, tombstone), _uncounted(record.room_id, data["seq"])]


def _barrier_passed(record: Record) -> list[Step]:
    return [Write(ROOMS, _update(room_key(record.room_id), {"barrier": record.data["nonce"]}))]


def _room_state(record: Record) -> list[Step]:
    room = record.data["room"]
    state = {name: room[name] for name in ROOM_FIELDS if room.get(name) is not None}
    state["metadata"] = _json(room.get("metadata") or {})
    values = {"pos": record.pos, **state}
    update = _update(
        room_key(record.room_id),
        values,
        above=["pos"],
        remove=[name for name in ROOM_FIELDS if name not in state],
        epoch=record.epoch,
    )
    return [Write(ROOMS, update)]


def _members_added(record: Record) -> list[Step]:
    return _under_epoch(
        record, [_member_added(record, member) for member in record.data["members"]]
    )


def _under_epoch(record: Record, updates: list[dict[str, Any]]) -> list[Step]:
    """Refused as a whole when the room has moved on to a later epoch (removal fence)."""
    check = {
        "Key": room_key(record.room_id),
        "ConditionExpression": "attribute_not_exists(#epoch) OR #epoch <= :newest",
        "ExpressionAttributeNames": {"#epoch": "epoch"},
        "ExpressionAttributeValues": {":newest": record.epoch},
    }
    return [
        Transaction(ROOMS, check, tuple(updates[at : at + CHUNK]))
        for at in range(0, len(updates), CHUNK)
    ]


def _member_added(record: Record, member: dict[str, Any]) -> dict[str, Any]:
    state = {name: member[name] for name in MEMBER_FIELDS if member.get(name) is not None}
    values = {
        "pos": record.pos,
        "user_id": member["user_id"],
        "state": "in",
        "join_seq": member["read_seq"],
        **state,
    }
    return _update(
        member_key(record.room_id, member["user_id"]),
        values,
        above=["pos"],
        remove=["left_at", *(name for name in MEMBER_FIELDS if name not in state)],
    )


def _members_removed(record: Record) -> list[Step]:
    """Items stay, as `out`, so that an older `in` can never come back; nothing else of it stays,
    or the item would tell in which order the records came."""
    given = [
        {"pos": record.pos, "user_id": member["user_id"], "state": "out", "left_at": record.ts}
        for member in record.data["members"]
    ]
    updates = [
        _update(
            member_key(record.room_id, values["user_id"]),
            values,
            above=["pos"],
            remove=["join_seq", *MEMBER_FIELDS],
        )
        for values in given
    ]
    return _under_epoch(record, updates)


MESSAGE_KINDS: dict[str, Rule] = {
    "message.new": Rule(_ONE_MESSAGE, _new_message),
    "message.updated": Rule(_ONE_MESSAGE, _message_updated),
    "message.deleted": Rule(_ONE_MESSAGE, _message_deleted),
    "message.failed": Rule(_ONE_FAILURE, _failed_message),
    "barrier": Rule(_BARRIER, _barrier_passed),
}
ROOM_KINDS: dict[str, Rule] = {
    "room.created": Rule(_ONE_ROOM, _room_state),
    "room.updated": Rule(_ONE_ROOM, _room_state),
    "member.added": Rule(_MEMBERS, _members_added),
    "member.removed": Rule(_MEMBERS, _members_removed),
}


def decide(record: Record, kinds: Mapping[str, Rule]) -> list[Step]:
    """The writes of one record, in the order in which they must happen."""
    return kinds[record.kind].decide(record)


# Lifts: what messages do to their room and senders, once per batch instead of once per message


def lifts(bodies: Iterable[str]) -> dict[str, list[Write]]:
    """Per room of a batch the writes that must come before its first message.

    Too early is harmless, the records are still in the queue; too late would let a barrier pass
    while the room's seq is behind. Poison is passed over, its own turn will find it.
    """
    grouped: dict[str, list[Record]] = {}
    for body in bodies:
        try:
            record = parse(body, MESSAGE_KINDS)
        except Poison:
            continue
        if record.kind != "barrier":
            grouped.setdefault(record.room_id, []).append(record)
    return {room_id: _lifted(room_id, records) for room_id, records in grouped.items()}


def _lifted(room_id: str, records: list[Record]) -> list[Write]:
    messages = [record.data["message"] for record in records if record.kind == "message.new"]
    heard = [message for message in messages if not _silent(message)]
    top = {
        "seq": max(record.data.get("message", record.data)["seq"] for record in records),
        "head": max(record.pos for record in records),
    }
    read: dict[str, int] = {}
    for message in heard:
        if sender := message.get("sender_id"):
            read[sender] = max(read.get(sender, 0), message["seq"])
    return [_room_lift(room_id, top, heard), *(_read_lift(room_id, *one) for one in read.items())]


def _room_lift(room_id: str, top: dict[str, Any], heard: list[dict[str, Any]]) -> Write:
    """Seq, head and last message in one write; apart only where one of them is already higher."""
    key = room_key(room_id)
    lifted, last = [("seq", {"seq": top["seq"]}), ("head", {"head": top["head"]})], {}
    if heard:
        newest = max(heard, key=lambda message: (message["epoch"], message["seq"]))
        last = {
            "last": _json(preview(newest)),
            "last_position": position(newest["epoch"], newest["seq"]),
        }
        lifted.append(("last_position", last))
    apart = tuple(Write(ROOMS, _update(key, values, above=[name])) for name, values in lifted)
    whole = _update(key, {**top, **last}, above=[name for name, _ in lifted])
    return Write(ROOMS, whole, apart)


def preview(message: Mapping[str, Any]) -> dict[str, Any]:
    """`last_message` of a room, without the rest of the text."""
    shown = {name: message.get(name) for name in ("message_id", "seq", "sender_id", "type")}
    return {
        **shown,
        "preview": (message.get("text") or "")[:PREVIEW],
        "created_at": message["created_at"],
    }


def _read_lift(room_id: str, user_id: str, seq: int) -> Write:
    update = _update(member_key(room_id, user_id), {"read_seq": seq}, above=["read_seq"])
    return Write(ROOMS, update)


# What became of a transaction


def verdict(codes: Sequence[str]) -> str:
    """What the codes of a cancelled transaction mean, the first one being the room's check.

    `refused`: the room has a later epoch. `invalid`: DynamoDB can never take it. `again`: a passing
    conflict or throttle. `older`: nothing but conditions of single items failed.
    """
    if codes and codes[0] == "ConditionalCheckFailed":
        return "refused"
    others = {code for code in codes if code not in ("None", "ConditionalCheckFailed")}
    if not others:
        return "older"
    return "invalid" if others == {"ValidationError"} else "again"
