"""The objects in answers and events, one schema each."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import RAISE, Schema, fields
from marshmallow.validate import Equal, OneOf

from rts_server import errors


class OutputSchema(Schema):
    """The base of all schemas of output."""

    class Meta:
        """Options of marshmallow: unknown fields are an error; tests validate every frame."""

        unknown = RAISE

    one_of: ClassVar[tuple[type[Schema], ...]] = ()
    """The exact shapes of an object that comes in several; its own fields are then their union."""


_SUFFIXES = {
    "commands": "Payload",
    "answers": "Answer",
    "operator_answers": "Answer",
    "events": "Data",
    "requests": "Request",
}


def type_name(schema: Schema | type[Schema]) -> str:
    """The name of a schema in docs/protocol.md, AsyncAPI, OpenAPI and TypeScript.

    The class without `Schema`, with a suffix for its module: `commands.RoomGetSchema` is
    `RoomGetPayload`, and an object has no suffix.
    """
    kind = schema if isinstance(schema, type) else type(schema)
    suffix = _SUFFIXES.get(kind.__module__.rpartition(".")[2], "")
    return kind.__name__.removesuffix("Schema").removesuffix(suffix) + suffix


def _text(**more: Any) -> fields.String:
    return fields.String(**{"required": True, **more})


def _number(**more: Any) -> fields.Integer:
    return fields.Integer(**{"required": True, "strict": True, **more})


def _flag(**more: Any) -> fields.Boolean:
    return fields.Boolean(**{"required": True, **more})


def _names(**more: Any) -> fields.List[Any]:
    return fields.List(fields.String(), **{"required": True, **more})


def _free(**more: Any) -> fields.Dict:
    return fields.Dict(**{"required": True, **more})


def one(kind: type[Schema], **more: Any) -> fields.Nested:
    """Return a field with one object."""
    return fields.Nested(kind, **{"required": True, **more})


def many(kind: type[Schema], **more: Any) -> fields.List[Any]:
    """Return a field with a list of objects."""
    return fields.List(fields.Nested(kind), **{"required": True, **more})


def role(**more: Any) -> fields.String:
    """Return a field with the role of a member."""
    return _text(validate=OneOf(["owner", "admin", "member", "readonly"]), **more)


class TotalsSchema(OutputSchema):
    """Unread messages of all rooms, and rooms with any. Muted and hidden rooms are not included."""

    total = _number()
    rooms = _number()


class LastMessageSchema(OutputSchema):
    """A short form of a room's last message. The preview of a `deleted` one is empty."""

    message_id = _text()
    seq = _number()
    sender_id = _text()
    type = _text()
    preview = _text()
    deleted = _flag()
    created_at = _text()


class PublicRoomSchema(OutputSchema):
    """A room as all its members see it. `made_by` is set if a client chose its external_id."""

    room_id = _text()
    type = _text(validate=OneOf(["direct", "group"]))
    name = _text(allow_none=True)
    external_id = _text(required=False)
    metadata = _free()
    created_at = _text()
    created_by = _text()
    made_by = _text(required=False, validate=OneOf(["client"]))
    version = _number()
    member_count = _number()
    frozen = _flag()
    deleted_at = _text(required=False)
    last_message = one(LastMessageSchema, required=False)
    seq = _number()
    epoch = _number()
    offset = _number()


class RoomSchema(PublicRoomSchema):
    """A room as the requesting user sees it."""

    role = role()
    read_seq = _number()
    delivered_seq = _number()
    unread = _number()
    muted = _flag()
    hidden = _flag()


class CursorSchema(OutputSchema):
    """The seqs up to which a member has read and received messages."""

    user_id = _text()
    read_seq = _number()
    delivered_seq = _number()


class MemberSchema(CursorSchema):
    """A member of a room."""

    name = _text(required=False)
    role = role()
    joined_at = _text()


class ReactionSchema(OutputSchema):
    """One emoji of a message: how many reacted, and at most 100 of them."""

    count = _number()
    user_ids = _names()


class AttachmentSchema(OutputSchema):
    """A file of a message."""

    attachment_id = _text()
    name = _text()
    size = _number()
    content_type = _text()
    checksum_sha256 = _text()
    width = _number(required=False)
    height = _number(required=False)


class MessageSchema(OutputSchema):
    """A message. A deleted one keeps its ids, seq and times."""

    message_id = _text()
    client_msg_id = _text()
    room_id = _text()
    seq = _number()
    epoch = _number()
    sender_id = _text()
    type = _text(validate=OneOf(["text", "file", "system"]))
    text = _text()
    attachments = many(AttachmentSchema)
    mentions = _names()
    reply_to = _text(required=False)
    reactions = fields.Dict(
        keys=fields.String(), values=fields.Nested(ReactionSchema), required=True
    )
    metadata = _free()
    version = _number()
    created_at = _text()
    edited_at = _text(required=False)
    deleted_at = _text(required=False)
    deleted_by = _text(required=False)


class PresenceSchema(OutputSchema):
    """The presence of a user."""

    user_id = _text()
    state = _text(validate=OneOf(["online", "away", "offline"]))
    last_active_at = _text(allow_none=True)
    status_text = _text(allow_none=True)


class UnknownUserSchema(OutputSchema):
    """A user with whom no room is shared, whether there is one or not."""

    user_id = _text()
    error = _text(validate=Equal("not_found"))


class PresenceOrErrorSchema(OutputSchema):
    """The presence of a user, or `not_found` if they share no room or do not exist."""

    one_of = (PresenceSchema, UnknownUserSchema)

    user_id = _text()
    state = _text(required=False, validate=OneOf(["online", "away", "offline"]))
    last_active_at = _text(required=False, allow_none=True)
    status_text = _text(required=False, allow_none=True)
    error = _text(required=False, validate=OneOf(["not_found"]))


class RateSchema(OutputSchema):
    """A token bucket: `per_second` is its refill rate, `burst` its size."""

    per_second = fields.Float(required=True)
    burst = fields.Float(required=True)


class LimitsSchema(OutputSchema):
    """Sizes, which always hold, and rates, empty if they are not limited.

    `report_interval_ms`: ms between two reports of receipts that the server asks a client to keep;
    an older server has none, which means 1,000.
    """

    text = _number()
    text_bytes = _number()
    metadata_bytes = _number()
    metadata_depth = _number()
    metadata_keys = _number()
    room_name = _number()
    status_text = _number()
    group_members = _number()
    user_rooms = _number()
    ids_per_call = _number()
    watched = _number()
    mentions = _number()
    attachments = _number()
    attachment_bytes = _number()
    file_name = _number()
    emoji = _number()
    reactions = _number()
    frame_bytes = _number()
    report_interval_ms = _number(required=False)
    rates = fields.Dict(keys=fields.String(), values=fields.Nested(RateSchema), required=True)


class ErrorSchema(OutputSchema):
    """The reason why a command was refused. `details` maps fields to messages."""

    code = _text(validate=OneOf(list(errors.CATALOGUE)))
    message = _text()
    retryable = _flag()
    retry_after_ms = _number(required=False)
    details = _free(required=False)
