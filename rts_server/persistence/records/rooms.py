"""What room and member records do to the tables."""

from __future__ import annotations

from typing import Any

from rts_server.persistence.records import shapes
from rts_server.persistence.records.expiry import expired
from rts_server.persistence.records.files import settled
from rts_server.persistence.records.keys import ROOMS, member_key, room_key
from rts_server.persistence.records.record import Record, Rule
from rts_server.persistence.records.write import Step, Transaction, Write, json_text, update

CHUNK = 50
ROOM_FIELDS = (
    "type",
    "name",
    "external_id",
    "metadata",
    "created_at",
    "created_by",
    "made_by",
    "version",
    "frozen",
    "deleted_at",
    "member_count",
)
MEMBER_FIELDS = ("name", "joined_at")


def _room_state(record: Record) -> list[Step]:
    room = record.data["room"]
    state = {name: room[name] for name in ROOM_FIELDS if room.get(name) is not None}
    state["metadata"] = json_text(room.get("metadata") or {})
    values = {"pos": record.pos, **state}
    whole = update(
        room_key(record.room_id),
        values,
        above=["pos"],
        remove=[name for name in ROOM_FIELDS if name not in state],
        epoch=record.epoch,
    )
    return [Write(ROOMS, whole)]


def _members_added(record: Record) -> list[Step]:
    """Roles first: whoever finds somebody in finds his role too."""
    members = record.data["members"]
    updates = [_member_added(record, member) for member in members]
    return _members_updated(record) + _under_epoch(record, updates)


def _members_updated(record: Record) -> list[Step]:
    """A role has a position of its own, so that it and the membership may come in any order."""
    updates = [
        update(
            member_key(record.room_id, member["user_id"]),
            {"role_pos": record.pos, "role": member["role"]},
            above=["role_pos"],
        )
        for member in record.data["members"]
    ]
    return _under_epoch(record, updates)


def _settings(record: Record) -> list[Step]:
    """What a room is to one member alone; the latest change counts."""
    data = record.data
    values = {
        "settings_pos": f"{record.pos}#{data['rev']:010d}",
        "muted": data["muted"],
        "hidden": data["hidden"],
    }
    key = member_key(record.room_id, data["user_id"])
    return _under_epoch(record, [update(key, values, above=["settings_pos"])])


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
    return update(
        member_key(record.room_id, member["user_id"]),
        values,
        above=["pos"],
        remove=["left_at", *(name for name in MEMBER_FIELDS if name not in state)],
    )


def _members_removed(record: Record) -> list[Step]:
    """Items stay, as `out`, so that an older `in` can never come back; nothing else of it stays,
    or the item would tell in which order the records came. Roles last: who is in keeps his."""
    given = [
        {"pos": record.pos, "user_id": member["user_id"], "state": "out", "left_at": record.ts}
        for member in record.data["members"]
    ]
    updates = [
        update(
            member_key(record.room_id, values["user_id"]),
            values,
            above=["pos"],
            remove=["join_seq", *MEMBER_FIELDS],
        )
        for values in given
    ]
    roles = [
        update(
            member_key(record.room_id, values["user_id"]),
            {"role_pos": record.pos},
            above=["role_pos"],
            remove=["role"],
        )
        for values in given
    ]
    return _under_epoch(record, updates) + _under_epoch(record, roles)


def _cursors(record: Record) -> list[Step]:
    """Each by its own height: a read cursor may have been lifted by a message meanwhile."""
    return [
        Write(
            ROOMS,
            update(member_key(record.room_id, one["user_id"]), {name: one[name]}, above=[name]),
        )
        for one in record.data["members"]
        for name in ("read_seq", "delivered_seq")
    ]


ROOM_KINDS: dict[str, Rule] = {
    "room.created": Rule(shapes.ONE_ROOM, _room_state),
    "room.updated": Rule(shapes.ONE_ROOM, _room_state),
    "member.added": Rule(shapes.MEMBERS, _members_added),
    "member.updated": Rule(shapes.MEMBERS, _members_updated),
    "member.removed": Rule(shapes.MEMBERS, _members_removed),
    "settings": Rule(shapes.SETTINGS, _settings),
    "cursors": Rule(shapes.CURSORS, _cursors),
    "files": Rule(shapes.FILES, settled),
    "expiry": Rule(shapes.EXPIRY, expired),
}
