"""The writes to the tables by room and member records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rts_server.persistence.records import shapes
from rts_server.persistence.records.expiry import expire_messages
from rts_server.persistence.records.files import change_files
from rts_server.persistence.records.keys import ROOMS, member_key, room_key
from rts_server.persistence.records.record import Record, Rule
from rts_server.persistence.records.record_data import (
    CursorsData,
    MembersData,
    RecordedCursor,
    RecordedMember,
    RoomData,
    SettingsData,
)
from rts_server.persistence.records.write import (
    ConditionArguments,
    Step,
    Transaction,
    UpdateArguments,
    Write,
    raise_together,
    stored_text,
    update,
)

UPDATES_PER_TRANSACTION = 50
"""A transaction has at most 100 items (DynamoDB quotas); half of it keeps conflicts rare."""
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


def _room_state(record: Record[RoomData]) -> list[Step]:
    room: Mapping[str, object] = record.data["room"]
    state = {name: room[name] for name in ROOM_FIELDS if room.get(name) is not None}
    state["metadata"] = stored_text(room.get("metadata") or {})
    values = {"pos": record.pos, **state}
    whole = update(
        room_key(record.room_id),
        values,
        above=["pos"],
        remove=[name for name in ROOM_FIELDS if name not in state],
        epoch=record.epoch,
    )
    return [Write(ROOMS, whole)]


def _members_added(record: Record[MembersData]) -> list[Step]:
    """Roles and names first: a reader who finds a member finds both too."""
    members = record.data["members"]
    updates = [_member_added(record, member) for member in members]
    return _roles_and_names(record) + _under_epoch(record, updates) + _counted(record)


def _members_updated(record: Record[MembersData]) -> list[Step]:
    return _roles_and_names(record) + _counted(record)


def _roles_and_names(record: Record[MembersData]) -> list[Step]:
    """Write roles and names. They share a position of their own, as each record has both: so they
    and the membership may come in any order.
    """
    return _under_epoch(record, [_role_and_name(record, one) for one in record.data["members"]])


def _counted(record: Record[MembersData]) -> list[Step]:
    """Write how many members there are: last, so that the items of the members are there. In a
    later epoch the change is appended anew, and counted then.
    """
    if record.member_count is None:  # of an earlier release
        return []
    values = {"members_pos": record.pos, "members": record.member_count}
    key = room_key(record.room_id)
    return [Write(ROOMS, update(key, values, above=["members_pos"], epoch=record.epoch))]


def _role_and_name(record: Record[MembersData], member: RecordedMember) -> UpdateArguments:
    values = {"role_pos": record.pos, "role": member["role"]}
    if name := member.get("name"):
        values["name"] = name
    key = member_key(record.room_id, member["user_id"])
    return update(key, values, above=["role_pos"], remove=[] if name else ["name"])


def _settings(record: Record[SettingsData]) -> list[Step]:
    """Write the settings of one member (muted, hidden); the latest change wins."""
    data = record.data
    values = {
        "settings_pos": f"{record.pos}#{data['rev']:010d}",
        "muted": data["muted"],
        "hidden": data["hidden"],
    }
    key = member_key(record.room_id, data["user_id"])
    return _under_epoch(record, [update(key, values, above=["settings_pos"])])


def _under_epoch(record: Record[Any], updates: list[UpdateArguments]) -> list[Step]:
    """Put updates under a check that the room is not in a later epoch (removal fence, A2)."""
    check: ConditionArguments = {
        "Key": room_key(record.room_id),
        "ConditionExpression": "attribute_not_exists(#epoch) OR #epoch <= :newest",
        "ExpressionAttributeNames": {"#epoch": "epoch"},
        "ExpressionAttributeValues": {":newest": record.epoch},
    }
    return [
        Transaction(ROOMS, check, tuple(updates[at : at + UPDATES_PER_TRANSACTION]))
        for at in range(0, len(updates), UPDATES_PER_TRANSACTION)
    ]


def _member_added(record: Record[MembersData], member: RecordedMember) -> UpdateArguments:
    values = {
        "pos": record.pos,
        "user_id": member["user_id"],
        "state": "in",
        "join_seq": member["read_seq"],
        "joined_at": member["joined_at"],
    }
    return update(
        member_key(record.room_id, member["user_id"]),
        values,
        above=["pos"],
        remove=["left_at"],
    )


def _members_removed(record: Record[MembersData]) -> list[Step]:
    """Mark memberships as `out`. The item stays, so that an older `in` can never come back (D8).

    All other attributes are removed: otherwise the item would depend on the order of the records.
    Roles and names come last: a member who is still `in` keeps them.
    """
    given = [
        {"pos": record.pos, "user_id": member["user_id"], "state": "out", "left_at": record.ts}
        for member in record.data["members"]
    ]
    updates = [
        update(
            member_key(record.room_id, values["user_id"]),
            values,
            above=["pos"],
            remove=["join_seq", "joined_at"],
        )
        for values in given
    ]
    roles = [
        update(
            member_key(record.room_id, values["user_id"]),
            {"role_pos": record.pos},
            above=["role_pos"],
            remove=["role", "name"],
        )
        for values in given
    ]
    return _under_epoch(record, updates) + _under_epoch(record, roles) + _counted(record)


def _cursors(record: Record[CursorsData]) -> list[Step]:
    return [_raised_cursors(record.room_id, one) for one in record.data["members"]]


def _raised_cursors(room_id: str, cursor: RecordedCursor) -> Write:
    """Raise both cursors in one write; each by itself if the table is ahead in one of them: a
    message may have raised the read cursor meanwhile.
    """
    key = member_key(room_id, cursor["user_id"])
    values = {"read_seq": cursor["read_seq"], "delivered_seq": cursor["delivered_seq"]}
    alone = (Write(ROOMS, update(key, {name: values[name]}, above=[name])) for name in values)
    return Write(ROOMS, raise_together(key, values), tuple(alone))


ROOM_KINDS: dict[str, Rule] = {
    "room.created": Rule(shapes.ONE_ROOM, _room_state),
    "room.updated": Rule(shapes.ONE_ROOM, _room_state),
    "member.added": Rule(shapes.MEMBERS, _members_added),
    "member.updated": Rule(shapes.MEMBERS, _members_updated),
    "member.removed": Rule(shapes.MEMBERS, _members_removed),
    "settings": Rule(shapes.SETTINGS, _settings),
    "cursors": Rule(shapes.CURSORS, _cursors),
    "files": Rule(shapes.FILES, change_files),
    "expiry": Rule(shapes.EXPIRY, expire_messages),
}
