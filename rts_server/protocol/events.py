"""The data of events, one schema each."""

from __future__ import annotations

from marshmallow import fields
from marshmallow.validate import Equal, OneOf

from rts_server.protocol import objects
from rts_server.protocol.objects import OutputSchema, many, one

CLOSING_CODES = (
    "draining",
    "slow_consumer",
    "lease_lost",
    "token_expired",
    "connection_limit",
    "revoked",
    "banned",
    "too_many_errors",
    "frame_too_large",
)
"""The reasons of `session.closing`; `rts_server.engine.closing` says who may come back."""


class SessionReadySchema(OutputSchema):
    """The first event of a session."""

    user_id = fields.String(required=True)
    session_id = fields.String(required=True)
    expires_at = fields.String(required=True)
    server_time = fields.String(required=True)
    limits = one(objects.LimitsSchema)
    unread = one(objects.TotalsSchema)
    recovered = fields.Dict(keys=fields.String(), values=fields.Boolean(), required=True)
    more_rooms = fields.Boolean()


class SessionClosingSchema(OutputSchema):
    """The server closes the connection. `retry_after_ms`: the time after which to reconnect."""

    code = fields.String(required=True, validate=OneOf(CLOSING_CODES))
    reconnect = fields.Boolean(required=True)
    retry_after_ms = fields.Integer(required=True, allow_none=True)


class RoomAddedSchema(OutputSchema):
    """The user became a member."""

    room = one(objects.RoomSchema)


class RoomRemovedSchema(OutputSchema):
    """The user is no longer a member."""

    reason = fields.String(required=True)


class RoomChangedSchema(OutputSchema):
    """The room without the fields that depend on the member."""

    room = one(objects.PublicRoomSchema)


class RoomEpochSchema(OutputSchema):
    """A new epoch. A client at the position `prev` has missed nothing; others get sync.reset."""

    prev = fields.List(fields.Integer(), required=True)


class RoomStateSchema(OutputSchema):
    """The user's own settings and role in a room, sent to their own devices."""

    muted = fields.Boolean(required=True)
    hidden = fields.Boolean(required=True)
    role = objects.role()


class MembersChangedSchema(OutputSchema):
    """All members that one command changed: who they are, or their role or name."""

    members = many(objects.MemberSchema)


class MessageNewSchema(OutputSchema):
    """A message. It may arrive before the ack of its sender."""

    message = one(objects.MessageSchema)


class ReactionChangeSchema(OutputSchema):
    """A reaction that was added (`on`) or removed."""

    emoji = fields.String(required=True)
    user_id = fields.String(required=True)
    on = fields.Boolean(required=True)


class MessageReactedSchema(OutputSchema):
    """The difference that a reaction makes, and the counts of all emoji of the message."""

    message_id = fields.String(required=True)
    version = fields.Integer(required=True)
    reaction = one(ReactionChangeSchema)
    counts = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)


class MessageUpdatedSchema(OutputSchema):
    """An edit carries the whole message; a reaction carries the change and all counts."""

    one_of = (MessageNewSchema, MessageReactedSchema)

    message = one(objects.MessageSchema, required=False)
    message_id = fields.String()
    version = fields.Integer()
    reaction = one(ReactionChangeSchema, required=False)
    counts = fields.Dict(keys=fields.String(), values=fields.Integer())


class MessageFailedSchema(OutputSchema):
    """The message could not be stored: remove it. Its seq does not count as unread."""

    message_id = fields.String(required=True)
    client_msg_id = fields.String(required=True, allow_none=True)
    seq = fields.Integer(required=True)
    reason = fields.String(required=True, allow_none=True)


class MessageStatusSchema(OutputSchema):
    """A message that was acked `accepted` is durable now."""

    message_id = fields.String(required=True)
    client_msg_id = fields.String(required=True)
    status = fields.String(required=True, validate=Equal("queued"))


class SyncResetSchema(OutputSchema):
    """Drop the room's messages, keep this position as the cursor, and list the messages again."""

    epoch = fields.Integer(required=True)
    offset = fields.Integer(required=True)


class ReceiptUpdatedSchema(OutputSchema):
    """The new cursors of some members."""

    cursors = many(objects.CursorSchema)


class UnreadChangedSchema(OutputSchema):
    """The user's unread counts after their read cursor, settings or membership changed."""

    unread = fields.Integer(required=True)
    read_seq = fields.Integer(required=True)
    total = fields.Integer(required=True)
    rooms = fields.Integer(required=True)


class TypingChangedSchema(OutputSchema):
    """All who are typing: at most 10 are named, `count` includes the others."""

    user_ids = fields.List(fields.String(), required=True)
    count = fields.Integer(required=True)
