"""The data of acks, one schema each. REST answers with some of them, too."""

from __future__ import annotations

from marshmallow import fields
from marshmallow.validate import Equal, OneOf

from rts_server.protocol import objects
from rts_server.protocol.fields import SentEvent
from rts_server.protocol.objects import OutputSchema, many, one


class EmptySchema(OutputSchema):
    """An empty object."""


class DurableSchema(OutputSchema):
    """`accepted`: delivered, not yet durable. `queued`: in the queue. `stored`: in DynamoDB."""

    status = fields.String(required=True, validate=OneOf(["queued", "stored", "accepted"]))


class MessageDurableSchema(OutputSchema):
    """`accepted`: delivered, not yet durable. `queued`: it survives the loss of any process."""

    status = fields.String(required=True, validate=OneOf(["queued", "accepted"]))


class CreatedSchema(DurableSchema):
    """The room. `created` is false if it existed already."""

    room = one(objects.RoomSchema)
    created = fields.Boolean(required=True)


class ChangedRoomSchema(DurableSchema):
    """The room after the change."""

    room = one(objects.RoomSchema)


class OneRoomSchema(OutputSchema):
    """A room."""

    room = one(objects.RoomSchema)


class RoomsSchema(OutputSchema):
    """A page of the user's rooms, and their unread totals."""

    rooms = many(objects.RoomSchema)
    next_cursor = fields.String(required=True, allow_none=True)
    unread = one(objects.TotalsSchema)


class AddedSchema(DurableSchema):
    """The requested members. `already` lists those who were members before."""

    members = many(objects.MemberSchema)
    already = fields.List(fields.String(), required=True)


class RemovedSchema(DurableSchema):
    """The ids of the users who were removed."""

    removed = fields.List(fields.String(), required=True)


class ChangedMemberSchema(DurableSchema):
    """The member after the change."""

    member = one(objects.MemberSchema)


class MembersSchema(OutputSchema):
    """A page of members."""

    members = many(objects.MemberSchema)
    next_cursor = fields.String(required=True, allow_none=True)


class SentSchema(MessageDurableSchema):
    """The ids and the position of the message. `duplicate` is true if it had been sent before."""

    message_id = fields.String(required=True)
    client_msg_id = fields.String(required=True)
    seq = fields.Integer(required=True)
    epoch = fields.Integer(required=True)
    offset = fields.Integer(required=True)
    created_at = fields.String(required=True)
    duplicate = fields.Boolean()


class ChangedMessageSchema(MessageDurableSchema):
    """The message after the change."""

    message = one(objects.MessageSchema)


class OneMessageSchema(OutputSchema):
    """A message."""

    message = one(objects.MessageSchema)


class MessagesSchema(OutputSchema):
    """A page of history, ascending by seq."""

    messages = many(objects.MessageSchema)
    has_more = fields.Boolean(required=True)


class GrantedSchema(OutputSchema):
    """A presigned form: POST `fields`, then the file as `file`, to `url` before it expires."""

    attachment_id = fields.String(required=True)
    url = fields.String(required=True)
    fields_ = fields.Dict(
        keys=fields.String(), values=fields.String(), required=True, data_key="fields"
    )
    expires_at = fields.String(required=True)


class CompletedSchema(OutputSchema):
    """The file as messages show it."""

    attachment = one(objects.AttachmentSchema)


class LinkSchema(OutputSchema):
    """A download URL and the time at which it expires."""

    url = fields.String(required=True)
    expires_at = fields.String(required=True)


class RoomMissedSchema(OutputSchema):
    """The missed events of a room. If `recovered` is false, list its messages again."""

    recovered = fields.Boolean(required=True)
    events = fields.List(SentEvent(), required=True)
    epoch = fields.Integer(required=True)
    offset = fields.Integer(required=True)
    has_more = fields.Boolean(required=True)


class RoomLostSchema(OutputSchema):
    """The room is the user's no more."""

    removed = fields.Boolean(required=True, validate=Equal(True))


class RoomSyncSchema(OutputSchema):
    """The missed events of one room; `removed` is true if the user is not a member any more."""

    one_of = (RoomMissedSchema, RoomLostSchema)

    removed = fields.Boolean()
    recovered = fields.Boolean()
    events = fields.List(SentEvent())
    epoch = fields.Integer()
    offset = fields.Integer()
    has_more = fields.Boolean()


class SyncedSchema(OutputSchema):
    """The missed events by room."""

    rooms = fields.Dict(keys=fields.String(), values=fields.Nested(RoomSyncSchema), required=True)


class RefreshedSchema(OutputSchema):
    """The expiry of the connection's newest token."""

    expires_at = fields.String(required=True)


class ReadSchema(OutputSchema):
    """The user's cursors in the room, and the messages left unread."""

    read_seq = fields.Integer(required=True)
    delivered_seq = fields.Integer(required=True)
    unread = fields.Integer(required=True)


class ReceiptsSchema(OutputSchema):
    """The cursors of all members."""

    receipts = many(objects.CursorSchema)


class OnePresenceSchema(OutputSchema):
    """The user's own presence."""

    presence = one(objects.PresenceSchema)


class PresencesSchema(OutputSchema):
    """One entry for each requested user, in the order of the request."""

    presences = many(objects.PresenceOrErrorSchema)


class UnreadSchema(OutputSchema):
    """The user's unread totals."""

    unread = one(objects.TotalsSchema)


class ExplainedSchema(OutputSchema):
    """The parts of the formula unread = max(0, seq − read_seq − uncounted)."""

    seq = fields.Integer(required=True)
    read_seq = fields.Integer(required=True)
    uncounted = fields.Integer(required=True)
    unread = fields.Integer(required=True)
