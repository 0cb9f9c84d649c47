"""The data of the events, one schema each."""

from __future__ import annotations

from marshmallow import fields
from marshmallow.validate import Equal

from rts_server.protocol import objects
from rts_server.protocol.objects import Shown, many, one


class SessionReady(Shown):
    """The first event of a session."""

    user_id = fields.String(required=True)
    session_id = fields.String(required=True)
    expires_at = fields.String(required=True)
    server_time = fields.String(required=True)
    limits = one(objects.Limits)
    unread = one(objects.Totals)
    recovered = fields.Dict(keys=fields.String(), values=fields.Boolean(), required=True)
    more_rooms = fields.Boolean()


class SessionClosing(Shown):
    """Why the server closes, and when to come back."""

    code = fields.String(required=True)
    reconnect = fields.Boolean(required=True)
    retry_after_ms = fields.Integer(required=True, allow_none=True)


class RoomAdded(Shown):
    """The user became a member."""

    room = one(objects.Room)


class RoomRemoved(Shown):
    """The user is a member no more."""

    reason = fields.String(required=True)


class RoomChanged(Shown):
    """The room, without a personal part."""

    room = one(objects.PublicRoom)


class RoomEpoch(Shown):
    """Who stands at `prev` goes on; for others sync.reset follows."""

    prev = fields.List(fields.Integer(), required=True)


class RoomState(Shown):
    """What the room is to the user himself, told to his own devices."""

    muted = fields.Boolean(required=True)
    hidden = fields.Boolean(required=True)
    role = objects.role()


class MembersChanged(Shown):
    """One event for one command."""

    members = many(objects.Member)


class MessageNew(Shown):
    """A message; it may come before the ack of its sender."""

    message = one(objects.Message)


class ReactionChange(Shown):
    """A reaction came or went."""

    emoji = fields.String(required=True)
    user_id = fields.String(required=True)
    on = fields.Boolean(required=True)


class MessageUpdated(Shown):
    """The message after an edit; of a reaction only the difference and all counts."""

    message = one(objects.Message, required=False)
    message_id = fields.String()
    version = fields.Integer()
    reaction = one(ReactionChange, required=False)
    counts = fields.Dict(keys=fields.String(), values=fields.Integer())


class MessageFailed(Shown):
    """Remove the message; its seq does not count."""

    message_id = fields.String(required=True)
    client_msg_id = fields.String(required=True, allow_none=True)
    seq = fields.Integer(required=True)
    reason = fields.String(required=True, allow_none=True)


class MessageStatus(Shown):
    """What was acked `accepted` is durable now."""

    message_id = fields.String(required=True)
    client_msg_id = fields.String(required=True)
    status = fields.String(required=True, validate=Equal("queued"))


class SyncReset(Shown):
    """Drop the room's messages, keep this position, list again."""

    epoch = fields.Integer(required=True)
    offset = fields.Integer(required=True)


class ReceiptUpdated(Shown):
    """Who has come how far."""

    cursors = many(objects.Cursor)


class UnreadChanged(Shown):
    """The user's own cursor, mute, hide or membership moved."""

    unread = fields.Integer(required=True)
    read_seq = fields.Integer(required=True)
    total = fields.Integer(required=True)
    rooms = fields.Integer(required=True)


class TypingChanged(Shown):
    """Who is typing, the whole list: at most 10 are named, `count` counts all."""

    user_ids = fields.List(fields.String(), required=True)
    count = fields.Integer(required=True)
