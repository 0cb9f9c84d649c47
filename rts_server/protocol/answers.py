"""The data of acks and the bodies of REST answers, one schema each."""

from __future__ import annotations

from marshmallow import fields
from marshmallow.validate import Equal, OneOf

from rts_server.protocol import objects
from rts_server.protocol.objects import OutputSchema, many, one


class EmptySchema(OutputSchema):
    """An empty object."""


class DurableSchema(OutputSchema):
    """`accepted`: delivered, not yet durable. `queued`: in the queue. `stored`: in DynamoDB."""

    status = fields.String(required=True, validate=OneOf(["queued", "stored", "accepted"]))


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


class SentSchema(DurableSchema):
    """The ids and the position of the message. `duplicate` is true if it had been sent before."""

    message_id = fields.String(required=True)
    client_msg_id = fields.String(required=True)
    seq = fields.Integer(required=True)
    epoch = fields.Integer(required=True)
    offset = fields.Integer(required=True)
    created_at = fields.String(required=True)
    duplicate = fields.Boolean()


class ChangedMessageSchema(DurableSchema):
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
    """What was missed in one room; `recovered: false`: list its messages again."""

    recovered = fields.Boolean(required=True)
    events = fields.List(fields.Dict(), required=True)
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
    events = fields.List(fields.Dict())
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


class PublicRoomAnswerSchema(OutputSchema):
    """A room as operators see it."""

    room = one(objects.PublicRoomSchema)


class ChangedPublicRoomSchema(DurableSchema):
    """The room after the change."""

    room = one(objects.PublicRoomSchema)


class DeclaredRoomSchema(ChangedPublicRoomSchema):
    """The room of an external id. `created` is false if it existed already."""

    created = fields.Boolean(required=True)


class ChangedMembersSchema(DurableSchema):
    """The users who were added, removed or given another role. Others were so already."""

    added = fields.List(fields.String(), required=True)
    removed = fields.List(fields.String(), required=True)
    updated = fields.List(fields.String(), required=True)


class EventsSchema(OutputSchema):
    """Events after a position. `recovered` is false if the hot log does not reach back that far."""

    events = fields.List(fields.Dict(), required=True)
    after = fields.String(required=True)
    has_more = fields.Boolean(required=True)
    recovered = fields.Boolean(required=True)


class ExplainedRoomSchema(ExplainedSchema):
    """The parts of a room's unread count. `counts` is false for a muted or hidden room."""

    room_id = fields.String(required=True)
    counts = fields.Boolean(required=True)


class ExplainedUnreadSchema(UnreadSchema):
    """The user's unread totals; with `explain`, also a page of the rooms they come from."""

    rooms = many(ExplainedRoomSchema, required=False)
    next_cursor = fields.String(allow_none=True)


class ToldSchema(OutputSchema):
    """The number of instances that received the request."""

    instances = fields.Integer(required=True)


class RevokedSchema(OutputSchema):
    """Tokens issued at or before `revoked_before` are refused."""

    user_id = fields.String(required=True)
    revoked_before = fields.String(required=True)


class InstanceSchema(OutputSchema):
    """An instance and the details it last reported. Its lease ends at `expires_at`."""

    instance_id = fields.String(required=True)
    expires_at = fields.String(required=True)
    started_at = fields.String()
    connections = fields.Integer()


class InstancesSchema(OutputSchema):
    """The instances with a valid lease."""

    instances = many(InstanceSchema)


class CountedSchema(OutputSchema):
    """The connections of a user on one instance. `alive` is false once its lease has ended."""

    instance_id = fields.String(required=True)
    connections = fields.Integer(required=True)
    alive = fields.Boolean(required=True)


class ExplainedPresenceSchema(OutputSchema):
    """The presence of a user; with `explain`, also where their connections are."""

    presence = one(objects.PresenceSchema)
    connections = many(CountedSchema, required=False)


class MembershipSchema(OutputSchema):
    """A membership, current or past."""

    room_id = fields.String(required=True)
    state = fields.String(required=True)
    role = fields.String(required=True)
    name = fields.String(required=True, allow_none=True)
    joined_at = fields.String(required=True)
    read_seq = fields.Integer(required=True)
    muted = fields.Boolean(required=True)
    hidden = fields.Boolean(required=True)


class ExportLineSchema(OutputSchema):
    """One line of an export; its `kind` says which fields it has. `end` carries the number of
    lines before it."""

    kind = fields.String(
        required=True, validate=OneOf(["presence", "membership", "message", "file", "end"])
    )
    presence = one(objects.PresenceSchema, required=False)
    membership = one(MembershipSchema, required=False)
    message = one(objects.MessageSchema, required=False)
    room_id = fields.String()
    attachment = one(objects.AttachmentSchema, required=False)
    lines = fields.Integer()


class ErasedLineSchema(OutputSchema):
    """One thing that was erased. `end` carries the number of lines before it."""

    kind = fields.String(
        required=True,
        validate=OneOf(["membership", "message", "reaction", "file", "presence", "end"]),
    )
    room_id = fields.String()
    message_id = fields.String()
    attachment_id = fields.String()
    lines = fields.Integer()


class DeadRecordSchema(OutputSchema):
    """The position of a record in a dead-letter queue, as far as the record can be parsed."""

    room_id = fields.String()
    epoch = fields.Integer()
    offset = fields.Integer()
    message_id = fields.String()
    client_msg_id = fields.String()
    seq = fields.Integer()
    receives = fields.Integer(required=True)
    sent_ms = fields.Integer(required=True)


class QueueSchema(OutputSchema):
    """A queue with the approximate counts of SQS; for a dead-letter queue also some of its
    records."""

    name = fields.String(required=True)
    waiting = fields.Integer(required=True)
    in_flight = fields.Integer(required=True)
    delayed = fields.Integer(required=True)
    records = many(DeadRecordSchema, required=False)


class QueuesSchema(OutputSchema):
    """All queues."""

    queues = many(QueueSchema)


class QuarantinedRecordSchema(OutputSchema):
    """A record that could never be applied. One that is not `whole` is too long to be replayed."""

    room_id = fields.String()
    epoch = fields.Integer()
    offset = fields.Integer()
    message_id = fields.String()
    client_msg_id = fields.String()
    seq = fields.Integer()
    reason = fields.String(required=True)
    whole = fields.Boolean(required=True)


class QuarantinedSchema(OutputSchema):
    """The quarantined records, in the order of each room."""

    records = many(QuarantinedRecordSchema)


class ReplayedSchema(OutputSchema):
    """The number of records that were replayed, and of those that are left."""

    replayed = fields.Integer(required=True)
    left = fields.Integer(required=True)


class VerifiedSchema(OutputSchema):
    """What does not agree between Redis and the archive, and what was stored anew.

    gaps: seqs without a message. duplicates: seqs with several. orphans: ids of messages in one
    place only. changed: ids of messages with another state in the archive.
    """

    gaps = fields.List(fields.Integer(), required=True)
    duplicates = fields.List(fields.Integer(), required=True)
    orphans = fields.List(fields.String(), required=True)
    changed = fields.List(fields.String(), required=True)
    messages = fields.Integer(required=True)
    warm = fields.Boolean(required=True)
    repaired = fields.List(fields.String(), required=True)
