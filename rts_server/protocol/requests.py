"""What app back ends and operators ask over REST: one schema for each body, query and header."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields, validates_schema
from marshmallow.validate import Length, Range, Regexp

from rts_server.protocol.commands import (
    InputSchema,
    MessageEditSchema,
    MessageSendSchema,
    know,
    says_something,
)
from rts_server.protocol.fields import (
    LARGEST_SEQ,
    LIMITS,
    Flag,
    Items,
    Metadata,
    Whole,
    choice,
    identifier,
    line,
    role,
    text,
    user,
)
from rts_server.protocol.numbers import WholeText

PLACES: dict[str, fields.Field[Any]] = {
    "room_id": identifier(required=True),
    "external_id": user(required=True),
    "user_id": user(required=True),
    "instance_id": fields.String(validate=Regexp(r"[A-Za-z0-9_.-]{1,64}\Z"), required=True),
    "path": fields.String(required=True),
}
"""What may stand in a path."""


def place(*names: str) -> type[Schema]:
    """The schema of a path with these places."""
    return Schema.from_dict({name: PLACES[name] for name in names}, name="Place")


def _whole(least: int, most: int, **more: Any) -> fields.Integer:
    """A number in a query, where everything is text."""
    return WholeText(validate=Range(least, most), **more)


def any_of(*names: str) -> dict[str, Any]:
    """What a schema's `more` adds to its JSON Schema: one of these is there."""
    return {"anyOf": [{"required": [name]} for name in names]}


class NewMemberSchema(InputSchema):
    """Somebody who is to be a member."""

    user_id = user(required=True)
    role = role(load_default="member")
    name = line(128)


class NewRoleSchema(InputSchema):
    """Another role for a member."""

    user_id = user(required=True)
    role = role(required=True)


def _members(most: int, **more: Any) -> Items:
    return Items(fields.Nested(NewMemberSchema), 0, most, **more)


class ExternalRoomSchema(InputSchema):
    """The group of a business key, made with these first members unless it is there."""

    members = _members(LIMITS.ids_per_call)
    name = line(LIMITS.room_name)
    metadata = Metadata()


class RoomChangeSchema(InputSchema):
    """Another name, metadata or frozen; `version`: only if the room still has it."""

    more: ClassVar[dict[str, Any]] = any_of("name", "metadata", "frozen")

    name = line(LIMITS.room_name)
    metadata = Metadata()
    frozen = Flag()
    version = Whole(1, LARGEST_SEQ)

    @validates_schema
    def _changes_something(self, data: dict[str, Any], **_: Any) -> None:
        if not {"name", "metadata", "frozen"} & set(data):
            raise ValidationError("One of name, metadata and frozen.", "name")


class MemberSetSchema(InputSchema):
    """All members of the group: who is not named goes."""

    members = _members(LIMITS.group_members, required=True)


class MemberBatchSchema(InputSchema):
    """Members who come, go and have another role; at most 100 in all."""

    more: ClassVar[dict[str, Any]] = {
        "anyOf": [
            {"required": [name], "properties": {name: {"minItems": 1}}}
            for name in ("add", "remove", "update")
        ]
    }
    add = _members(LIMITS.ids_per_call, load_default=list)
    remove = Items(user(), 0, LIMITS.ids_per_call, load_default=list)
    update = Items(fields.Nested(NewRoleSchema), 0, LIMITS.ids_per_call, load_default=list)

    @validates_schema
    def _fits(self, data: dict[str, Any], **_: Any) -> None:
        count = len(data["add"]) + len(data["remove"]) + len(data["update"])
        if not 1 <= count <= LIMITS.ids_per_call:
            raise ValidationError(f"1 to {LIMITS.ids_per_call} users in all.", "add")


class NewMessageSchema(InputSchema):
    """A message of a member (`on_behalf_of`), or of the operator himself."""

    text = text(required=True, metadata={"minLength": 1})
    on_behalf_of = user()
    mentions = Items(user(), 0, LIMITS.mentions)
    reply_to = identifier()
    metadata = Metadata()

    @validates_schema
    def _says_something(self, data: dict[str, Any], **_: Any) -> None:
        says_something(data)


class IdempotencyKeySchema(InputSchema):
    """The same key from the same sender is the same message, however often it is sent."""

    client_msg_id = identifier(data_key="Idempotency-Key")


class PageSchema(InputSchema):
    """A page of a list."""

    cursor = fields.String(validate=Length(1, 400))
    limit = _whole(1, 100, load_default=100)


class RoomPageSchema(PageSchema):
    """A page of a user's rooms: those he has hidden, or the others."""

    limit = _whole(1, 50, load_default=50)
    hidden = fields.Boolean(truthy={"1", "true"}, falsy={"0", "false"}, load_default=False)


class ExplainSchema(InputSchema):
    """`explain`: the parts, too."""

    explain = fields.Boolean(truthy={"1", "true"}, falsy={"0", "false"}, load_default=False)


class UnreadPageSchema(PageSchema, ExplainSchema):
    """A page of the rooms that the totals come from."""


class EventPageSchema(InputSchema):
    """Events behind `epoch:offset`; without it from the first of the present epoch."""

    after = fields.String(validate=Regexp(r"[0-9]{1,10}:[0-9]{1,10}\Z"))
    limit = _whole(1, LIMITS.replay_events, load_default=100)


class RepairSchema(InputSchema):
    """`repair`: what Redis has and the archive has not, or otherwise, is stored anew."""

    repair = fields.Boolean(truthy={"1", "true"}, falsy={"0", "false"}, load_default=False)


class PeekSchema(InputSchema):
    """How many records of each DLQ to look at."""

    peek = _whole(0, 10, load_default=10)


class ReplaySchema(InputSchema):
    """Which DLQ, and how many of its records at most."""

    queue = choice("messages", "rooms", required=True)
    limit = Whole(1, 1_000, load_default=1_000)


class GlanceSchema(InputSchema):
    """How many records to look at."""

    limit = _whole(1, 100, load_default=100)


class ReplayKeptSchema(InputSchema):
    """How many records at most."""

    limit = Whole(1, 1_000, load_default=1_000)


class DisconnectSchema(InputSchema):
    """`reconnect`: the clients come back by themselves."""

    reconnect = Flag(load_default=False)


class MessagePageSchema(InputSchema):
    """A page of history; without a bound the newest."""

    before_seq = _whole(1, LARGEST_SEQ)
    after_seq = _whole(0, LARGEST_SEQ)
    around_seq = _whole(0, LARGEST_SEQ)
    limit = _whole(1, 100, load_default=50)

    @validates_schema
    def _one_bound(self, data: dict[str, Any], **_: Any) -> None:
        bounds = [name for name in ("before_seq", "after_seq", "around_seq") if name in data]
        if len(bounds) > 1:
            raise ValidationError("Only one bound.", bounds[1])


know(ExternalRoomSchema, RoomChangeSchema, also=("room_id", "external_id", "type"))
know(MemberSetSchema, MemberBatchSchema, also=("room_id", "user_ids"))
know(NewMemberSchema, NewRoleSchema)
know(NewMessageSchema, also=[*MessageSendSchema().fields, *MessageEditSchema().fields])
