"""The data of the acks, one schema for each kind of answer."""

from __future__ import annotations

from marshmallow import fields
from marshmallow.validate import Equal, OneOf

from rts_server.protocol import objects
from rts_server.protocol.objects import OutputSchema, many, one


class EmptySchema(OutputSchema):
    """Done."""


class DurableSchema(OutputSchema):
    """`accepted`: heard by all, and on its way."""

    status = fields.String(required=True, validate=OneOf(["queued", "stored", "accepted"]))


class CreatedSchema(DurableSchema):
    """The room, and whether it is new."""

    room = one(objects.RoomSchema)
    created = fields.Boolean(required=True)


class ChangedRoomSchema(DurableSchema):
    """The room after the change."""

    room = one(objects.RoomSchema)


class OneRoomSchema(OutputSchema):
    """A room."""

    room = one(objects.RoomSchema)


class RoomsSchema(OutputSchema):
    """A page of the list, and the user's totals."""

    rooms = many(objects.RoomSchema)
    next_cursor = fields.String(required=True, allow_none=True)
    unread = one(objects.TotalsSchema)


class AddedSchema(DurableSchema):
    """The members asked for, and who of them was one already."""

    members = many(objects.MemberSchema)
    already = fields.List(fields.String(), required=True)


class RemovedSchema(DurableSchema):
    """Who went."""

    removed = fields.List(fields.String(), required=True)


class ChangedMemberSchema(DurableSchema):
    """The member after the change."""

    member = one(objects.MemberSchema)


class MembersSchema(OutputSchema):
    """A page of members."""

    members = many(objects.MemberSchema)
    next_cursor = fields.String(required=True, allow_none=True)


class SentSchema(DurableSchema):
    """Where the message stands."""

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
    """A signed form: POST `fields`, then the file under `file`, to `url` before it expires."""

    attachment_id = fields.String(required=True)
    url = fields.String(required=True)
    fields_ = fields.Dict(
        keys=fields.String(), values=fields.String(), required=True, data_key="fields"
    )
    expires_at = fields.String(required=True)


class CompletedSchema(OutputSchema):
    """The file as a message shows it."""

    attachment = one(objects.AttachmentSchema)


class LinkSchema(OutputSchema):
    """Where to download a file, until it expires."""

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
    """What was missed in one room, or that it is the user's no more."""

    one_of = (RoomMissedSchema, RoomLostSchema)

    removed = fields.Boolean()
    recovered = fields.Boolean()
    events = fields.List(fields.Dict())
    epoch = fields.Integer()
    offset = fields.Integer()
    has_more = fields.Boolean()


class SyncedSchema(OutputSchema):
    """What was missed, by room."""

    rooms = fields.Dict(keys=fields.String(), values=fields.Nested(RoomSyncSchema), required=True)


class RefreshedSchema(OutputSchema):
    """When the newest token ends."""

    expires_at = fields.String(required=True)


class ReadSchema(OutputSchema):
    """The user's cursors and what is left unread."""

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
    """One for each user asked for, in the order asked."""

    presences = many(objects.PresenceOrErrorSchema)


class UnreadSchema(OutputSchema):
    """The user's totals."""

    unread = one(objects.TotalsSchema)


class ExplainedSchema(OutputSchema):
    """unread = seq − read_seq − uncounted, never below 0."""

    seq = fields.Integer(required=True)
    read_seq = fields.Integer(required=True)
    uncounted = fields.Integer(required=True)
    unread = fields.Integer(required=True)


class PublicRoomAnswerSchema(OutputSchema):
    """A room as an operator sees it."""

    room = one(objects.PublicRoomSchema)


class ChangedPublicRoomSchema(DurableSchema):
    """The room after the change."""

    room = one(objects.PublicRoomSchema)


class DeclaredRoomSchema(ChangedPublicRoomSchema):
    """The room of a business key, and whether it is new."""

    created = fields.Boolean(required=True)


class ChangedMembersSchema(DurableSchema):
    """Who came, went and has another role; who is named in none was so already."""

    added = fields.List(fields.String(), required=True)
    removed = fields.List(fields.String(), required=True)
    updated = fields.List(fields.String(), required=True)


class EventsSchema(OutputSchema):
    """What happened in a room behind `after`; `recovered` false: more than the log still holds."""

    events = fields.List(fields.Dict(), required=True)
    after = fields.String(required=True)
    has_more = fields.Boolean(required=True)
    recovered = fields.Boolean(required=True)


class ExplainedRoomSchema(ExplainedSchema):
    """Why a room's unread is what it is; a muted or hidden one counts in no total."""

    room_id = fields.String(required=True)
    counts = fields.Boolean(required=True)


class ExplainedUnreadSchema(UnreadSchema):
    """The user's totals; explained, a page of the rooms they come from."""

    rooms = many(ExplainedRoomSchema, required=False)
    next_cursor = fields.String(allow_none=True)


class ToldSchema(OutputSchema):
    """How many instances were told."""

    instances = fields.Integer(required=True)


class RevokedSchema(OutputSchema):
    """All tokens issued up to then are void."""

    user_id = fields.String(required=True)
    revoked_before = fields.String(required=True)


class InstanceSchema(OutputSchema):
    """An instance as it last told of itself; its lease ends unless it is renewed."""

    instance_id = fields.String(required=True)
    expires_at = fields.String(required=True)
    started_at = fields.String()
    connections = fields.Integer()


class InstancesSchema(OutputSchema):
    """The instances whose lease lives."""

    instances = many(InstanceSchema)


class CountedSchema(OutputSchema):
    """Connections of a user at one instance; not alive: until the sweep."""

    instance_id = fields.String(required=True)
    connections = fields.Integer(required=True)
    alive = fields.Boolean(required=True)


class ExplainedPresenceSchema(OutputSchema):
    """How a user is; explained, where his connections are."""

    presence = one(objects.PresenceSchema)
    connections = many(CountedSchema, required=False)


class MembershipSchema(OutputSchema):
    """A membership, past ones included."""

    room_id = fields.String(required=True)
    state = fields.String(required=True)
    role = fields.String(required=True)
    name = fields.String(required=True, allow_none=True)
    joined_at = fields.String(required=True)
    read_seq = fields.Integer(required=True)
    muted = fields.Boolean(required=True)
    hidden = fields.Boolean(required=True)


class ExportLineSchema(OutputSchema):
    """A membership, a message, a file (cited or not) in a room, how the user is, or the end with
    the number of lines before it."""

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
    """A membership, message, reaction or file that is no more, how he was, or the end with the
    number of lines."""

    kind = fields.String(
        required=True,
        validate=OneOf(["membership", "message", "reaction", "file", "presence", "end"]),
    )
    room_id = fields.String()
    message_id = fields.String()
    attachment_id = fields.String()
    lines = fields.Integer()


class DeadRecordSchema(OutputSchema):
    """A record that was given up: where it belongs, as far as that can be made out."""

    room_id = fields.String()
    epoch = fields.Integer()
    offset = fields.Integer()
    message_id = fields.String()
    client_msg_id = fields.String()
    seq = fields.Integer()
    receives = fields.Integer(required=True)
    sent_ms = fields.Integer(required=True)


class QueueSchema(OutputSchema):
    """A queue, its counts being SQS's own guesses; of a DLQ some of its records."""

    name = fields.String(required=True)
    waiting = fields.Integer(required=True)
    in_flight = fields.Integer(required=True)
    delayed = fields.Integer(required=True)
    records = many(DeadRecordSchema, required=False)


class QueuesSchema(OutputSchema):
    """All queues."""

    queues = many(QueueSchema)


class QuarantinedRecordSchema(OutputSchema):
    """A record that could never be applied; not whole: it was too long to be sent again."""

    room_id = fields.String()
    epoch = fields.Integer()
    offset = fields.Integer()
    message_id = fields.String()
    client_msg_id = fields.String()
    seq = fields.Integer()
    reason = fields.String(required=True)
    whole = fields.Boolean(required=True)


class QuarantinedSchema(OutputSchema):
    """What the quarantine kept, in the order of each room."""

    records = many(QuarantinedRecordSchema)


class ReplayedSchema(OutputSchema):
    """How many went back, and how many are left."""

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
